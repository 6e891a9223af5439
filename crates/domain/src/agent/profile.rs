//! What an agent can do and understand: its voice, its actions, its intents.
//!
//! The document is read and validated by `policy`; this is what the rules work with.

use std::collections::BTreeMap;

use crate::agent::intents::Intents;
use crate::agent::state::Deltas;

/// A validated agent profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How the agent speaks, for the model that tells its turns.
    pub voice: String,
    /// What it can do, by name.
    pub actions: BTreeMap<String, Action>,
    /// What it understands.
    pub intents: Intents,
}

/// One thing an agent can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What a turn's total must reach, 1 to 25.
    pub difficulty: u8,
    /// What it does when it succeeds.
    pub effects: Deltas,
}

impl Profile {
    /// The action that a turn with this intent takes.
    pub fn action_of(&self, intent: &str) -> Option<(&str, &Action)> {
        let (name, action) = self.actions.get_key_value(self.intents.action(intent)?)?;
        Some((name, action))
    }
}
