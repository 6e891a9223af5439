//! Approvals as callers see them.

use jiff::Timestamp;
use life_agent_domain::governance::approval::Status;
use life_agent_domain::governance::command::{Command, Kind};
use life_agent_domain::governance::event::{ApprovalDecision, ApprovalRequestedRecord, Row};
use life_agent_domain::governance::gate::GateNotes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::desk::Shown;
use crate::error::EngineError;

/// Longest summary, in characters.
const MAX_SUMMARY: usize = 240;

/// An approval that a refused request waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PendingApproval {
    /// The approval: the number of the row that records the request for it.
    pub approval_id: u64,
    /// Where a person decides about it.
    pub url: String,
    /// The first moment at which it can no longer be decided or used: RFC 3339, UTC.
    pub expires_at: String,
}

/// An approval in a list.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalSummary {
    /// The approval: the number of the row that records the request for it.
    pub approval_id: u64,
    /// `pending`, `approved`, `denied`, `used` or `expired`.
    pub status: Status,
    /// The kind of the request.
    pub kind: Kind,
    /// The request in a line, redacted.
    pub summary: String,
    /// The caller that may repeat the request.
    pub principal: String,
    /// The person accountable for the caller.
    pub person: Option<String>,
    /// The agent that the request is for.
    pub agent_id: Option<String>,
    /// The time of the request: RFC 3339, UTC.
    pub created: String,
    /// The first moment at which it can no longer be decided or used: RFC 3339, UTC.
    pub expires_at: String,
    /// The decision; `None` before it.
    pub decided: Option<ApprovalDecided>,
}

/// A decision about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalDecided {
    /// The decision.
    pub decision: ApprovalDecision,
    /// The caller that decided.
    pub principal: String,
    /// The person accountable for that caller.
    pub person: Option<String>,
    /// The reason.
    pub note: String,
    /// The time: RFC 3339, UTC.
    pub at: String,
}

/// An approval with its request.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalView {
    /// The summary.
    #[serde(flatten)]
    pub summary: ApprovalSummary,
    /// The gate that asked.
    pub gate: String,
    /// The rule or class that asked.
    pub rule: Option<String>,
    /// The reason.
    pub message: String,
    /// The policy that asked. Under another policy, the approval cannot be used.
    pub policy_hash: String,
    /// Digest of what the approval is bound to.
    pub digest: String,
    /// The body of the request as it was recorded, redacted.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub request: Box<RawValue>,
    /// The same as a text, byte for byte, for readers whose JSON parser changes numbers.
    pub request_text: String,
    /// The rest of what the caller sent, redacted: the edits of a plan, the parameters of a model call.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub rest: Option<Value>,
    /// The parsed commands of a tool call and their effects.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Object>>))]
    pub command: Option<Box<RawValue>>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: GateNotes,
    /// Whether the caller of this request may decide about it.
    pub may_decide: bool,
}

impl Shown {
    pub(super) fn summary(&self, approval_id: u64, now: u64) -> ApprovalSummary {
        ApprovalSummary {
            approval_id,
            status: self.status_at(now),
            kind: self.kind,
            summary: self.summary.clone(),
            principal: self.principal.clone(),
            person: self.person.clone(),
            agent_id: self.agent.as_ref().map(|agent| agent.as_str().to_owned()),
            created: self.created.clone(),
            expires_at: time(self.expires),
            decided: self.decided.clone(),
        }
    }
}

impl ApprovalView {
    pub(super) fn of(
        summary: ApprovalSummary,
        row: &Row,
        may_decide: bool,
    ) -> Result<Self, EngineError> {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::error!(row = row.id, %error, "a request for an approval cannot be read");
            EngineError::Unavailable
        };
        let record: ApprovalRequestedRecord<'_> = row.read().map_err(|error| unreadable(&error))?;
        let envelope = row.envelope().map_err(|error| unreadable(&error))?;
        Ok(Self {
            summary,
            gate: record.gate.into_owned(),
            rule: record.rule.map(Into::into),
            message: record.message.into_owned(),
            policy_hash: envelope.policy_hash.into_owned(),
            digest: record.digest.into_owned(),
            request_text: record.request.get().to_owned(),
            request: record.request,
            rest: record.rest.map(std::borrow::Cow::into_owned),
            command: record.command,
            notes: record.notes.into_owned(),
            may_decide,
        })
    }
}

/// A time in milliseconds since 1970 as text: RFC 3339, UTC.
pub(super) fn time(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).map(Timestamp::from_millisecond);
    format!("{:.6}", time.ok().and_then(Result::ok).unwrap_or(Timestamp::MAX))
}

/// A redacted command in a line.
pub(super) fn summary_of(command: Command<'_>) -> String {
    let text = match command {
        Command::Act(act) => format!("{} {}", act.action, compact(act.payload.as_object())),
        Command::Turn(turn) => turn.input.clone(),
        Command::Plan(plan) => plan.intent.clone(),
        Command::Chat(chat) => {
            chat.messages.last().map(|message| message.content.clone()).unwrap_or_default()
        }
        Command::Tool(tool) => format!("{} {}", tool.tool, compact(tool.arguments.as_object())),
    };
    let mut line: String = text.chars().take(MAX_SUMMARY).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
