//! `kill_switch.on` and `kill_switch.off`.

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;

/// The payload of both kinds, and the stored state of the switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSwitchRecord {
    /// Whether the switch is on.
    pub on: bool,
    /// The operator's reason.
    pub reason: String,
    /// The time of the change: RFC 3339, UTC; `None` if the switch was never changed.
    pub since: Option<String>,
}

impl Record for KillSwitchRecord {
    const KINDS: &'static [EventKind] = &[EventKind::KillSwitchOn, EventKind::KillSwitchOff];

    fn kind(&self) -> EventKind {
        if self.on { EventKind::KillSwitchOn } else { EventKind::KillSwitchOff }
    }
}
