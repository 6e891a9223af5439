//! The conversation in which a model narrated a turn, as the turn's row keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::{Fallback, TokenUsage};

/// The author of a turn's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Source {
    /// The rules, in a plain sentence.
    Offline,
    /// The model.
    Llm,
}

/// Everything that is needed to run the narration again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NarrationRecord {
    /// The first request as it was sent, without the tools.
    pub request: Map<String, Value>,
    /// The model's replies, in order.
    pub exchanges: Vec<ModelReply>,
    /// The model's tool calls, in order.
    pub steps: Vec<RecordedToolStep>,
    /// Set if the model's text is not the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
    /// Set if the model failed and the turn went on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// The cost of all replies, if the provider reports it.
    pub usage: Option<TokenUsage>,
    /// The duration of the turn in milliseconds.
    pub latency_ms: u64,
}

/// One reply of the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelReply {
    /// The digest of the request (`life_agent_groq::Exchange::digest`).
    pub digest: String,
    /// The parts of the reply that the narration uses, redacted.
    pub reply: Value,
}

/// A tool call as a row keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedToolStep {
    /// The call and its outcome.
    #[serde(flatten)]
    pub step: ToolStep,
    /// Versions of the facts that a recall found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<u64>,
    /// Whether the outcome depends on something that the row does not contain: the moment, files, a
    /// credential. A replay takes such an outcome from the row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub momentary: bool,
}

/// One tool call of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolStep {
    /// The tool; `unknown` if no tool has the name.
    pub tool: String,
    /// The arguments, redacted; a string if they are not JSON.
    pub arguments: Value,
    /// The outcome.
    pub decision: ToolDecision,
    /// The error code, unless the call was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The result that the model received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The row that records the call; absent until the turn is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<u64>,
}

/// The outcome of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ToolDecision {
    /// It passed the gates and was carried out.
    Allow,
    /// A gate refused it.
    Deny,
    /// It could not be parsed or carried out.
    Error,
}

impl ToolDecision {
    /// Its name, as rows have it.
    pub fn as_str(self) -> &'static str {
        match self {
            ToolDecision::Allow => "allow",
            ToolDecision::Deny => "deny",
            ToolDecision::Error => "error",
        }
    }
}

/// Why the response is the rules' sentence instead of the model's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Withheld {
    /// The gate that refused the text; `turn` if there was no text to judge.
    pub gate: String,
    /// The rule or pattern that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The error code that a chat would have returned.
    pub code: String,
    /// The cause, in a sentence.
    pub message: String,
}
