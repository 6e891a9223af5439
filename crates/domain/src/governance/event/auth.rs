//! `auth.failed`: requests without a known key.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;

/// The payload of `auth.failed`: at most one row per minute and peer. It contains nothing of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthFailedRecord<'a> {
    /// The address of the peer, its network for IPv6, or `others`.
    pub peer: Cow<'a, str>,
    /// The number of requests that the row stands for.
    pub count: u64,
}

impl Record for AuthFailedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::AuthFailed];

    fn is_effect(&self) -> bool {
        false
    }
}
