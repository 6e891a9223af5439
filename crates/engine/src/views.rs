//! The results of the engine's use cases. Those that implement `Serialize` are responses as they are.

mod turn;

use std::sync::Arc;

use life_agent_domain::agent::rules::ActStep;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::gate::GateNotes;
use serde::Serialize;

pub use turn::{TurnEvent, TurnOutcome};

/// The current state of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The state, shared until the next step.
    pub state: Arc<AgentState>,
    /// The state's hash.
    pub state_hash: String,
}

/// A durable step.
#[derive(Debug, Clone)]
pub struct StepOutcome<S> {
    /// The step.
    pub step: S,
    /// The number of its row.
    pub event_id: u64,
    /// The state's version after it.
    pub state_version: u64,
    /// The state's hash after it.
    pub state_hash: String,
    /// The findings of the gates.
    pub notes: GateNotes,
}

/// A durable act.
pub type ActOutcome = StepOutcome<ActStep>;

/// The decision that a request would get.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckOutcome {
    /// `allow` or `deny`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^(allow|deny)$"))]
    pub decision: &'static str,
    /// The error code that the call would return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The gate that would refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<&'static str>,
    /// The rule, pattern or glob that would decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The message that the caller would receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: GateNotes,
}

/// The active policy.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyInForce {
    /// Its file as configured, `built-in` where there is none.
    pub path: String,
    /// The version that the document states.
    pub version: String,
    /// SHA-256 of its text, lower-case hex.
    pub hash: String,
    /// The time of activation: RFC 3339, UTC.
    pub loaded_at: String,
}

/// The result of a validation or a reload.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyReport {
    /// The time of activation or validation: RFC 3339, UTC.
    pub loaded_at: String,
    /// The number of rules.
    pub rule_count: usize,
    /// SHA-256 of its text, lower-case hex.
    pub policy_hash: String,
}

/// The text of the active policy.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyText {
    /// The file.
    pub path: String,
    /// SHA-256 of the text, lower-case hex.
    pub hash: String,
    /// The document as it was loaded, with its comments.
    pub text: String,
}

/// The document to validate or load.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// The file at `POLICY_PATH`.
    Configured,
    /// A file in `POLICY_DIR`, or the one at `POLICY_PATH`.
    Path(String),
    /// A document that the caller sends.
    Text(String),
}

/// The state of the kill switch.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KillSwitchStatus {
    /// Whether every request that acts is refused.
    pub on: bool,
    /// The operator's reason.
    pub reason: String,
    /// Whether the configuration forces it on, so that no call can turn it off.
    pub forced: bool,
    /// The time of the last change: RFC 3339, UTC; `None` if it was never changed.
    pub since: Option<String>,
    /// The caller that made the last change; `system` if the service turned it on at its start.
    pub by: Option<String>,
}

/// A stopped agent or principal.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StopStatus {
    /// The agent, if an agent is stopped.
    pub agent: Option<String>,
    /// The principal, if a principal is stopped.
    pub principal: Option<String>,
    /// The operator's reason.
    pub reason: String,
    /// The time of the stop: RFC 3339, UTC.
    pub since: String,
    /// The principal that set the stop.
    pub by: String,
}

/// An agent in a list.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentSummary {
    /// Its id.
    pub agent_id: String,
    /// The number of its steps.
    pub state_version: u64,
    /// The number of its turns.
    pub turns: u64,
    /// The time of its last step: RFC 3339, UTC.
    pub last_seen: String,
}

/// The running service.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meta {
    /// The service's version.
    pub version: &'static str,
    /// The start time: RFC 3339, UTC.
    pub start: String,
}
