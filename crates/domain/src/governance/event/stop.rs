//! `stop.on` and `stop.off`: the kill switches of one agent or one principal.

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;

/// The payload of both kinds. Either `agent` or `principal` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRecord {
    /// Whether the agent or principal is stopped now.
    pub on: bool,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// The principal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub principal: Option<String>,
    /// The operator's reason.
    pub reason: String,
    /// SHA-256 of the stored stops after the change, in hexadecimal: the chain vouches for the table.
    pub stored: String,
}

impl Record for StopRecord {
    const KINDS: &'static [EventKind] = &[EventKind::StopOn, EventKind::StopOff];

    fn kind(&self) -> EventKind {
        if self.on { EventKind::StopOn } else { EventKind::StopOff }
    }
}
