//! Plans against real files and real git. Without git these tests fail: what they promise is that git
//! agrees.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod artifacts;
mod branching;
mod generated;
mod history;
mod hostile;
mod support;
