//! The model, as the document describes it.

use serde::Serialize;
use utoipa::ToSchema;

use super::GateNotes;

/// Whether a model answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct LlmStatus {
    /// Whether a provider and a key are configured.
    configured: bool,
    /// The first characters of the key, the rest masked.
    key_prefix: Option<String>,
    /// The model that the policy names.
    model_default: String,
    /// Host and port of the provider.
    base_host: Option<String>,
    /// Whether the provider is left alone for now because it failed again and again.
    breaker: Option<BreakerState>,
    /// Calls under way.
    under_way: usize,
    /// The limits that the provider told with its last answer.
    #[schema(value_type = Option<Object>)]
    limits: Option<serde_json::Value>,
}

/// Whether calls of the provider pass.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerState {
    /// They do.
    Closed,
    /// One at a time does, to see whether the provider is well again.
    HalfOpen,
    /// They do not.
    Open,
}

/// An answer of the model.
#[derive(Serialize, ToSchema)]
pub(crate) struct Chatted {
    /// The model that answered.
    model: String,
    /// What it says, without credentials.
    content: String,
    /// Why it stopped: `stop`, or `length` when it reached the longest answer.
    finish_reason: Option<String>,
    /// Its cost, where the provider tells.
    usage: Option<Usage>,
    /// The number of its row in the journal.
    event_id: u64,
    /// What the gates noted about the conversation.
    #[serde(flatten)]
    notes: GateNotes,
    /// What the gates noted about the answer.
    answer_notes: GateNotes,
}

/// Tokens that a call of the model used.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Tokens read.
    prompt_tokens: u64,
    /// Tokens written.
    completion_tokens: u64,
    /// Both.
    total_tokens: u64,
}
