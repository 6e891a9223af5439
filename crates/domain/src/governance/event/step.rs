//! `obs.act` and `obs.turn`: the steps of agents.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::narration::{NarrationRecord, Source};
use super::row::{Record, Row, UnreadableRow};
use crate::governance::gate::GateNotes;

/// The state that a step leads to. Part of every step's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMark<'a> {
    /// The state's version.
    pub state_version: u64,
    /// The state's hash.
    pub state_hash: Cow<'a, str>,
}

/// The author of an act that no caller requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Actor {
    /// The model, during a turn.
    Model,
}

/// The payload of `obs.act`; `S` is the step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActRecord<'a, S> {
    /// The step.
    #[serde(flatten)]
    pub step: S,
    /// The state after the step.
    #[serde(flatten)]
    pub state: StateMark<'a>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
    /// Set if the model acted, not the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The agent's turn in which the model acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
}

impl<S: Serialize> Record for ActRecord<'_, S> {
    const KINDS: &'static [EventKind] = &[EventKind::Act];
}

/// The payload of `obs.turn`; `S` is the step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnRecord<'a, S> {
    /// The step.
    #[serde(flatten)]
    pub step: S,
    /// The state after the turn itself, before the acts of the model.
    #[serde(flatten)]
    pub state: StateMark<'a>,
    /// The findings of the gates.
    #[serde(flatten)]
    pub notes: Cow<'a, GateNotes>,
    /// The author of the response. Absent if no model is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The conversation with the model.
    #[serde(rename = "telling", default, skip_serializing_if = "Option::is_none")]
    pub narration: Option<Cow<'a, NarrationRecord>>,
}

impl<S: Serialize> Record for TurnRecord<'_, S> {
    const KINDS: &'static [EventKind] = &[EventKind::Turn];
}

impl Row {
    /// Only the step and the resulting state of a step's row, which is what rebuilding an agent needs:
    /// parsing the rest would double the cost of loading an agent.
    pub fn step<S: DeserializeOwned>(&self) -> Result<(S, StateMark<'static>), UnreadableRow> {
        self.check_version()?;
        let data = self.data.get();
        Ok((serde_json::from_str(data)?, serde_json::from_str(data)?))
    }

    /// Only the resulting state of a step's row.
    pub fn state_mark(&self) -> Result<StateMark<'static>, UnreadableRow> {
        Ok(serde_json::from_str(self.data.get())?)
    }
}
