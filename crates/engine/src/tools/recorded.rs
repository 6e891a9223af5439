//! Recorded tool calls: responses to repetitions, the calls that results belong to, and replays.

use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::event::{CallDecision, EventKind, RefusedCall, Row};
use life_agent_domain::governance::gate::{GateNotes, Reason};
use life_agent_domain::governance::ids::AgentId;
use life_agent_domain::governance::request::Request;
use life_agent_observer::Journal;
use serde::Deserialize;
use serde_json::Value;

use super::ToolOutcome;
use crate::approvals::PendingApproval;
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};

/// Every gate that can refuse a tool call; reports name a gate by a static text.
const GATES: [&str; 9] =
    ["kill_switch", "rate", "tools", "command", "risk", "paths", "rules", "opa", "pins"];

/// A call as its row keeps it.
#[derive(Deserialize)]
struct RecordedCall {
    decision: CallDecision,
    tool: String,
    session_id: Option<String>,
    command: Option<Value>,
    #[serde(flatten)]
    notes: GateNotes,
}

/// The call that a result belongs to.
pub(super) struct OwnCall {
    pub(super) tool: String,
    pub(super) session_id: Option<String>,
    pub(super) agent: Option<AgentId>,
}

/// A call and the gate and rule that refused it, for a replay.
pub(crate) struct ReplayedCall {
    pub(crate) request: Request,
    /// The gate and its rule; `None` for an allowed call.
    pub(crate) refused_by: Option<String>,
    /// Whether the row contains everything that the decision depended on.
    pub(crate) repeatable: bool,
}

/// A row by its number.
pub(super) async fn row(journal: &Journal, id: u64) -> Result<Row, EngineError> {
    let row = journal.row(id).await?;
    row.ok_or_else(|| EngineError::NotFound(format!("there is no row {id}")))
}

/// The response that a recorded call had.
pub(super) fn outcome_of(row: &Row) -> Result<ToolOutcome, EngineError> {
    let call: RecordedCall = serde_json::from_str(row.data.get()).map_err(unreadable)?;
    if call.decision != CallDecision::Allow {
        let refusal: RefusedCall<'_> = serde_json::from_str(row.data.get()).map_err(unreadable)?;
        return Err(denied(&refusal, row.id, None, call.notes));
    }
    let RecordedCall { command, notes, .. } = call;
    Ok(ToolOutcome { decision: "allow", event_id: row.id, command, notes })
}

/// The call of a row, if this caller made it and it was allowed.
pub(super) fn own_call(
    row: &Result<Row, EngineError>,
    context: &RequestContext,
    id: u64,
) -> Result<OwnCall, EngineError> {
    let missing = || EngineError::NotFound(format!("there is no tool call {id} of this caller"));
    let row = match row {
        Ok(row) => row,
        Err(EngineError::NotFound(_)) => return Err(missing()),
        Err(_) => return Err(EngineError::Unavailable),
    };
    if !row.is(EventKind::ToolRequested) || row.principal != context.principal.as_str() {
        return Err(missing());
    }
    let call: RecordedCall = serde_json::from_str(row.data.get()).map_err(unreadable)?;
    if call.decision != CallDecision::Allow {
        return Err(EngineError::Conflict(format!("the tool call {id} was refused")));
    }
    let agent = row.agent_id.as_deref().and_then(|id| AgentId::new(id).ok());
    Ok(OwnCall { tool: call.tool, session_id: call.session_id, agent })
}

/// A recorded call for a replay.
pub(crate) fn recorded(row: &Row) -> Result<ReplayedCall, serde_json::Error> {
    let data = row.data.get();
    let call: RecordedCall = serde_json::from_str(data)?;
    let agent = Some(row.agent_id.as_deref().unwrap_or_default());
    let request = Request::read(Kind::Tool, agent, data)?;
    if call.decision == CallDecision::Allow {
        return Ok(ReplayedCall { request, refused_by: None, repeatable: true });
    }
    let refusal: RefusedCall<'_> = serde_json::from_str(data)?;
    let refused_by = match &refusal.rule {
        Some(rule) => format!("{}/{rule}", refusal.gate),
        None => refusal.gate.as_ref().to_owned(),
    };
    let repeatable = !refusal.reason.is_transient() && !call.notes.mention_secret();
    Ok(ReplayedCall { request, refused_by: Some(refused_by), repeatable })
}

/// The error of a refused call.
pub(super) fn denied(
    refusal: &RefusedCall<'_>,
    event_id: u64,
    approval: Option<PendingApproval>,
    notes: GateNotes,
) -> EngineError {
    let gate = GATES.into_iter().find(|gate| *gate == refusal.gate).unwrap_or("policy");
    // Every judgment of a tool call has one code; the row keeps the cause.
    let judged = refusal.reason.code_for(Kind::Tool) == Reason::ToolDenied.code();
    EngineError::Denied(Box::new(DenialReport {
        reason: if judged { Reason::ToolDenied } else { refusal.reason },
        gate,
        rule: refusal.rule.as_deref().map(str::to_owned),
        message: refusal.message.as_ref().to_owned(),
        retry_after: refusal.retry_after,
        limit: None,
        resets_at: None,
        withheld: false,
        event_id,
        score: notes.score,
        findings: notes.findings,
        applied_policies: notes.applied_policies,
        approval,
    }))
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> EngineError {
    tracing::error!(%error, "a tool call cannot be written or read");
    EngineError::Unavailable
}
