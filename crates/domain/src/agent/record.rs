//! Recorded steps of agents: the payloads of [`crate::governance::event`] with the step types of this module.

use crate::agent::rules::{ActStep, TurnStep, apply_act, apply_turn};
use crate::agent::state::AgentState;
use crate::governance::event::{self, EventKind, Row, UnreadableRow};

/// The payload of `obs.act`, as a row is read.
pub type ActRecord = event::ActRecord<'static, ActStep>;
/// The payload of `obs.turn`, as a row is read.
pub type TurnRecord = event::TurnRecord<'static, TurnStep>;

/// Applies the step of a row and returns the state hash that the row states.
pub fn apply_row(state: &mut AgentState, row: &Row) -> Result<String, UnreadableRow> {
    let mark = if row.is(EventKind::Act) {
        let (step, mark) = row.step::<ActStep>()?;
        apply_act(state, &step);
        mark
    } else if row.is(EventKind::Turn) {
        let (step, mark) = row.step::<TurnStep>()?;
        apply_turn(state, &step);
        mark
    } else {
        return Err(UnreadableRow::Kind(row.kind.clone()));
    };
    Ok(mark.state_hash.into_owned())
}
