//! The client against a provider that misbehaves in every way that providers do.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod busy;
mod figures;
mod forward;
mod leaks;
mod record;
mod streams;
mod support;
mod whole;
