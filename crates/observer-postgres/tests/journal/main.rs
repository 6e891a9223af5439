//! PostgreSQL as a journal: the promises of the port, and faults of the server and of the network.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod conformance;
mod faults;
mod opening;
mod proxy;
mod several;
mod support;
