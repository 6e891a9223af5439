//! Activity as callers see it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use life_agent_domain::governance::event::Outcome;
use serde::Serialize;

/// Requests by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeCounts {
    /// Requests that passed.
    pub allowed: u64,
    /// Refused requests, including those that wait for an approval.
    pub denied: u64,
    /// Requests that passed because the rule against them only observes.
    pub would_deny: u64,
    /// Model calls that failed.
    pub failed: u64,
}

impl OutcomeCounts {
    pub(super) fn add(&mut self, outcome: Outcome, count: u64) {
        let field = match outcome {
            Outcome::Allowed => &mut self.allowed,
            Outcome::Denied => &mut self.denied,
            Outcome::WouldDeny => &mut self.would_deny,
            Outcome::Failed => &mut self.failed,
        };
        *field = field.saturating_add(count);
    }
}

impl AddAssign for OutcomeCounts {
    fn add_assign(&mut self, other: Self) {
        self.add(Outcome::Allowed, other.allowed);
        self.add(Outcome::Denied, other.denied);
        self.add(Outcome::WouldDeny, other.would_deny);
        self.add(Outcome::Failed, other.failed);
    }
}

/// Requests of a usual period of the same length, by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeAverages {
    /// Requests that passed.
    pub allowed: f64,
    /// Refused requests.
    pub denied: f64,
    /// Requests that a rule in observe mode would have refused.
    pub would_deny: f64,
    /// Model calls that failed.
    pub failed: f64,
}

/// The requests of one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MinuteCounts {
    /// The start of the minute: RFC 3339, UTC.
    pub at: String,
    /// The requests by outcome.
    #[serde(flatten)]
    pub counts: OutcomeCounts,
}

/// Refused requests with the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DenialCount {
    /// The reason, such as `rule_deny`.
    pub reason: String,
    /// The gate and its rule, such as `rules/no-deploys`; `None` if no gate decided.
    pub decided_by: Option<String>,
    /// The number of requests.
    pub count: u64,
}

/// Requests that a rule in observe mode would have refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleCount {
    /// The rule.
    pub rule: String,
    /// The number of requests.
    pub count: u64,
}

/// A slow request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlowRequest {
    /// Its duration in microseconds, as its row states it.
    pub elapsed_us: u64,
    /// Its row.
    pub event_id: u64,
}

/// Requests per minute, the most frequent causes of denials, and the slowest requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActivityReport {
    /// Whether everything up to now is counted; false for a moment after a start.
    pub complete: bool,
    /// The first minute of the report: RFC 3339, UTC. Later than requested if earlier minutes are not known.
    pub since: String,
    /// The minutes in order, without gaps, up to the current one.
    pub minutes: Vec<MinuteCounts>,
    /// All of them together.
    pub total: OutcomeCounts,
    /// The average of earlier periods of the same length within a day; `None` if none is known in full.
    pub usual: Option<OutcomeAverages>,
    /// The requests by kind: `act`, `turn`, `tool`, `plan`, `chat` or `other`.
    pub kinds: BTreeMap<&'static str, OutcomeCounts>,
    /// The most frequent causes of denials.
    pub denied_by: Vec<DenialCount>,
    /// The rules in observe mode that matched most often.
    pub would_deny_by: Vec<RuleCount>,
    /// The slowest requests, at most one per minute.
    pub slowest: Vec<SlowRequest>,
}
