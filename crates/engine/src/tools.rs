//! Tool calls: an agent asks before it calls a tool outside the service, and reports the result.

mod pins;
mod recorded;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use life_agent_domain::governance::command::{Gated, Kind, Tool};
use life_agent_domain::governance::event::{
    CallDecision, RefusedCall, ToolFinishedRecord, ToolRequestedRecord,
};
use life_agent_domain::governance::gate::{Denial, GateNotes, Permit, Reason};
use life_agent_domain::governance::request::RequestBody;
use life_agent_gates::risk::provenance::inspect_tool_result;
use life_agent_observer::Journal;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::approvals::{ApprovalUse, Requested};
use crate::context::RequestContext;
use crate::error::{DenialReport, EngineError};
use crate::govern::{Governor, Metered, nothing_else};
use crate::idempotency::{Claim, Effect, Idempotency, KeyedCall};
use crate::meters::{Meters, Whose};
use crate::policy::ActivePolicy;
use crate::recorder::{Batch, Recorder};
use crate::trace::{Span, SpanKind};
pub(crate) use recorded::{ReplayedCall, recorded};
use recorded::{denied, outcome_of, own_call, row, unreadable};

/// Longest result that is searched and kept, in bytes; the digest covers the whole result.
const MAX_RESULT: usize = 64 * 1024;
/// Most labels of a result.
const MAX_LABELS: usize = 32;

/// An allowed tool call.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolOutcome {
    /// Always `allow`; a refusal is an error.
    #[cfg_attr(feature = "openapi", schema(pattern = "^allow$"))]
    pub decision: &'static str,
    /// The row of the call.
    pub event_id: u64,
    /// The parsed commands, redacted; absent for a call without commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Object>>))]
    pub command: Option<Value>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: GateNotes,
}

/// The result of a tool call, as its caller reports it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolResult {
    /// Whether the tool failed.
    pub is_error: Option<bool>,
    /// The result.
    pub result: Option<Value>,
    /// The duration of the call in milliseconds.
    pub duration_ms: Option<u64>,
}

/// A recorded result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultOutcome {
    /// The row of the result.
    pub event_id: u64,
    /// Ids of the patterns found in the result. They label the result and block nothing.
    pub labels: Vec<String>,
}

/// Decides about tool calls and records their results.
pub(crate) struct ToolService {
    governor: Arc<Governor>,
    recorder: Recorder,
    journal: Journal,
    idempotency: Arc<Idempotency>,
    meters: Arc<Meters>,
}

/// A claim on the id of a call.
enum Claimed {
    /// The id is new; the context carries the claim.
    First(RequestContext),
    /// The row of the first call with the id.
    Row(u64),
}

impl ToolService {
    pub(crate) fn new(
        governor: Arc<Governor>,
        recorder: Recorder,
        journal: Journal,
        idempotency: Arc<Idempotency>,
        meters: Arc<Meters>,
    ) -> Self {
        Self { governor, recorder, journal, idempotency, meters }
    }

    /// Decides about a call. The decision is durable, whether the call is allowed or refused. A repeated
    /// `call_id` of the same caller gets the first decision.
    pub(crate) async fn request(
        &self,
        context: &RequestContext,
        tool: Tool,
    ) -> Result<ToolOutcome, EngineError> {
        let started = Instant::now();
        let claimed = match (&context.idempotency, &tool.call_id) {
            (None, Some(id)) => {
                let body = serde_json::to_vec(&RequestBody::from(tool.view()));
                let body = body.map_err(unreadable)?;
                let (method, path, key) = ("tool", "call", id.as_str());
                let call = KeyedCall { method, path, key, body: &body };
                match self.claim(context, call).await? {
                    Claimed::First(claimed) => Some(claimed),
                    Claimed::Row(id) => return outcome_of(&row(&self.journal, id).await?),
                }
            }
            _ => None,
        };
        let context = claimed.as_ref().unwrap_or(context);
        let mut span = context.span(SpanKind::Internal, || "execute_tool");
        let traced = context.below(&span);
        let context = traced.as_ref().unwrap_or(context);
        let policy = self.governor.policy();
        let judged =
            self.governor.judge_with(context, &policy, tool, Metered::Yes, &nothing_else).await?;
        match judged {
            Ok((permit, used)) => {
                describe_call(&mut span, "allow", permit.command().tool.as_str());
                let outcome = self.allow(context, &policy, &permit, used).await?;
                let whose = Whose::of(context, Some(&permit.command().agent));
                self.meters.done(Kind::Tool, whose, started);
                Ok(outcome)
            }
            Err(denial) => {
                describe_call(&mut span, "deny", denial.command.tool.as_str());
                let error = self.refuse(context, &policy, &denial).await;
                if matches!(error, EngineError::Denied(_)) {
                    let whose = Whose::of(context, Some(&denial.command.agent));
                    self.meters.refused(Kind::Tool, whose, started);
                }
                Err(error)
            }
        }
    }

