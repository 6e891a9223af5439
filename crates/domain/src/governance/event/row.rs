//! Rows, the fields that all of them share, and the trait of their payloads.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::kind::EventKind;
use crate::governance::ids::AgentId;

/// The version of the row formats. Rows of version 1 do not state it.
pub const VERSION: u32 = 1;

/// A payload of the journal.
pub trait Record: Serialize {
    /// The kinds of the rows that this payload describes.
    const KINDS: &'static [EventKind];

    /// The kind of this payload.
    fn kind(&self) -> EventKind {
        Self::KINDS[0]
    }

    /// Whether the row records that the request took effect, which must then not happen again for the
    /// same idempotency key. Refusals and failures change nothing.
    fn is_effect(&self) -> bool {
        true
    }

    /// Whether the kill switch, a stop or another policy forbids the row at the moment when it is written.
    fn needs_permission(&self) -> bool {
        self.is_effect()
    }

    /// Whether a row that is too large may go without its largest texts, see
    /// [`super::without_large_parts`]. Not rows of steps: states are rebuilt from them.
    fn may_omit_texts(&self) -> bool {
        false
    }

    /// The largest data, in bytes, whose long texts are stored once and shared with other rows; 0 if the row
    /// shares none. Readers of such rows put the texts back first.
    fn largest_shared(&self) -> usize {
        0
    }
}

/// The fields that every row of a request shares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<'a> {
    /// The format's version; absent for version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// SHA-256 of the active policy's text, in hex.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub policy_hash: std::borrow::Cow<'a, str>,
    /// The cost of the request so far; absent in rows that no request caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
    /// The trace that the request belongs to, in hex; absent without tracing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<std::borrow::Cow<'a, str>>,
}

/// Where the time of a request went, in microseconds. Part of the row and its hash, never of a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Time in the gate chain.
    pub gates_us: u64,
    /// Time from the request's arrival at the engine until its row was handed to the journal.
    pub elapsed_us: u64,
    /// Time spent waiting for a model, if one was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_us: Option<u64>,
}

/// An event to record. The journal assigns its number, time and place in the chain.
#[derive(Debug)]
pub struct Entry {
    /// The kind.
    pub kind: EventKind,
    /// The agent concerned, if any.
    pub agent: Option<AgentId>,
    /// The name of the caller, or `system`.
    pub principal: String,
    /// The request that caused the event; empty for the service's own events.
    pub request_id: String,
    /// The payload, a JSON object.
    pub data: Box<RawValue>,
}

/// A recorded event, as callers see it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Row {
    /// The number: 1, 2, 3 … without a gap. Also the id of the event on `/events`.
    pub id: u64,
    /// The time of recording: RFC 3339, UTC, microseconds.
    pub ts: String,
    /// The name of the kind ([`EventKind::as_str`]).
    pub kind: String,
    /// The agent concerned.
    pub agent_id: Option<String>,
    /// The name of the caller.
    pub principal: String,
    /// The request that caused the event.
    pub request_id: String,
    /// The payload.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Box<RawValue>,
    /// The hash of the previous row; 64 zeros for the first row.
    pub prev_hash: String,
    /// SHA-256 over this row and `prev_hash`; `observer::chain` defines the formula.
    pub hash: String,
}

/// A row does not contain what its kind promises.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableRow {
    /// The row is of another kind than the payload.
    #[error("a row of kind `{0}` does not have this payload")]
    Kind(String),
    /// A newer release wrote the row.
    #[error("the row has format version {0}; this release reads up to {VERSION}")]
    Version(u32),
    /// The payload is not valid.
    #[error("{0}")]
    Payload(#[from] serde_json::Error),
}

impl Row {
    /// The kind; `None` if a newer release added it.
    pub fn event_kind(&self) -> Option<EventKind> {
        EventKind::from_name(&self.kind)
    }

    /// Whether the row is of this kind.
    pub fn is(&self, kind: EventKind) -> bool {
        self.kind == kind.as_str()
    }

    /// The payload.
    pub fn read<R: Record + DeserializeOwned>(&self) -> Result<R, UnreadableRow> {
        if !R::KINDS.iter().any(|kind| self.is(*kind)) {
            return Err(UnreadableRow::Kind(self.kind.clone()));
        }
        self.check_version()?;
        Ok(serde_json::from_str(self.data.get())?)
    }

    /// The fields that all rows share.
    pub fn envelope(&self) -> Result<Envelope<'static>, UnreadableRow> {
        Ok(serde_json::from_str(self.data.get())?)
    }

    pub(super) fn check_version(&self) -> Result<(), UnreadableRow> {
        // Nothing but the version is parsed here, and rows of version 1 do not have the field.
        if VERSION == 1 && !self.data.get().contains("\"v\":") {
            return Ok(());
        }
        match self.envelope()?.v {
            Some(version) if version > VERSION => Err(UnreadableRow::Version(version)),
            _ => Ok(()),
        }
    }
}
