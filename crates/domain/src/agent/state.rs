//! The state of an agent and its hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::memory::Note;

/// Distinct action names per agent; further actions are counted under [`OTHER_ACTIONS`].
pub const MAX_ACTION_NAMES: usize = 256;
/// The name for actions beyond [`MAX_ACTION_NAMES`].
pub const OTHER_ACTIONS: &str = "other";
/// The number of memories of an agent; the oldest is removed first.
pub const MAX_MEMORIES: usize = 16;
/// The longest memory, in characters.
pub const MAX_MEMORY_CHARS: usize = 160;
/// The size of most states as JSON, in bytes.
const USUAL_JSON: usize = 4096;

/// The overhead of a text in memory, in bytes.
const ENTRY: usize = 48;

/// The state of an agent. Serialized with its fields in this order, it is the input of [`AgentState::hash`] and
/// the form in responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentState {
    /// The seed of its draws.
    pub seed: u64,
    /// The number of steps.
    pub version: u64,
    /// The number of steps that were turns.
    pub turns: u64,
    /// The count of each action.
    pub actions: BTreeMap<String, u64>,
    /// The vitals.
    pub vitals: Vitals,
    /// The last turns, oldest first.
    pub memory: Vec<Memory>,
    /// Remembered facts, in order. Absent if empty, so that the hash equals that of states without facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Note>,
}

/// Four measures of 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Vitals {
    /// Energy; below 20, every draw has a penalty.
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub energy: u8,
    /// Focus, which sets the bonus of every draw.
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub focus: u8,
    /// Knowledge.
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub knowledge: u8,
    /// Stability.
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub stability: u8,
}

/// Changes of the vitals in points, each from −100 to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deltas {
    /// Points of energy.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(minimum = -100, maximum = 100))]
    pub energy: i8,
    /// Points of focus.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(minimum = -100, maximum = 100))]
    pub focus: i8,
    /// Points of knowledge.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(minimum = -100, maximum = 100))]
    pub knowledge: i8,
    /// Points of stability.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(minimum = -100, maximum = 100))]
    pub stability: i8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(points: &i8) -> bool {
    *points == 0
}

/// A remembered turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Memory {
    /// The state version after the step.
    pub version: u64,
    /// The turn in one line.
    pub text: String,
}

impl AgentState {
    /// The state of a new agent.
    pub fn initial(seed: u64) -> Self {
        Self {
            seed,
            version: 0,
            turns: 0,
            actions: BTreeMap::new(),
            vitals: Vitals { energy: 80, focus: 60, knowledge: 10, stability: 70 },
            memory: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// BLAKE3 of the state's compact JSON, in lower-case hexadecimal. Equal states have equal hashes on every
    /// machine.
    pub fn hash(&self) -> String {
        // Serialized first, because hashing a few bytes at a time takes five times as long.
        let mut json = Vec::with_capacity(USUAL_JSON);
        // Cannot fail: the buffer grows, and every state can be represented in JSON.
        let _ = serde_json::to_writer(&mut json, self);
        blake3::hash(&json).to_hex().to_string()
    }

    /// The approximate size in memory, in bytes.
    pub fn size(&self) -> usize {
        let actions: usize = self.actions.keys().map(|name| name.len() + ENTRY).sum();
        let memory: usize = self.memory.iter().map(|memory| memory.text.len() + ENTRY).sum();
        let facts: usize = self.facts.iter().map(|fact| fact.text.len() + ENTRY).sum();
        size_of::<Self>() + actions + memory + facts
    }

    pub(crate) fn count(&mut self, action: &str) {
        let known = self.actions.contains_key(action) || self.actions.len() < MAX_ACTION_NAMES;
        let name = if known { action } else { OTHER_ACTIONS };
        match self.actions.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.actions.insert(name.to_owned(), 1);
            }
        }
    }

    pub(crate) fn remember(&mut self, text: String) {
        if self.memory.len() == MAX_MEMORIES {
            self.memory.remove(0);
        }
        self.memory.push(Memory { version: self.version, text });
    }
}

impl Vitals {
    /// The vitals after these deltas, each clamped to 0 to 100.
    pub fn after(self, deltas: Deltas) -> Self {
        let add =
            |points: u8, delta: i8| (i16::from(points) + i16::from(delta)).clamp(0, 100) as u8;
        Self {
            energy: add(self.energy, deltas.energy),
            focus: add(self.focus, deltas.focus),
            knowledge: add(self.knowledge, deltas.knowledge),
            stability: add(self.stability, deltas.stability),
        }
    }

    /// The actual changes of these deltas, after the bounds of 0 and 100.
    pub fn effective(self, deltas: Deltas) -> Deltas {
        let after = self.after(deltas);
        let change = |from: u8, to: u8| (i16::from(to) - i16::from(from)) as i8;
        Deltas {
            energy: change(self.energy, after.energy),
            focus: change(self.focus, after.focus),
            knowledge: change(self.knowledge, after.knowledge),
            stability: change(self.stability, after.stability),
        }
    }
}

impl Deltas {
    /// Each delta through `change`.
    pub fn map(self, change: impl Fn(i8) -> i8) -> Self {
        Self {
            energy: change(self.energy),
            focus: change(self.focus),
            knowledge: change(self.knowledge),
            stability: change(self.stability),
        }
    }

    /// Name and points of each, in the order of the vitals.
    pub fn named(self) -> [(&'static str, i8); 4] {
        [
            ("energy", self.energy),
            ("focus", self.focus),
            ("knowledge", self.knowledge),
            ("stability", self.stability),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attacker_cannot_grow_a_state_without_bound() {
        let mut state = AgentState::initial(1);
        for n in 0..2 * MAX_ACTION_NAMES {
            state.count(&format!("a{n}"));
            state.remember(format!("m{n}"));
        }
        assert_eq!(state.actions.len(), MAX_ACTION_NAMES + 1);
        assert_eq!(state.actions[OTHER_ACTIONS], MAX_ACTION_NAMES as u64);
        assert_eq!(state.memory.len(), MAX_MEMORIES);
        assert_eq!(state.memory[0].text, format!("m{}", 2 * MAX_ACTION_NAMES - MAX_MEMORIES));
    }

    #[test]
    fn vitals_stay_within_bounds_and_deltas_say_what_really_changed() {
        let vitals = AgentState::initial(1).vitals;
        let wild = Deltas { energy: 100, focus: -100, knowledge: -128, stability: 3 };
        assert_eq!(
            vitals.after(wild),
            Vitals { energy: 100, focus: 0, knowledge: 0, stability: 73 }
        );
        let effective = vitals.effective(wild);
        assert_eq!(effective, Deltas { energy: 20, focus: -60, knowledge: -10, stability: 3 });
    }

    #[test]
    fn the_hash_of_an_initial_state_never_changes() {
        // Journals contain these hashes: a change breaks every replay.
        let hash = AgentState::initial(42).hash();
        assert_eq!(hash, "5ee3e4f99b9e9237c9c6fe71ef584aa04d71d3718c20210d78f7dbe9cae116d4");
    }
}
