//! The shapes of what the engine answers with, for the OpenAPI document.
//!
//! The domain does not know OpenAPI, so its types are described here once more. `tests/openapi.rs`
//! compares the descriptions with real answers.
#![expect(dead_code, reason = "only the schemas of these are used")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Points that a step changed; what did not change is left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deltas {
    #[schema(minimum = -100, maximum = 100)]
    energy: Option<i8>,
    #[schema(minimum = -100, maximum = 100)]
    focus: Option<i8>,
    #[schema(minimum = -100, maximum = 100)]
    knowledge: Option<i8>,
    #[schema(minimum = -100, maximum = 100)]
    stability: Option<i8>,
}

/// How a turn went.
#[derive(Serialize, ToSchema)]
pub(crate) struct TurnResult {
    /// The agent's n-th turn, from 1.
    number: u64,
    /// What the input was taken to mean.
    intent: String,
    /// The action that was tried.
    action: Option<String>,
    /// The d20.
    #[schema(minimum = 1, maximum = 20)]
    roll: u8,
    /// What the vitals add to it.
    bonus: i8,
    /// What roll and bonus had to reach.
    difficulty: u8,
    /// What came of it.
    outcome: Outcome,
    /// What it changed.
    deltas: Deltas,
}

/// What came of a turn.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A 20: gains count double.
    CriticalSuccess,
    /// Difficulty reached.
    Success,
    /// Missed by at most 4: half the gains.
    Partial,
    /// Missed: only the costs.
    Failure,
    /// A 1: only the costs, and double.
    CriticalFailure,
}

/// Everything an agent is.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentState {
    /// The seed of its draws.
    seed: u64,
    /// How many steps have been applied.
    version: u64,
    /// How many of them were turns.
    turns: u64,
    /// How often each action was done.
    actions: BTreeMap<String, u64>,
    /// How it is.
    vitals: Vitals,
    /// Its last turns, oldest first.
    memory: Vec<Memory>,
    /// What it was told to keep in mind, oldest first; left out while there is nothing.
    #[schema(required = false, nullable = false)]
    facts: Vec<super::memory::Fact>,
}

/// Four measures of 0 to 100.
#[derive(Serialize, ToSchema)]
pub(crate) struct Vitals {
    #[schema(maximum = 100)]
    energy: u8,
    #[schema(maximum = 100)]
    focus: u8,
    #[schema(maximum = 100)]
    knowledge: u8,
    #[schema(maximum = 100)]
    stability: u8,
}

/// One turn as an agent remembers it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Memory {
    /// The state version that the step led to.
    version: u64,
    /// What happened, in a line.
    text: String,
}

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

/// An agent in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentSummary {
    agent_id: String,
    /// How many steps it has taken.
    state_version: u64,
    /// How many of them were turns.
    turns: u64,
    /// When it took the last: RFC 3339, UTC.
    last_seen: String,
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

/// One edit of a plan. Several of one file take effect in their order.
#[derive(Serialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Edit {
    /// The file, which exists, becomes `content`.
    Replace { path: String, content: String },
    /// `search`, which occurs exactly once in the file, becomes `replace`.
    SearchReplace { path: String, search: String, replace: String },
    /// The file, which does not exist, comes into being.
    Create { path: String, content: String },
    /// The file, which exists, goes away.
    Delete { path: String },
}

/// How large a plan is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    /// Files, a rename counted once.
    files: usize,
    /// Lines added.
    added: usize,
    /// Lines removed.
    removed: usize,
}

/// A plan in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanSummary {
    id: String,
    /// How far it has come.
    status: PlanStatus,
    /// What the change is for.
    intent: String,
    /// When it was made: RFC 3339, UTC.
    created: String,
    /// The row that created it.
    event_id: u64,
    /// Who asked for it.
    author: String,
    /// How large it is.
    stats: Stats,
}

/// How far a plan has come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlanStatus {
    /// It waits for a review.
    Created,
    /// It may become a branch.
    Approved,
    /// It goes no further.
    Rejected,
    /// Its branch has been made.
    Branched,
}

/// A plan in full.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanView {
    #[serde(flatten)]
    summary: PlanSummary,
    /// What a reviewer should know.
    context: String,
    /// The paths that it is about.
    target_files: Vec<String>,
    /// Whether files have changed since it was made, so that it no longer applies.
    stale: bool,
    /// Those files.
    stale_files: Vec<String>,
    /// Whether it has a patch; a statement of intent has none.
    has_patch: bool,
    /// What was checked.
    checks: Vec<PlanCheck>,
    /// SHA-256 of the policy that it was made under.
    policy_hash: String,
    /// The rules that matched.
    applied_policies: Vec<String>,
    /// The commit that the workspace was at, if it is a git tree.
    base_commit: Option<String>,
    /// Its record's path.
    artifact: String,
    /// The model that wrote the edits; `null` if the author did.
    drafted_by: Option<super::plan::DraftedBy>,
    /// What was said about it.
    review: Option<PlanReview>,
}

/// One check that a plan passed.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanCheck {
    /// What was checked.
    check: String,
    /// `passed`, or `not_applicable` for a statement of intent.
    result: String,
    /// What it was checked against.
    detail: String,
}

/// What was said about a plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanReview {
    decision: PlanDecision,
    /// Why; may be empty.
    note: String,
    /// Who said it: the name of a key.
    reviewer: String,
    /// When: RFC 3339, UTC.
    at: String,
}

/// What a reviewer says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlanDecision {
    /// It may be carried out.
    Approve,
    /// It may not.
    Reject,
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
