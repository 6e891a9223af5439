//! The journal on real SQLite files: properties of the file, and further tests of the port's guarantees.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

mod chain;
mod durability;
mod facts;
mod failure;
mod follow;
mod jobs;
mod kill;
mod migration;
mod opening;
mod reading;
mod search;
mod support;
mod trail;
mod upkeep;
