//! Scopes: the permissions that endpoints require and keys grant.

/// A permission. Every endpoint requires exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Acts, turns, plans, checks and model calls, and everything about the caller's own agents.
    Act,
    /// Reads, of every agent that the caller may access.
    Read,
    /// Plan reviews and approvals.
    Approve,
    /// Validating, backtesting and reloading policies.
    Policy,
    /// The kill switch and stops.
    Operate,
    /// No key at all: health, metrics, documentation and the dashboard's files.
    Public,
}

impl Scope {
    /// The name in keys, in error messages and in the OpenAPI document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Act => "act",
            Scope::Read => "read",
            Scope::Approve => "approve",
            Scope::Policy => "policy",
            Scope::Operate => "operate",
            Scope::Public => "public",
        }
    }
}
