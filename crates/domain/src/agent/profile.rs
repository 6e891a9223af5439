//! The agent profile: voice, actions and intents.
//!
//! The crate `policy` reads and validates the document; this is the form for the rules.

use std::collections::BTreeMap;

use crate::agent::intents::Intents;
use crate::agent::state::Deltas;

/// A validated agent profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The style of narrated turns, for the model.
    pub voice: String,
    /// Actions by name.
    pub actions: BTreeMap<String, Action>,
    /// Intents.
    pub intents: Intents,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The value that draw and bonus must reach, 1 to 25.
    pub difficulty: u8,
    /// The effects of a success.
    pub effects: Deltas,
}

impl Profile {
    /// The action of a turn with this intent.
    pub fn action_of(&self, intent: &str) -> Option<(&str, &Action)> {
        let (name, action) = self.actions.get_key_value(self.intents.action(intent)?)?;
        Some((name, action))
    }
}
