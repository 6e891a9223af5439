//! What is kept of every step: entries that go into the journal, and rows that come out of it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::governance::ids::AgentId;

/// What a row is about; the name of its event on `/events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// An act was applied.
    Act,
    /// A turn was taken.
    Turn,
    /// A plan passed the gates.
    Plan,
    /// A plan's artifact exists.
    PlanCreated,
    /// A plan was approved or rejected.
    PlanReviewed,
    /// A gate refused a request.
    Denied,
    /// A policy came into force.
    PolicyReload,
    /// A policy was refused; the one before stays.
    PolicyRejected,
    /// The model answered a conversation.
    Chat,
    /// The kill switch went on.
    KillSwitchOn,
    /// The kill switch went off.
    KillSwitchOff,
    /// The service began to serve.
    ServiceStarted,
    /// The service stopped cleanly.
    ServiceStopped,
    /// Retention removed the oldest rows; states the last of them, so that the rest still verifies.
    JournalPruned,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 14] = [
        EventKind::Act,
        EventKind::Turn,
        EventKind::Plan,
        EventKind::PlanCreated,
        EventKind::PlanReviewed,
        EventKind::Denied,
        EventKind::PolicyReload,
        EventKind::PolicyRejected,
        EventKind::Chat,
        EventKind::KillSwitchOn,
        EventKind::KillSwitchOff,
        EventKind::ServiceStarted,
        EventKind::ServiceStopped,
        EventKind::JournalPruned,
    ];

    /// The name in the journal and on the stream.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Act => "obs.act",
            EventKind::Turn => "obs.turn",
            EventKind::Plan => "obs.plan",
            EventKind::PlanCreated => "plan.created",
            EventKind::PlanReviewed => "plan.reviewed",
            EventKind::Denied => "gate.denied",
            EventKind::PolicyReload => "policy.reload",
            EventKind::PolicyRejected => "policy.rejected",
            EventKind::Chat => "llm.chat",
            EventKind::KillSwitchOn => "kill_switch.on",
            EventKind::KillSwitchOff => "kill_switch.off",
            EventKind::ServiceStarted => "service.started",
            EventKind::ServiceStopped => "service.stopped",
            EventKind::JournalPruned => "journal.pruned",
        }
    }

    /// Whether rows of this kind change the state of their agent.
    pub fn is_step(self) -> bool {
        matches!(self, EventKind::Act | EventKind::Turn)
    }
}

/// What is to be recorded. The journal gives it a number, a time and its place in the chain.
#[derive(Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: EventKind,
    /// The agent concerned, if any.
    pub agent: Option<AgentId>,
    /// Who caused it: the name of a key, or `system`.
    pub principal: String,
    /// The request that caused it; empty for what the service does by itself.
    pub request_id: String,
    /// A JSON object, serialised once and for all.
    pub data: Box<RawValue>,
}

/// A recorded entry, as callers see it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Row {
    /// Its number: 1, 2, 3 … without a gap. Also the id of its event.
    pub id: u64,
    /// When it was recorded: RFC 3339, UTC, microseconds.
    pub ts: String,
    /// [`EventKind::as_str`] of its kind.
    pub kind: String,
    /// The agent concerned.
    pub agent_id: Option<String>,
    /// Who caused it.
    pub principal: String,
    /// The request that caused it.
    pub request_id: String,
    /// What happened.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Box<RawValue>,
    /// [`Row::hash`] of the row before; 64 zeros for the first.
    pub prev_hash: String,
    /// SHA-256 that binds this row to all before it; the formula stands in `observer::chain`.
    pub hash: String,
}
