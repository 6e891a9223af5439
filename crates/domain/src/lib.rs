//! The pure core: what an agent is, and whether a request may happen.
//!
//! This crate has no clock, environment, file, socket or async code. Time, the random seed and gate
//! inputs arrive as arguments, so the same history always gives the same state. It has two halves:
//! [`agent`] may depend on [`governance`], never the reverse. Three ideas carry the service:
//!
//! * **No permit, no effect.** Only [`governance::gate::evaluate`] over a
//!   [`governance::gate::Chain`] makes a [`governance::gate::Permit`], and
//!   [`agent::rules::decide_act`] and [`agent::rules::decide_turn`] accept nothing else.
//! * **The original text ends at the chain.** Gates see the text of the caller. Permits and denials
//!   hold only the redacted form, so no code after the chain can store or stream a secret.
//! * **A state is a fold of steps.** [`agent::rules::apply`] adds one recorded
//!   [`agent::rules::Step`]. Replaying the recorded steps reproduces the state and its hash.

pub mod agent;
pub mod governance;
