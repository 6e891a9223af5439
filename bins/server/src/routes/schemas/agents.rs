//! What agents are and do, as the document describes it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Points that a step changed; what did not change is left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deltas {
    #[schema(minimum = -100, maximum = 100)]
    energy: Option<i8>,
    #[schema(minimum = -100, maximum = 100)]
    focus: Option<i8>,
    #[schema(minimum = -100, maximum = 100)]
    knowledge: Option<i8>,
    #[schema(minimum = -100, maximum = 100)]
    stability: Option<i8>,
}

/// How a turn went.
#[derive(Serialize, ToSchema)]
pub(crate) struct TurnResult {
    /// The agent's n-th turn, from 1.
    number: u64,
    /// What the input was taken to mean.
    intent: String,
    /// The action that was tried.
    action: Option<String>,
    /// The d20.
    #[schema(minimum = 1, maximum = 20)]
    roll: u8,
    /// What the vitals add to it.
    bonus: i8,
    /// What roll and bonus had to reach.
    difficulty: u8,
    /// What came of it.
    outcome: Outcome,
    /// What it changed.
    deltas: Deltas,
}

/// What came of a turn.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A 20: gains count double.
    CriticalSuccess,
    /// Difficulty reached.
    Success,
    /// Missed by at most 4: half the gains.
    Partial,
    /// Missed: only the costs.
    Failure,
    /// A 1: only the costs, and double.
    CriticalFailure,
}

/// Everything an agent is.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentState {
    /// The seed of its draws.
    seed: u64,
    /// How many steps have been applied.
    version: u64,
    /// How many of them were turns.
    turns: u64,
    /// How often each action was done.
    actions: BTreeMap<String, u64>,
    /// How it is.
    vitals: Vitals,
    /// Its last turns, oldest first.
    memory: Vec<Memory>,
    /// What it was told to keep in mind, oldest first; left out while there is nothing.
    #[schema(required = false, nullable = false)]
    facts: Vec<crate::routes::memory::Fact>,
}

/// Four measures of 0 to 100.
#[derive(Serialize, ToSchema)]
pub(crate) struct Vitals {
    #[schema(maximum = 100)]
    energy: u8,
    #[schema(maximum = 100)]
    focus: u8,
    #[schema(maximum = 100)]
    knowledge: u8,
    #[schema(maximum = 100)]
    stability: u8,
}

/// One turn as an agent remembers it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Memory {
    /// The state version that the step led to.
    version: u64,
    /// What happened, in a line.
    text: String,
}

/// An agent in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentSummary {
    agent_id: String,
    /// How many steps it has taken.
    state_version: u64,
    /// How many of them were turns.
    turns: u64,
    /// When it took the last: RFC 3339, UTC.
    last_seen: String,
}
