//! The report of a replay.

use std::collections::BTreeMap;

use serde::Serialize;

/// The result of a replay.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayReport {
    /// SHA-256 of the text of the policy that judged the requests.
    pub policy_hash: String,
    /// Rows read.
    pub rows: u64,
    /// Requests whose decision was compared.
    pub decisions: u64,
    /// Steps whose outcome and state were compared.
    pub steps: u64,
    /// The number of these steps that a model narrated; replayed from its recorded replies.
    pub told: u64,
    /// Requests that cannot be compared, by cause.
    pub not_comparable: BTreeMap<&'static str, u64>,
    /// Allowed requests that would now be denied, by the gate and rule that would deny.
    pub now_denied: BTreeMap<String, u64>,
    /// Denied requests that would now be allowed, by the gate and rule that denied.
    pub now_allowed: BTreeMap<String, u64>,
    /// The number of divergences.
    pub divergence_count: u64,
    /// The first thousand divergences.
    pub divergences: Vec<Divergence>,
    /// The last row that was read, to continue from.
    pub last: u64,
}

/// A row whose replay differs.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Divergence {
    /// The row.
    pub event_id: u64,
    /// The agent.
    pub agent_id: Option<String>,
    /// The difference: `decision`, `answer`, `state_hash` or `row`; in a narration `request`, `reply`, `tool`
    /// or `telling`.
    pub what: &'static str,
    /// The recorded value.
    pub recorded: String,
    /// The replayed value.
    pub now: String,
}
