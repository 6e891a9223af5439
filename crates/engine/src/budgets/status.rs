//! What is used of a budget, for its callers.

use jiff::Timestamp;
use life_agent_domain::governance::budget::{Limits, Use, dollars};
use life_agent_policy::document::BudgetLimits;
use serde::Serialize;

/// Milliseconds of a day; days begin at midnight UTC.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A budget and what is used of it, calls in progress included with the most that they can use.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetStatus {
    /// Its id in the policy, or `key:` and the name of the key whose own budget it is.
    pub id: String,
    /// Its limits: `tokens_per_day`, `tokens_per_minute`, `requests_per_day`, `cost_per_day` in dollars.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub limits: BudgetLimits,
    /// Tokens used today.
    pub tokens_today: u64,
    /// Tokens used in this minute.
    pub tokens_this_minute: u64,
    /// Calls made today.
    pub requests_today: u64,
    /// Dollars spent today.
    pub cost_today: f64,
    /// When the day ends: RFC 3339, UTC.
    pub day_ends_at: String,
}

impl BudgetStatus {
    pub(super) fn of(id: &str, limits: Limits, used: Use, now: u64) -> Self {
        Self {
            id: id.to_owned(),
            limits: BudgetLimits {
                tokens_per_day: limits.tokens_per_day,
                tokens_per_minute: limits.tokens_per_minute,
                requests_per_day: limits.requests_per_day,
                cost_per_day: limits.cost_per_day.map(dollars),
            },
            tokens_today: used.day_tokens,
            tokens_this_minute: used.minute_tokens,
            requests_today: used.day_requests,
            cost_today: dollars(used.day_cost),
            day_ends_at: text((now / DAY_MS).saturating_add(1).saturating_mul(DAY_MS)),
        }
    }
}

/// A time in milliseconds since 1970 as rows have it: RFC 3339, UTC, microseconds.
pub(super) fn text(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.6}", time.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_are_shown_as_people_write_them() {
        assert_eq!(dollars(0), 0.0);
        assert_eq!(dollars(1_500_000_000_000), 1.5);
        assert_eq!(dollars(1), 1e-12);
        assert_eq!(text(DAY_MS), "1970-01-02T00:00:00.000000Z");
        assert!(text(u64::MAX).starts_with("9999"));
    }
}
