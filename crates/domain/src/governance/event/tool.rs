//! `tool.requested` and `tool.finished`: the tool calls of agents, and their results.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::kind::EventKind;
use super::row::Record;
use crate::governance::gate::{GateNotes, Reason};

/// The decision about a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CallDecision {
    /// The call may proceed.
    Allow,
    /// The call needs an approval.
    Ask,
    /// The call is refused.
    Deny,
}

/// The refusal of a tool call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedCall<'a> {
    /// The error code that the caller received.
    pub code: Cow<'a, str>,
    /// The cause.
    pub reason: Reason,
    /// The gate that refused.
    pub gate: Cow<'a, str>,
    /// The rule, pattern or glob that decided.
    pub rule: Option<Cow<'a, str>>,
    /// The message that the caller received.
    pub message: Cow<'a, str>,
    /// Seconds after which a retry may pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after: Option<u64>,
}

/// The payload of `tool.requested`; `Q` is the request, [`crate::governance::request::RequestBody`] to
/// write it. A reader takes the request from the same object.
#[derive(Debug, Clone, Serialize)]
pub struct ToolRequestedRecord<'a, Q> {
    /// The decision.
    pub decision: CallDecision,
    /// The body of the call, redacted.
    #[serde(flatten)]
    pub request: Q,
    /// The refusal, unless the call may proceed.
    #[serde(flatten)]
    pub refusal: Option<RefusedCall<'a>>,
    /// The parsed commands of the call, redacted; absent for a call without commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<&'a RawValue>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
}

impl<Q: Serialize> Record for ToolRequestedRecord<'_, Q> {
    const KINDS: &'static [EventKind] = &[EventKind::ToolRequested];

    /// A call that waits for an approval is repeated with the same id, and must then be decided again.
    fn is_effect(&self) -> bool {
        self.decision != CallDecision::Ask
    }

    /// The row of a refused call says that it was refused.
    fn needs_permission(&self) -> bool {
        self.decision == CallDecision::Allow
    }

    fn may_omit_texts(&self) -> bool {
        true
    }
}

/// The payload of `tool.finished`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToolFinishedRecord<'a> {
    /// The row of the call.
    pub call: u64,
    /// The tool.
    pub tool: Cow<'a, str>,
    /// The host's session of the call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<Cow<'a, str>>,
    /// Whether the tool failed, if the caller says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_error: Option<bool>,
    /// The duration of the call in milliseconds, if the caller says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_ms: Option<u64>,
    /// SHA-256 of the result's compact JSON, in lower-case hexadecimal; absent without a result.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Cow<'a, str>>,
    /// Bytes of the result's compact JSON.
    pub size: usize,
    /// Ids of the patterns found in the result. They label the result and block nothing.
    pub labels: Vec<Cow<'a, str>>,
    /// The result, redacted; only if the policy keeps results.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<Cow<'a, str>>,
}

impl Record for ToolFinishedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::ToolFinished];

    fn may_omit_texts(&self) -> bool {
        true
    }
}
