//! The rules: how a permitted command becomes a step, and the effect of a step on a state.
//!
//! `docs/rules.md` describes them; change both together.

use serde::{Deserialize, Serialize};

use crate::agent::dice;
use crate::agent::memory::{self, Note, RECALL, REMEMBER};
use crate::agent::narration;
use crate::agent::profile::{Action, Profile};
use crate::agent::state::{AgentState, Deltas, MAX_MEMORY_CHARS};
use crate::governance::command::{Act, Turn};
use crate::governance::gate::Permit;
use crate::governance::payload::Payload;

/// The step of an act. The row stores it; [`apply_act`] needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActStep {
    /// The action's name.
    pub action: String,
    /// The caller's payload.
    pub payload: Payload,
    /// Whether the action is in the profile or built in.
    pub known: bool,
    /// The changes of the vitals.
    pub deltas: Deltas,
    /// The stored fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<String>,
    /// The versions of the recalled facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recalled: Vec<u64>,
}

/// The step of a turn. The row stores it; [`apply_turn`] needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnStep {
    /// The caller's text.
    pub input: String,
    /// The result.
    pub turn: TurnResult,
    /// The response without a model.
    pub response: String,
}

/// The result of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnResult {
    /// The number of the agent's turn, from 1.
    pub number: u64,
    /// The recognized intent.
    pub intent: String,
    /// The attempted action, if the intent has one.
    pub action: Option<String>,
    /// The d20, 1 to 20.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 20))]
    pub roll: u8,
    /// The bonus from the vitals.
    pub bonus: i8,
    /// The value that roll and bonus must reach.
    pub difficulty: u8,
    /// The outcome.
    pub outcome: Outcome,
    /// The changes of the vitals.
    pub deltas: Deltas,
}

/// The outcome of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// A 20: double gains.
    CriticalSuccess,
    /// Difficulty reached: gains and costs of the profile.
    Success,
    /// Missed by at most 4: half of the gains, all costs.
    Partial,
    /// Missed by more: costs only.
    Failure,
    /// A 1: double costs only.
    CriticalFailure,
}

/// Applies a permitted act: the profile's effects in full, or nothing for an unknown action.
pub fn decide_act(state: &AgentState, profile: &Profile, permit: &Permit<Act>) -> ActStep {
    act_step(state, profile, permit.command())
}

/// Applies a permitted recall that found the facts of these versions. Versions that the agent does not have are
/// ignored.
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

/// Decides a permitted turn: intent, draw, outcome, deltas and response.
pub fn decide_turn(state: &AgentState, profile: &Profile, permit: &Permit<Turn>) -> TurnStep {
    turn_step(state, profile, permit.command())
}

/// Applies an act to the state.
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

/// Applies a turn to the state.
pub fn apply_turn(state: &mut AgentState, step: &TurnStep) {
    state.version += 1;
    state.turns += 1;
    if let Some(action) = &step.turn.action {
        state.count(action);
    }
    state.vitals = state.vitals.after(step.turn.deltas);
    let text = match step.input.char_indices().nth(MAX_MEMORY_CHARS - 40) {
        Some((end, _)) => step.input.get(..end).unwrap_or_default(),
        None => &step.input,
    };
    state.remember(format!("{} ({}): {text}", step.turn.intent, step.turn.outcome.as_str()));
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

/// One point for every 10 points of focus above or below 50, minus 3 for an agent with low energy.
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
    /// The name in rows and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::CriticalSuccess => "critical_success",
            Outcome::Success => "success",
            Outcome::Partial => "partial",
            Outcome::Failure => "failure",
            Outcome::CriticalFailure => "critical_failure",
        }
    }

    /// The share of an effect. Gains and costs (negative points) have different shares.
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
