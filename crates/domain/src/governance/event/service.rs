//! `service.started` and `service.stopped`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;

/// The payload of `service.started`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStartedRecord<'a> {
    /// The service's version.
    pub version: Cow<'a, str>,
    /// The seed of agents that take their first step from here on.
    pub seed: u64,
    /// The policy's file as callers see it.
    pub policy: Cow<'a, str>,
}

impl Record for ServiceStartedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::ServiceStarted];

    fn is_effect(&self) -> bool {
        false
    }
}

/// The payload of `service.stopped`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServiceStoppedRecord {}

impl Record for ServiceStoppedRecord {
    const KINDS: &'static [EventKind] = &[EventKind::ServiceStopped];

    fn is_effect(&self) -> bool {
        false
    }
}
