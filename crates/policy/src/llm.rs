//! The parts of the policy's `llm` section that are about providers and forwarded requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API of a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI's: chat completions, responses, embeddings, models.
    #[default]
    #[serde(alias = "chat", alias = "responses", alias = "groq")]
    Openai,
    /// Anthropic's: messages and token counts.
    #[serde(alias = "messages", alias = "claude")]
    Anthropic,
    /// Both APIs under one address.
    Any,
}

impl Dialect {
    /// The dialect with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::Openai),
            "anthropic" => Some(Self::Anthropic),
            "any" => Some(Self::Any),
            _ => None,
        }
    }

    /// Whether a provider with this dialect serves requests in that one.
    pub fn serves(self, wanted: Dialect) -> bool {
        self == wanted || self == Dialect::Any
    }
}

/// Whether images, audio and files in forwarded requests pass. No gate can read them; rows keep their
/// digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// They pass unread.
    #[default]
    Allow,
    /// Requests with them are refused.
    Deny,
}

/// What happens to a turn or a plan whose model fails: its provider cannot be reached, refuses the key, takes
/// too long or sends nothing usable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// A turn is answered by the rules, and a plan becomes a statement of intent. Both state the cause in
    /// `fallback`.
    #[default]
    Offline,
    /// The request fails.
    Fail,
}

/// What happens to tool calls in responses under `/v1` that `/tool` would refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JudgeToolCalls {
    /// Tool calls are judged as text only.
    #[default]
    Off,
    /// They pass, and the row of the response records them in `would_deny`.
    Observe,
    /// The response is withheld.
    Deny,
}

/// One provider, chosen by the model's name.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, garde::Validate,
)]
#[schemars(deny_unknown_fields)]
pub struct Provider {
    /// The name that rows and `/llm/status` show.
    #[garde(length(chars, min = 1, max = 64))]
    pub name: String,
    /// Its address, up to and without `/chat/completions` or `/messages`.
    #[garde(length(chars, min = 8, max = 2048), custom(is_http))]
    pub base_url: String,
    /// Its API.
    #[garde(skip)]
    #[serde(default)]
    pub dialect: Dialect,
    /// The environment variable that holds its key. Without a key the provider gets none.
    #[garde(length(chars, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// The file that holds its key.
    #[garde(length(chars, max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The models it serves, where `*` stands for any characters; all models without it.
    #[garde(length(max = 256))]
    #[serde(default)]
    pub models: Vec<String>,
    /// Fields of requests that have no counterpart in its API, and are left out when requests are
    /// translated; without this, such requests are refused.
    #[garde(length(max = 64))]
    #[serde(default)]
    pub drop: Vec<String>,
}

impl Provider {
    /// Whether it serves this model.
    pub fn serves(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|glob| matches(glob, model))
    }
}

// garde's interface.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_http(url: &str, (): &()) -> garde::Result {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(garde::Error::new("must be an http or https URL"))
}

/// Whether a name matches a glob, in which `*` stands for any characters.
pub fn matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    // Without a `*` the whole name must be the glob.
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (glob, name, expected) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-*", "gpt-5-mini", true),
            ("*", "", true),
            ("*", "a/b", true),
            ("openai/*-oss-*b", "openai/gpt-oss-120b", true),
            ("openai/*-oss-*b", "openai/gpt-oss-120", false),
            ("a*a", "a", false),
            ("a*b*a", "ababa", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }
}
