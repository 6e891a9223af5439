//! What is fuzzed: each target's pieces, its properties and its time.

mod built_in;
mod command;
mod json;
mod mcp;
mod paths;
mod policy;
mod redaction;
mod streams;

use std::time::Duration;

/// One thing that reads inputs.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// What inputs are put together from.
    pub(crate) pieces: &'static [&'static str],
    /// Fails with the broken property.
    pub(crate) run: fn(&[u8]) -> Result<(), String>,
    /// The processor time of any input up to a body of 1 MiB.
    pub(crate) bound: Duration,
}

impl Target {
    /// The processor time of an input of this size.
    pub(crate) fn bound_for(&self, len: usize) -> Duration {
        // Mutations can double an input.
        self.bound * u32::try_from(1 + len / (crate::inputs::MAX_INPUT + 1)).unwrap_or(1)
    }
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    command::TARGET,
    redaction::TARGET,
    json::TARGET,
    policy::POLICY,
    policy::REGO,
    paths::PATHS,
    paths::ADDRESSES,
    streams::MODEL,
    streams::MCP,
    mcp::MESSAGES,
    mcp::HOOKS,
];

/// The bound of issue texts: no field uses more of one core.
const FIELD: Duration = Duration::from_millis(50);

/// Fails unless a condition holds.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
