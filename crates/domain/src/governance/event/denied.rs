//! `gate.denied`: refused requests.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::kind::EventKind;
use super::row::{Record, UnreadableRow};
use crate::governance::command::Kind;
use crate::governance::gate::{GateNotes, Reason};
use crate::governance::request::Request;

/// The largest denied conversation that a row records with its texts, in bytes of JSON.
const MAX_DENIED: usize = 4 * 1024 * 1024;

/// The payload of `gate.denied`; `Q` is the request, [`crate::governance::request::RequestBody`] to
/// write it and raw JSON to read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeniedRecord<'a, Q = Box<RawValue>> {
    /// The kind of the request.
    pub kind: Kind,
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
    /// The body of the refused call, redacted.
    pub request: Q,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
}

/// The payload of `gate.denied` for requests that the caller's key does not permit. It contains nothing
/// of their bodies, which are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDeniedRecord<'a> {
    /// The error code that the caller received, also the cause.
    pub code: Cow<'a, str>,
    /// The label that metrics count.
    pub reason: Cow<'a, str>,
    /// Always [`AccessDeniedRecord::GATE`].
    pub gate: Cow<'a, str>,
    /// The missing scope, the forbidden agent or the setting of the limit; absent if the row stands for requests of several kinds.
    pub rule: Option<Cow<'a, str>>,
    /// The message that the caller received.
    pub message: Cow<'a, str>,
    /// The number of requests that the row stands for.
    pub count: u64,
}

impl AccessDeniedRecord<'_> {
    /// The `gate` of these rows.
    pub const GATE: &'static str = "access";
}

impl Record for AccessDeniedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::Denied];

    fn is_effect(&self) -> bool {
        false
    }
}

impl<Q: Serialize> Record for DeniedRecord<'_, Q> {
    const KINDS: &'static [EventKind] = &[EventKind::Denied];

    fn may_omit_texts(&self) -> bool {
        true
    }

    fn largest_shared(&self) -> usize {
        if self.kind == Kind::Chat { MAX_DENIED } else { 0 }
    }

    fn is_effect(&self) -> bool {
        false
    }
}

impl<Q> DeniedRecord<'_, Q> {
    /// The gate and its rule: `gate/rule`, or `gate` if no rule decided.
    pub fn decided_by(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{}/{rule}", self.gate),
            None => self.gate.as_ref().to_owned(),
        }
    }

    /// Whether a replay can repeat the decision: not if it depended on the moment, on a credential,
    /// which is not kept, or on the edits of a plan, which the checks named `plans` judge.
    pub fn is_repeatable(&self) -> bool {
        !self.reason.is_transient() && self.gate != "plans" && !self.notes.mention_secret()
    }
}

impl DeniedRecord<'_> {
    /// The refused request.
    pub fn refused(&self) -> Result<Request, UnreadableRow> {
        Ok(Request::read(self.kind, None, self.request.get())?)
    }
}
