//! What an agent is: its state, and the deterministic rules that change it.
//!
//! A state is a fold of recorded steps; a step exists only with a
//! [`Permit`](crate::governance::gate::Permit).

pub mod dice;
pub mod intents;
pub mod memory;
pub mod narration;
pub mod profile;
pub mod record;
pub mod rules;
pub mod state;
