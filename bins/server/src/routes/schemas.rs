//! The shapes of what the engine answers with, for the OpenAPI document.
//!
//! The domain does not know OpenAPI, so its types are described here once more. `tests/openapi.rs`
//! compares the descriptions with real answers.
#![expect(dead_code, reason = "only the schemas of these are used")]

use std::collections::BTreeMap;

mod agents;
mod model;
mod plans;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use agents::*;
pub(crate) use model::*;
pub(crate) use plans::*;

/// Something a gate found in a text; the place, never the text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Finding {
    /// The risk category, or `rule` for the policy's own rules.
    category: String,
    /// The id of the pattern or rule.
    rule: String,
    /// What the policy does about it.
    effect: Effect,
    /// The field of the request that it is in.
    field: String,
    /// Where it starts in that field, in characters.
    start: usize,
    /// Where it ends, exclusive.
    end: usize,
}

/// What the policy does about a finding.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// It refuses the request.
    Deny,
    /// It is only recorded.
    Observe,
}

/// What the gates noted about a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct GateNotes {
    /// 0 for harmless to 1 for surely hostile.
    score: f64,
    /// What was found.
    findings: Vec<Finding>,
    /// The policy rules that matched.
    applied_policies: Vec<String>,
    /// Rules and patterns that only observe, and would have refused.
    would_deny: Vec<String>,
}

/// What the gates would say.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether the call would go on.
    decision: Decision,
    /// The error code that the call would get.
    code: Option<String>,
    /// The gate that would refuse.
    gate: Option<String>,
    /// The rule, pattern or glob that would decide.
    rule: Option<String>,
    /// What the caller would be told.
    message: Option<String>,
    #[serde(flatten)]
    notes: GateNotes,
}

/// A gate's decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    /// It would go on.
    Allow,
    /// It would be refused.
    Deny,
}

/// A row of the journal, which is also the data of its event.
#[derive(Serialize, ToSchema)]
pub(crate) struct Row {
    /// Its number: 1, 2, 3 … without a gap. Also the id of its event.
    id: u64,
    /// When it was recorded: RFC 3339, UTC.
    ts: String,
    /// What it is about, as `obs.turn`.
    kind: String,
    /// The agent concerned.
    agent_id: Option<String>,
    /// The name of the key that caused it, or `system`.
    principal: String,
    /// The request that caused it; empty for what the service does by itself.
    request_id: String,
    /// What happened.
    #[schema(value_type = Object)]
    data: serde_json::Value,
    /// The hash of the row before.
    prev_hash: String,
    /// SHA-256 that binds this row to all before it.
    hash: String,
}

/// What runs here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Meta {
    /// The service's version.
    version: String,
    /// When it started: RFC 3339, UTC.
    start: String,
}

/// Where the policy in force is from.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyInForce {
    /// Its file as configured, `built-in` where there is none.
    path: String,
    /// The version that the document states.
    version: String,
    /// SHA-256 of its text, lower-case hex.
    hash: String,
    /// When it came into force: RFC 3339, UTC.
    loaded_at: String,
}

/// The kill switch as it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct KillSwitchStatus {
    /// Whether everything that acts is refused.
    on: bool,
    /// What was given as the reason.
    reason: String,
    /// Whether the environment holds it on, so that no call can turn it off.
    forced: bool,
    /// When it was last turned: RFC 3339, UTC.
    since: Option<String>,
}

/// What a backtest found.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayReport {
    /// The policy that the requests were played through: SHA-256 of its text.
    policy_hash: String,
    /// Rows read.
    rows: u64,
    /// Requests whose decision was compared.
    decisions: u64,
    /// Steps whose answer and state were compared; a backtest compares decisions only.
    steps: u64,
    /// Turns that were told again from the model's recorded answers; none in a backtest.
    told: u64,
    /// Requests that cannot be compared, by why.
    not_comparable: BTreeMap<String, u64>,
    /// Requests that were allowed and would now be denied, by the gate and rule that would.
    now_denied: BTreeMap<String, u64>,
    /// Requests that were denied and would now be allowed, by the gate and rule that did.
    now_allowed: BTreeMap<String, u64>,
    /// How many divergences there are.
    divergence_count: u64,
    /// The first thousand of them.
    divergences: Vec<Divergence>,
    /// The last row that was read, to go on from; 0 if none was.
    last: u64,
}

/// One row that would come out differently.
#[derive(Serialize, ToSchema)]
pub(crate) struct Divergence {
    /// The row.
    event_id: u64,
    /// Its agent.
    agent_id: Option<String>,
    /// What differs: `decision` or `row`.
    what: String,
    /// What the row states.
    recorded: String,
    /// What comes out now.
    now: String,
}

/// A place in the journal.
#[derive(Serialize, ToSchema)]
pub(crate) struct Head {
    /// The number of its last row; 0 if it has none.
    id: u64,
    /// The hash of that row, which binds all rows before it.
    hash: String,
}

/// Every error answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Error {
    error: ErrorInner,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorInner {
    /// What went wrong, for programs.
    code: String,
    /// What to do next, for people.
    message: String,
    /// More: for faults a list of `{path, message}`, for a refusal the gate, rule and findings.
    #[schema(value_type = Value, required = false)]
    details: Option<serde_json::Value>,
    /// The request, as logs and the journal show it.
    request_id: String,
}
