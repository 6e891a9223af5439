//! The messages: what a row of an approval or a plan becomes for the webhook.

use jiff::Timestamp;
use life_agent_domain::governance::event::{
    ApprovalRequestedRecord, EventKind, PlanCreatedRecord, Row, UnreadableRow,
};
use life_agent_domain::governance::redaction::Redact;
use serde_json::{Value, json};

use crate::chat::text_extraction::clean;
use crate::trace::TraceId;

/// How long a message about a plan is worth sending, in milliseconds.
const PLAN_MS: u64 = 24 * 60 * 60 * 1000;

/// A message that is to be delivered.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The row that it is about.
    pub(super) about: u64,
    /// The plan that it is about.
    pub(super) plan: Option<String>,
    /// Unique, and the same in every attempt and after a restart.
    pub(super) id: String,
    /// The trace of the request that wrote the row.
    pub(super) trace: Option<TraceId>,
    /// The JSON text.
    pub(super) body: String,
    /// When it is no longer worth sending, in milliseconds since 1970.
    pub(super) until: u64,
    /// Attempts so far.
    pub(super) attempts: u32,
    /// The next attempt, in milliseconds since 1970.
    pub(super) due: u64,
}

/// The data of a message, before it is redacted.
struct Draft {
    kind: &'static str,
    data: Value,
    plan: Option<String>,
    until: u64,
}

impl Message {
    /// The message about a row; `None` for rows of other kinds. `intent` is that of the plan.
    pub(super) fn about(
        row: &Row,
        public_url: &str,
        intent: Option<&str>,
        redactor: &dyn Redact,
    ) -> Result<Option<Self>, UnreadableRow> {
        let draft = match row.event_kind() {
            Some(EventKind::ApprovalRequested) => approval(row, public_url)?,
            Some(EventKind::PlanCreated) => plan(row, public_url, intent)?,
            _ => return Ok(None),
        };
        let Draft { kind, data, plan, until } = draft;
        // Rows are redacted when they are written; the policy may know more secrets by now.
        let body = json!({"type": kind, "timestamp": row.ts, "data": clean(data, redactor)});
        let hash = row.hash.get(..16).unwrap_or(&row.hash);
        Ok(Some(Self {
            about: row.id,
            plan,
            id: format!("msg_{}_{hash}", row.id),
            trace: row.envelope().ok().and_then(|shared| TraceId::read(&shared.trace_id?)),
            body: body.to_string(),
            until,
            attempts: 0,
            due: 0,
        }))
    }
}

fn approval(row: &Row, public_url: &str) -> Result<Draft, UnreadableRow> {
    let record: ApprovalRequestedRecord<'_> = row.read()?;
    let data = json!({
        "approval_id": row.id,
        "url": format!("{public_url}/ui#/approvals/{}", row.id),
        "principal": record.principal,
        "person": record.person,
        "agent_id": record.agent_id,
        "kind": record.kind,
        "summary": record.summary,
        "gate": record.gate,
        "rule": record.rule,
        "message": record.message,
        "expires_at": record.expires_at,
    });
    let until = milliseconds(&record.expires_at).unwrap_or_default();
    Ok(Draft { kind: EventKind::ApprovalRequested.as_str(), data, plan: None, until })
}

fn plan(row: &Row, public_url: &str, intent: Option<&str>) -> Result<Draft, UnreadableRow> {
    let record: PlanCreatedRecord = row.read()?;
    let data = json!({
        "plan_id": record.id,
        "event_id": row.id,
        "url": format!("{public_url}/ui#/plans/{}", record.id),
        "author": record.author,
        "person": record.author_person,
        "intent": intent,
        "stats": record.stats,
        "drafted_by": record.drafted_by.map(|by| by.model),
    });
    let until = milliseconds(&row.ts).unwrap_or_default().saturating_add(PLAN_MS);
    Ok(Draft { kind: EventKind::PlanCreated.as_str(), data, plan: Some(record.id), until })
}

/// A time in milliseconds since 1970.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}