    /// Records the call and, if it needed an approval, the use of the approval.
    async fn allow(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        permit: &Permit<Tool>,
        mut used: Option<ApprovalUse>,
    ) -> Result<ToolOutcome, EngineError> {
        self.meters.permitted(permit.trace());
        let (notes, tool) = (GateNotes::from(permit.trace()), permit.command());
        let command = self.governor.commands(policy, tool, permit.computed()).await?;
        let mut batch = Batch::new(context, &policy.snapshot.hash);
        push(&mut batch, tool, None, &notes, command.as_deref())?;
        if let Some(used) = &mut used {
            used.push(&mut batch)?;
        }
        let committed = self.recorder.commit(batch).await?;
        if let Some(used) = &mut used {
            used.recorded();
        }
        let event_id = committed.rows.first().map_or(committed.id, |row| row.id);
        let command = command.and_then(|raw| serde_json::from_str(raw.get()).ok());
        Ok(ToolOutcome { decision: "allow", event_id, command, notes })
    }

    /// Records the refusal of a call, with a request for an approval if the call needs one.
    async fn refuse(
        &self,
        context: &RequestContext,
        policy: &Arc<ActivePolicy>,
        denial: &Denial<Tool>,
    ) -> EngineError {
        let (notes, refusal) = (GateNotes::from(&denial.trace), &denial.refusal);
        self.meters.denied(refusal.reason, Whose::of(context, Some(&denial.command.agent)));
        let record = |batch: &mut Batch<'_>, message: &str| {
            push(batch, &denial.command, Some(refused(denial, message)), &notes, None)
        };
        if denial.approvable().is_none() {
            let mut batch = Batch::new(context, &policy.snapshot.hash);
            let written = match record(&mut batch, &refusal.message) {
                Ok(()) => self.recorder.commit(batch).await,
                Err(error) => Err(error),
            };
            return match written {
                Ok(written) => {
                    let refused = refused(denial, &refusal.message);
                    let limit = self.governor.exceeded_limit(denial);
                    match denied(&refused, written.id, None, notes.clone()) {
                        EngineError::Denied(report) => {
                            EngineError::Denied(Box::new(DenialReport { limit, ..*report }))
                        }
                        error => error,
                    }
                }
                Err(error) => error,
            };
        }
        let known = denial.computed();
        let command = match self.governor.commands(policy, &denial.command, known).await {
            Ok(command) => command,
            Err(error) => return error,
        };
        let approvals = &self.governor.approvals;
        let none = Value::Null;
        match approvals.request(context, policy, denial, &none, command, &record).await {
            Ok(Requested { event_id, approval, message }) => {
                denied(&refused(denial, &message), event_id, approval, notes.clone())
            }
            Err(error) => error,
        }
    }

    /// Records the result of an allowed call, once.
    pub(crate) async fn finish(
        &self,
        context: &RequestContext,
        call: u64,
        result: ToolResult,
    ) -> Result<ResultOutcome, EngineError> {
        let requested = own_call(&row(&self.journal, call).await, context, call)?;
        let text = result.result.as_ref().map(Value::to_string);
        let body = serde_json::to_vec(&(&text, result.is_error, result.duration_ms));
        let (body, key) = (body.map_err(unreadable)?, call.to_string());
        let keyed = KeyedCall { method: "tool", path: "result", key: &key, body: &body };
        let claimed = match self.claim(context, keyed).await? {
            Claimed::First(claimed) => claimed,
            Claimed::Row(id) => {
                let finished = row(&self.journal, id).await?;
                let finished: ToolFinishedRecord<'_> = finished.read().map_err(unreadable)?;
                let labels = finished.labels.into_iter().map(Cow::into_owned).collect();
                return Ok(ResultOutcome { event_id: id, labels });
            }
        };
        let policy = self.governor.policy();
        let seen = text.as_deref().map(bounded).unwrap_or_default();
        let mut labels: Vec<String> = Vec::new();
        for found in inspect_tool_result(seen) {
            if labels.len() < MAX_LABELS && !labels.iter().any(|label| *label == found.rule) {
                labels.push(found.rule.into_owned());
            }
        }
        let (redactor, hash) = (policy.chain.redactor(), &policy.snapshot.hash);
        let keep = policy.snapshot.policy.tools.keep_results;
        let record = ToolFinishedRecord {
            call,
            tool: requested.tool.into(),
            session_id: requested.session_id.map(Into::into),
            is_error: result.is_error,
            duration_ms: result.duration_ms,
            digest: text.as_ref().map(|text| hex::encode(Sha256::digest(text)).into()),
            size: text.as_ref().map_or(0, String::len),
            labels: labels.iter().map(|label| label.as_str().into()).collect(),
            result: (keep && !seen.is_empty()).then(|| redactor.redact(seen)),
        };
        let agent = requested.agent.as_ref();
        let event_id = self.recorder.record(&claimed, hash, agent, &record, Vec::new()).await?;
        Ok(ResultOutcome { event_id, labels })
    }

    /// The row of the caller's call with this id.
    pub(crate) async fn call(
        &self,
        context: &RequestContext,
        call_id: &str,
    ) -> Result<Option<u64>, EngineError> {
        let call = KeyedCall { method: "tool", path: "call", key: call_id, body: b"" };
        self.idempotency.row_of(context, call).await
    }

    async fn claim(
        &self,
        context: &RequestContext,
        call: KeyedCall<'_>,
    ) -> Result<Claimed, EngineError> {
        let conflict = |text: &str| Err(EngineError::Conflict(text.to_owned()));
        match self.idempotency.claim(context, call).await? {
            Claim::First(mark) => Ok(Claimed::First(context.clone().with_idempotency(Some(mark)))),
            Claim::Unanswered(Effect::Row(id)) => Ok(Claimed::Row(id)),
            Claim::OtherBody => conflict("an earlier call with this id had other content"),
            Claim::UnderWay | Claim::Answered(_) | Claim::Unanswered(Effect::Job(_)) => {
                conflict("an earlier call with this id is still running; repeat the call")
            }
        }
    }
}

