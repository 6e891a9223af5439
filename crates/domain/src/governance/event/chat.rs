//! `llm.chat`: calls of the model.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::EventKind;
use super::row::Record;
use crate::governance::command::Message;
use crate::governance::gate::GateNotes;

/// The largest conversation that a row records with its texts, in bytes of JSON.
pub const MAX_CHAT: usize = 16 * 1024 * 1024;

/// The tokens of a model call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Usage))]
pub struct TokenUsage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the reply.
    pub completion_tokens: u64,
    /// The sum as the provider counts it.
    pub total_tokens: u64,
}

/// Why a request was carried out without the model that should have taken part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fallback {
    /// `llm_failed`, `timeout`, `overloaded`, or `plan_invalid` if no draft of the model was valid.
    pub code: String,
    /// The cause, in a sentence. Texts of the provider are redacted.
    pub message: String,
}

/// The payload of `llm.chat`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChatRecord<'a> {
    /// The reply or the failure.
    #[serde(flatten)]
    pub outcome: CallOutcome<'a>,
    /// The endpoint that made the call.
    pub endpoint: Cow<'a, str>,
    /// The messages that the gates judged.
    #[serde(default)]
    pub messages: Cow<'a, [Message]>,
    /// The messages as they were sent, if they contain more than texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_messages: Option<Cow<'a, Value>>,
    /// The other fields of the request.
    #[serde(default)]
    pub parameters: BTreeMap<Cow<'a, str>, Cow<'a, Value>>,
    /// The digest of the request (`life_agent_groq::Exchange::digest`), under which it can be replayed.
    pub digest: Cow<'a, str>,
    /// The findings of the gates in the request.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
    /// What only calls have that were forwarded for a client of a model API.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<ForwardedCall<'a>>,
}

/// The part of a row that only forwarded calls have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForwardedCall<'a> {
    /// The provider's name in the policy.
    pub provider: Cow<'a, str>,
    /// Whether the response was a stream.
    pub stream: bool,
    /// What differs between the request that came and the one that was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Cow<'a, str>>,
    /// The texts of a response that is no chat completion, or of one that was cut off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
    /// In place of messages that follow from the request: how they follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedMessages<'a>>,
    /// The request that was sent, if it is a translation of the one that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentRequest>,
    /// In place of texts that are too large for a row: their digests and sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<TextDigest>,
}

/// A request that was translated into the API of its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// The path below the provider's base URL.
    pub path: String,
    /// BLAKE3 of the body that was sent, in hex.
    pub blake3: String,
}

/// Judged messages that the row does not repeat, because they are the texts of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedMessages<'a> {
    /// The names of the request's fields in their order. `sent_messages` holds the conversation, `parameters`
    /// the other fields.
    pub fields: Vec<Cow<'a, str>>,
    /// The number of messages.
    pub count: usize,
    /// BLAKE3 of the messages as a JSON list, in hex.
    pub blake3: Cow<'a, str>,
}

/// The digest and size of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextDigest {
    /// The role of the message, or the name of the text.
    pub role: String,
    /// BLAKE3 of the text, in hex.
    pub blake3: String,
    /// Its size.
    pub bytes: usize,
}

/// The payload of `llm.begun`: a stream begins, and its end will be an `llm.chat` or a `gate.denied`
/// row. Without one, the outcome is unknown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChatBegunRecord<'a> {
    /// The endpoint that makes the call.
    pub endpoint: Cow<'a, str>,
    /// The model.
    pub model: Cow<'a, str>,
    /// The provider's name in the policy.
    pub provider: Cow<'a, str>,
    /// Whether the response was asked for as a stream.
    pub stream: bool,
    /// The digest of the request, as in `llm.chat`.
    pub digest: Cow<'a, str>,
}

impl Record for ChatBegunRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::ChatBegun];

    fn is_effect(&self) -> bool {
        false
    }
}

/// The outcome of a model call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CallOutcome<'a> {
    /// The model replied and the reply passed the gates.
    Answered {
        /// The model.
        model: Cow<'a, str>,
        /// The text, redacted.
        content: Cow<'a, str>,
        /// The tool calls, redacted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_calls: Option<Cow<'a, Value>>,
        /// The provider's reason for stopping.
        finish_reason: Option<Cow<'a, str>>,
        /// The cost, if the provider reports it.
        usage: Option<TokenUsage>,
        /// The findings of the gates in the reply.
        answer: Cow<'a, GateNotes>,
    },
    /// The call failed.
    Failed {
        /// A fixed label.
        error: Cow<'a, str>,
        /// The cause, redacted.
        message: Cow<'a, str>,
    },
    /// The caller disconnected, or the service stopped, before the response was complete.
    Stopped {
        /// The cost so far, if the provider reports it.
        usage: Option<TokenUsage>,
    },
    /// The gates refused the response, and the caller did not receive it.
    Withheld {
        /// The `gate.denied` row with the refused texts.
        denied_by: u64,
        /// The gate that refused.
        gate: Cow<'a, str>,
        /// The rule or pattern that decided.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<Cow<'a, str>>,
    },
}

impl Record for ChatRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::Chat];

    fn may_omit_texts(&self) -> bool {
        true
    }

    fn largest_shared(&self) -> usize {
        MAX_CHAT
    }

    fn is_effect(&self) -> bool {
        matches!(self.outcome, CallOutcome::Answered { .. })
    }
}
