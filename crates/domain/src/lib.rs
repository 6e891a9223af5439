//! What an agent is and what may be done to it: pure types and pure rules.
//!
//! This crate is the floor of the house. It has no clock, no environment, no file, no socket and no
//! async: time, seed and facts arrive as arguments, so that the same history always gives the same
//! state. Three ideas carry the rest of the service:
//!
//! * **No permit, no effect.** [`gate::evaluate`] over a [`gate::Chain`] is the only maker of a
//!   [`gate::Permit`], and [`rules::decide_act`] and [`rules::decide_turn`] take nothing else.
//! * **The original text ends at the chain.** Gates see what the caller sent; permits and denials
//!   hold only the redacted form, so nothing after the chain can store or stream a secret.
//! * **A state is a fold of steps.** [`rules::apply`] adds one recorded [`rules::Step`]; replaying
//!   the recorded steps gives the state back, byte for byte and hash for hash.

pub mod command;
pub mod dice;
pub mod facts;
pub mod fault;
pub mod gate;
pub mod ids;
pub mod intents;
pub mod narrate;
pub mod payload;
pub mod profile;
pub mod record;
pub mod redact;
pub mod rules;
pub mod scan;
pub mod score;
pub mod size;
pub mod state;