/// Describes the span of a call that was decided. The name is that of the redacted call.
pub(crate) fn describe_call(span: &mut Span, decision: &'static str, tool: &str) {
    span.rename(|| format!("execute_tool {tool}"));
    span.set("gen_ai.operation.name", "execute_tool");
    span.set_text("gen_ai.tool.name", tool);
    span.set("life_agent.decision", decision);
}

/// Adds the row of a call.
fn push(
    batch: &mut Batch<'_>,
    tool: &Tool,
    refusal: Option<RefusedCall<'_>>,
    notes: &GateNotes,
    command: Option<&RawValue>,
) -> Result<(), EngineError> {
    let decision = match refusal.as_ref().map(|refusal| refusal.reason) {
        None => CallDecision::Allow,
        Some(Reason::ApprovalRequired) => CallDecision::Ask,
        Some(_) => CallDecision::Deny,
    };
    let (request, notes) = (RequestBody::from(tool.view()), Cow::Borrowed(notes));
    let record = ToolRequestedRecord { decision, request, refusal, command, notes };
    batch.push(Some(&tool.agent), &record)
}

/// The recorded part of a refusal.
fn refused<'a>(denial: &'a Denial<Tool>, message: &'a str) -> RefusedCall<'a> {
    let refusal = &denial.refusal;
    RefusedCall {
        code: refusal.reason.code_for(Kind::Tool).into(),
        reason: refusal.reason,
        gate: denial.gate.into(),
        rule: refusal.rule.as_deref().map(Into::into),
        message: message.into(),
        retry_after: refusal.retry_after,
    }
}

/// The beginning of a text, up to [`MAX_RESULT`] bytes.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_RESULT)]
}
