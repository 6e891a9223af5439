//! What the engine answers; the server serialises these as they are.

use std::sync::Arc;

use life_agent_domain::agent::rules::ActStep;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::command::{Act, Chat, Plan, Turn};
use life_agent_domain::governance::gate::{Finding, Trace};
use serde::Serialize;

/// What the gates noted about a request that passed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateNotes {
    /// 0 for harmless to 1 for surely hostile.
    pub score: f64,
    /// What was found without refusing the request.
    pub findings: Vec<Finding>,
    /// The policy rules that matched.
    pub applied_policies: Vec<String>,
    /// Rules and patterns that only observe, and would have refused.
    pub would_deny: Vec<String>,
}

impl From<&Trace> for GateNotes {
    fn from(trace: &Trace) -> Self {
        Self {
            score: trace.score,
            findings: trace.findings.clone(),
            applied_policies: trace.applied_policies.clone(),
            would_deny: trace.would_deny().into_iter().map(str::to_owned).collect(),
        }
    }
}

/// An agent as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its state; whoever asks shares it until the next step.
    pub state: Arc<AgentState>,
    /// The state's hash.
    pub state_hash: String,
}

/// A step that is on the record.
#[derive(Debug, Clone)]
pub struct Taken<S> {
    /// The step.
    pub step: S,
    /// The number of its row.
    pub event_id: u64,
    /// The state's version after it.
    pub state_version: u64,
    /// The state's hash after it.
    pub state_hash: String,
    /// What the gates noted.
    pub notes: GateNotes,
}

/// An act that is on the record.
pub type Acted = Taken<ActStep>;

/// Who told a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Source {
    /// The rules, in a plain sentence.
    Offline,
    /// The model.
    Llm,
}

/// Any command, for a check without effect.
#[derive(Debug, Clone)]
pub enum Asked {
    /// See [`Act`].
    Act(Act),
    /// See [`Turn`].
    Turn(Turn),
    /// See [`Plan`].
    Plan(Plan),
    /// See [`Chat`].
    Chat(Chat),
}

/// What the gates would say.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checked {
    /// `allow` or `deny`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^(allow|deny)$"))]
    pub decision: &'static str,
    /// The error code that the call would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The gate that would refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<&'static str>,
    /// The rule, pattern or glob that would decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the caller would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the gates noted.
    #[serde(flatten)]
    pub notes: GateNotes,
}

/// The policy in force.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyInForce {
    /// Its file as configured, `built-in` where there is none.
    pub path: String,
    /// The version that the document states.
    pub version: String,
    /// SHA-256 of its text, lower-case hex.
    pub hash: String,
    /// When it came into force: RFC 3339, UTC.
    pub loaded_at: String,
}

/// What a validation or a reload found.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyReport {
    /// When it came into force, or was checked: RFC 3339, UTC.
    pub loaded_at: String,
    /// How many rules it has.
    pub rule_count: usize,
    /// SHA-256 of its text, lower-case hex.
    pub policy_hash: String,
}

/// Which document a validation is about.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// The file at `POLICY_PATH`.
    Configured,
    /// A file in `POLICY_DIR`, or the one at `POLICY_PATH`.
    Path(String),
    /// A document that the caller sends.
    Text(String),
}

/// The kill switch as it stands.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KillSwitchStatus {
    /// Whether everything that acts is refused.
    pub on: bool,
    /// What was given as the reason.
    pub reason: String,
    /// Whether the environment holds it on, so that no call can turn it off.
    pub forced: bool,
    /// When it was last turned: RFC 3339, UTC; none if never.
    pub since: Option<String>,
}

/// An agent in a list.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentSummary {
    /// Its id.
    pub agent_id: String,
    /// How many steps it has taken.
    pub state_version: u64,
    /// How many of them were turns.
    pub turns: u64,
    /// When it took the last: RFC 3339, UTC.
    pub last_seen: String,
}

/// What runs here.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meta {
    /// The service's version.
    pub version: &'static str,
    /// When it started: RFC 3339, UTC.
    pub start: String,
}
