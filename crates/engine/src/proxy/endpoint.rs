//! The APIs that are forwarded, and where their requests hold what.

use life_agent_policy::llm::Dialect;

/// One API of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// OpenAI's `/chat/completions`.
    ChatCompletions,
    /// OpenAI's older `/completions`.
    Completions,
    /// OpenAI's `/responses`.
    Responses,
    /// Anthropic's `/messages`.
    Messages,
    /// Anthropic's `/messages/count_tokens`.
    CountTokens,
    /// `/embeddings`
    Embeddings,
    /// `/moderations`
    Moderations,
    /// `/rerank`
    Rerank,
    /// `/audio/transcriptions`, with a JSON body.
    Transcriptions,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Endpoint; 9] = [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Responses,
        Endpoint::Messages,
        Endpoint::CountTokens,
        Endpoint::Embeddings,
        Endpoint::Moderations,
        Endpoint::Rerank,
        Endpoint::Transcriptions,
    ];

    /// The operation by OpenTelemetry's conventions for generative models, which have no name for some.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions | Endpoint::Responses | Endpoint::Messages => "chat",
            Endpoint::Completions => "text_completion",
            Endpoint::CountTokens => "count_tokens",
            Endpoint::Embeddings => "embeddings",
            Endpoint::Moderations => "moderation",
            Endpoint::Rerank => "rerank",
            Endpoint::Transcriptions => "transcription",
        }
    }

    /// The path below a provider's base URL.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "/chat/completions",
            Endpoint::Completions => "/completions",
            Endpoint::Responses => "/responses",
            Endpoint::Messages => "/messages",
            Endpoint::CountTokens => "/messages/count_tokens",
            Endpoint::Embeddings => "/embeddings",
            Endpoint::Moderations => "/moderations",
            Endpoint::Rerank => "/rerank",
            Endpoint::Transcriptions => "/audio/transcriptions",
        }
    }

    /// The path on this service, which rows name.
    pub fn own_path(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "/v1/chat/completions",
            Endpoint::Completions => "/v1/completions",
            Endpoint::Responses => "/v1/responses",
            Endpoint::Messages => "/v1/messages",
            Endpoint::CountTokens => "/v1/messages/count_tokens",
            Endpoint::Embeddings => "/v1/embeddings",
            Endpoint::Moderations => "/v1/moderations",
            Endpoint::Rerank => "/v1/rerank",
            Endpoint::Transcriptions => "/v1/audio/transcriptions",
        }
    }

    /// The dialect that a provider must have to serve it.
    pub fn dialect(self) -> Dialect {
        match self {
            Endpoint::Messages | Endpoint::CountTokens => Dialect::Anthropic,
            _ => Dialect::Openai,
        }
    }

    /// The field that holds the conversation as a list, one item per message.
    pub(super) fn items(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CountTokens => "messages",
            _ => "input",
        }
    }

    /// The fields at the top of a request that are messages of their own, before the items.
    pub(super) fn preambles(self) -> &'static [&'static str] {
        match self {
            Endpoint::Responses => &["instructions"],
            Endpoint::Messages | Endpoint::CountTokens => &["system"],
            Endpoint::Completions => &["prompt"],
            _ => &[],
        }
    }

    /// Whether the endpoint is about a conversation that both chat completions and messages can hold.
    pub(super) fn is_conversation(self) -> bool {
        matches!(self, Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CountTokens)
    }

    /// Whether the endpoint only computes something and returns no text of a model.
    pub(super) fn returns_numbers(self) -> bool {
        matches!(self, Endpoint::Embeddings | Endpoint::CountTokens)
    }

    /// Whether a header of a caller is forwarded to the provider.
    pub fn forwards_header(name: &str, value: &str) -> bool {
        let known = matches!(name, "anthropic-version" | "anthropic-beta" | "openai-beta");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.,= ".contains(&b);
        known && value.len() <= 1024 && value.bytes().all(plain)
    }
}
