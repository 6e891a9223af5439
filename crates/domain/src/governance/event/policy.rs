//! `policy.reload` and `policy.rejected`: changes of the active policy.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;
use crate::governance::fault::Fault;

/// What triggered a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A request.
    Call,
    /// A change of a file.
    FileChange,
}

/// The payload of `policy.reload`. The hash of the new policy is in the envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyReloadRecord<'a> {
    /// The file as callers see it.
    pub path: Cow<'a, str>,
    /// The hash of the policy that was active before.
    pub previous_hash: Cow<'a, str>,
    /// The number of rules.
    pub rule_count: usize,
    /// The trigger.
    pub trigger: Trigger,
}

impl Record for PolicyReloadRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::PolicyReload];
}

/// The payload of `policy.rejected`. The policy in the envelope stays active.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyRejectedRecord<'a> {
    /// The file as callers see it.
    pub path: Cow<'a, str>,
    /// All errors of the document.
    pub faults: Cow<'a, [Fault]>,
    /// The trigger.
    pub trigger: Trigger,
}

impl Record for PolicyRejectedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::PolicyRejected];

    fn may_omit_texts(&self) -> bool {
        true
    }

    fn is_effect(&self) -> bool {
        false
    }
}
