//! PostgreSQL as a journal: the promises of the port, and faults of the server and of the network.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests may")]

mod bounds;
mod conformance;
mod faults;
mod opening;
mod proxy;
mod replica;
mod several;
mod support;
mod tls;
