//! Totals of the token usage that is kept next to rows.

/// Largest count of one call that totals include. Counts come from providers, and an absurd one must not
/// overflow a total.
pub const MAX_COUNTED: u64 = 1_000_000_000_000;

/// Whose usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// By caller.
    Principal,
    /// By agent; calls without one have none.
    Agent,
    /// By model.
    Model,
}

/// The usage of one caller, agent or model with one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageTotal {
    /// The caller, agent or model.
    pub name: Option<String>,
    /// The model that responded.
    pub model: String,
    /// Number of calls.
    pub calls: u64,
    /// Tokens of the requests.
    pub prompt_tokens: u64,
    /// Tokens of the responses.
    pub completion_tokens: u64,
    /// The sums that the providers reported.
    pub total_tokens: u64,
}
