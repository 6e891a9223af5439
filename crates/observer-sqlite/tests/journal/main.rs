//! What the journal promises, on real SQLite files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

mod chain;
mod durability;
mod facts;
mod failure;
mod follow;
mod jobs;
mod kill;
mod opening;
mod reading;
mod support;
mod trail;
mod upkeep;
