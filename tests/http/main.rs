//! The contract, kept or not: black-box tests over HTTP against the real server.
//!
//! Every test starts the binary in a folder and on a port of its own (`support::TestApp`), so they
//! run side by side and none sees another's traces. The modules are named after what they call. A
//! test that needs another policy, profile or setting writes it down in full, so that one can read
//! it alone.
//!
//! `LIFE_AGENT_CORPUS` and `LIFE_AGENT_KILL_ROUNDS` make two of the tests larger; see `corpus` and
//! `kill_9`. `LIFE_AGENT_BIN=FILE` tests that binary instead of building one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails where it stands"
)]

mod act;
mod auth;
mod check;
mod corpus;
mod errors;
mod events;
mod health;
mod journal;
mod kill_9;
mod kill_switch;
mod limits;
mod llm;
mod logs;
mod manners;
mod metrics;
mod openapi;
mod plan;
mod policy;
mod redaction;
mod restart;
mod settings;
mod shutdown;
mod state;
mod support;
mod turn;
