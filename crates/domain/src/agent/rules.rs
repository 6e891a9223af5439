//! The rules of the game: how a permitted command becomes a step, and what a step does to a state.
//!
//! `docs/rules.md` explains them on one page; a change here is a change there.

use serde::{Deserialize, Serialize};

use crate::agent::dice;
use crate::agent::memory::{self, Note, RECALL, REMEMBER};
use crate::agent::narration;
use crate::agent::profile::{Action, Profile};
use crate::agent::state::{AgentState, Deltas, MAX_MEMORY_CHARS};
use crate::governance::command::{Act, Turn};
use crate::governance::gate::Permit;
use crate::governance::payload::Payload;

/// What an act did. Recorded in its journal row; [`apply`] needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActStep {
    /// The action's name.
    pub action: String,
    /// What the caller sent with it.
    pub payload: Payload,
    /// Whether the profile knows the action, or it is one that every agent knows.
    pub known: bool,
    /// What it changed.
    pub deltas: Deltas,
    /// The fact that it keeps in mind from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<String>,
    /// The facts, by their versions, that it has recalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recalled: Vec<u64>,
}

/// What a turn did. Recorded in its journal row; [`apply`] needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnStep {
    /// What the caller said.
    pub input: String,
    /// How it went.
    pub turn: TurnResult,
    /// The sentence that answers it when no model tells it.
    pub response: String,
}

/// How a turn went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnResult {
    /// The agent's n-th turn, from 1.
    pub number: u64,
    /// What the input was taken to mean.
    pub intent: String,
    /// The action that was tried; none if the profile names none.
    pub action: Option<String>,
    /// The d20, 1 to 20.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 20))]
    pub roll: u8,
    /// What the vitals add to it.
    pub bonus: i8,
    /// What roll and bonus had to reach.
    pub difficulty: u8,
    /// What came of it.
    pub outcome: Outcome,
    /// What it changed.
    pub deltas: Deltas,
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// A 20: gains count double.
    CriticalSuccess,
    /// Difficulty reached: gains and costs as the profile has them.
    Success,
    /// Missed by at most 4: half the gains, all the costs.
    Partial,
    /// Missed: only the costs.
    Failure,
    /// A 1: only the costs, and double.
    CriticalFailure,
}

/// Applies a permitted act: the profile's effects in full, or nothing for an unknown action.
pub fn decide_act(state: &AgentState, profile: &Profile, permit: &Permit<Act>) -> ActStep {
    act_step(state, profile, permit.command())
}

/// Applies a permitted recall, which found the facts of these versions. Where they were found is not for
/// the rules to know; that the agent has them, is.
pub fn decide_recall(
    state: &AgentState,
    profile: &Profile,
    permit: &Permit<Act>,
    found: &[u64],
) -> ActStep {
    let is_kept = |version: &&u64| state.facts.iter().any(|fact| fact.version == **version);
    let recalled = found.iter().filter(is_kept).copied().collect();
    ActStep { recalled, ..decide_act(state, profile, permit) }
}

/// Settles a permitted turn: intent, draw, outcome, deltas, and the sentence that tells them.
pub fn decide_turn(state: &AgentState, profile: &Profile, permit: &Permit<Turn>) -> TurnStep {
    turn_step(state, profile, permit.command())
}

/// The state after an act.
pub fn apply_act(state: &mut AgentState, step: &ActStep) {
    state.version += 1;
    state.count(&step.action);
    state.vitals = state.vitals.after(step.deltas);
    if let Some(text) = &step.remembered {
        let (version, turn, text) = (state.version, state.turns, text.clone());
        memory::keep(&mut state.facts, Note { version, turn, text, uses: 0 });
    }
    memory::count_uses(&mut state.facts, &step.recalled);
}

/// The state after a turn.
pub fn apply_turn(state: &mut AgentState, step: &TurnStep) {
    state.version += 1;
    state.turns += 1;
    if let Some(action) = &step.turn.action {
        state.count(action);
    }
    state.vitals = state.vitals.after(step.turn.deltas);
    let said = match step.input.char_indices().nth(MAX_MEMORY_CHARS - 40) {
        Some((end, _)) => step.input.get(..end).unwrap_or_default(),
        None => &step.input,
    };
    state.remember(format!("{} ({}): {said}", step.turn.intent, step.turn.outcome.as_str()));
}

pub(crate) fn act_step(state: &AgentState, profile: &Profile, act: &Act) -> ActStep {
    let name = act.action.as_str();
    let action = profile.actions.get(name);
    let effects = action.map_or(Deltas::default(), |action| action.effects);
    let remembered = if name == REMEMBER { memory::fact_in(&act.payload) } else { None };
    ActStep {
        action: name.to_owned(),
        payload: act.payload.clone(),
        known: action.is_some() || [REMEMBER, RECALL].contains(&name),
        deltas: state.vitals.effective(effects),
        remembered,
        recalled: Vec::new(),
    }
}

pub(crate) fn turn_step(state: &AgentState, profile: &Profile, turn: &Turn) -> TurnStep {
    let intent = profile.intents.of(&turn.input);
    let (name, action) = match profile.action_of(intent) {
        Some((name, action)) => (Some(name.to_owned()), action.clone()),
        None => (None, Action { difficulty: 1, effects: Deltas::default() }),
    };
    let roll = dice::d20(state.seed, &turn.agent, state.version);
    let bonus = bonus(state);
    let outcome = outcome(roll, bonus, action.difficulty);
    let deltas = action.effects.map(|points| outcome.share(points));
    let turn_result = TurnResult {
        number: state.turns + 1,
        intent: intent.to_owned(),
        action: name,
        roll,
        bonus,
        difficulty: action.difficulty,
        outcome,
        deltas: state.vitals.effective(deltas),
    };
    let response = narration::offline(&turn_result);
    TurnStep { input: turn.input.clone(), turn: turn_result, response }
}

/// A point for every 10 of focus above or below 50, and 3 less for an agent that is out of energy.
fn bonus(state: &AgentState) -> i8 {
    let focus = (state.vitals.focus as i8 - 50) / 10;
    if state.vitals.energy < 20 { focus - 3 } else { focus }
}

fn outcome(roll: u8, bonus: i8, difficulty: u8) -> Outcome {
    let missed_by = difficulty as i8 - (roll as i8 + bonus);
    match (roll, missed_by) {
        (20, _) => Outcome::CriticalSuccess,
        (1, _) => Outcome::CriticalFailure,
        (_, ..=0) => Outcome::Success,
        (_, 1..=4) => Outcome::Partial,
        _ => Outcome::Failure,
    }
}

impl Outcome {
    /// The name that rows and answers show.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::CriticalSuccess => "critical_success",
            Outcome::Success => "success",
            Outcome::Partial => "partial",
            Outcome::Failure => "failure",
            Outcome::CriticalFailure => "critical_failure",
        }
    }

    /// What is left of an effect: gains and costs (negative points) fare differently.
    fn share(self, points: i8) -> i8 {
        match (self, points > 0) {
            (Outcome::CriticalSuccess, true) | (Outcome::CriticalFailure, false) => {
                points.saturating_mul(2)
            }
            (Outcome::Partial, true) => points / 2,
            (Outcome::Failure | Outcome::CriticalFailure, true) => 0,
            _ => points,
        }
    }
}

#[cfg(test)]
mod tests;
