//! `approval.requested`, `approval.decided`, `approval.used` and `approval.expired`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::kind::EventKind;
use super::row::Record;
use crate::governance::command::Kind;
use crate::governance::gate::GateNotes;

/// The payload of `approval.requested`; `Q` is the request, [`crate::governance::request::RequestBody`] to
/// write it and raw JSON to read it. The number of the row is the approval's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequestedRecord<'a, Q = Box<RawValue>> {
    /// The caller that may repeat the request.
    pub principal: Cow<'a, str>,
    /// The person accountable for the caller.
    pub person: Option<Cow<'a, str>>,
    /// The agent that the request is for.
    pub agent_id: Option<Cow<'a, str>>,
    /// The kind of the request.
    pub kind: Kind,
    /// The request in a line.
    pub summary: Cow<'a, str>,
    /// Keyed digest of what the approval is bound to.
    pub digest: Cow<'a, str>,
    /// Keyed fingerprint of the caller's key; absent for a caller without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Cow<'a, str>>,
    /// The first moment at which the approval can no longer be decided or used: RFC 3339, UTC.
    pub expires_at: Cow<'a, str>,
    /// The gate that asked.
    pub gate: Cow<'a, str>,
    /// The rule or class that asked.
    pub rule: Option<Cow<'a, str>>,
    /// The reason, as the caller received it.
    pub message: Cow<'a, str>,
    /// The body of the request, redacted.
    pub request: Q,
    /// The rest of what the caller sent, redacted: the edits of a plan, the parameters of a model call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rest: Option<Cow<'a, Value>>,
    /// The parsed commands of a tool call, redacted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<Box<RawValue>>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
}

impl<Q: Serialize> Record for ApprovalRequestedRecord<'_, Q> {
    const KINDS: &'static [EventKind] = &[EventKind::ApprovalRequested];

    fn is_effect(&self) -> bool {
        false
    }
}

/// A person's decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ApprovalDecision {
    /// The caller may repeat the request once.
    Approve,
    /// The request stays refused.
    Deny,
}

/// The payload of `approval.decided`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalDecidedRecord<'a> {
    /// The approval.
    pub approval_id: u64,
    /// The decision.
    pub decision: ApprovalDecision,
    /// The reason.
    pub note: Cow<'a, str>,
    /// The person who decided, where known. The row names the principal.
    pub person: Option<Cow<'a, str>>,
}

impl Record for ApprovalDecidedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::ApprovalDecided];
}

/// The payload of `approval.used`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalUsedRecord {
    /// The approval.
    pub approval_id: u64,
}

impl Record for ApprovalUsedRecord {
    const KINDS: &'static [EventKind] = &[EventKind::ApprovalUsed];

    /// The row of the request itself records its effect.
    fn is_effect(&self) -> bool {
        false
    }
}

/// The payload of `approval.expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalExpiredRecord {
    /// The approval.
    pub approval_id: u64,
}

impl Record for ApprovalExpiredRecord {
    const KINDS: &'static [EventKind] = &[EventKind::ApprovalExpired];

    fn is_effect(&self) -> bool {
        false
    }
}
