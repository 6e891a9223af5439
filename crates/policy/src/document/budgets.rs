//! The `budgets` and `prices` sections of a policy.

use life_agent_domain::governance::budget::{self, Limits, picodollars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A budget: the calls it is about, and what they may use together. Days and minutes are those of UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// A name for responses and rows, unique among the budgets. A reload that keeps it keeps what was used.
    pub id: String,
    /// The calls it is about.
    #[serde(rename = "match")]
    pub matches: BudgetMatch,
    /// What they may use.
    #[serde(flatten)]
    pub limits: BudgetLimits,
}

/// What a budget is about: every list given must match, and a list matches if one of its globs does.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, garde::Validate,
)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct BudgetMatch {
    /// Globs for the name of the caller's key.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<String>,
    /// Globs for the id of the agent. Calls without an agent do not match.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Globs for the name of the model.
    #[garde(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// What the calls of a budget may use together; at least one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetLimits {
    /// Tokens of prompts and replies per day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// The same per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Calls per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Dollars per day, at the prices of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_day: Option<f64>,
}

impl BudgetLimits {
    /// The limits as budgets count them.
    pub fn counted(self) -> Limits {
        Limits {
            tokens_per_day: self.tokens_per_day,
            tokens_per_minute: self.tokens_per_minute,
            requests_per_day: self.requests_per_day,
            cost_per_day: self.cost_per_day.map(picodollars),
        }
    }

    /// The same; `None` if no limit is given, or one that is not positive.
    pub fn checked(self) -> Option<Limits> {
        let counts = [self.tokens_per_day, self.tokens_per_minute, self.requests_per_day];
        let positive = counts.iter().flatten().all(|count| *count > 0)
            && self.cost_per_day.is_none_or(|cost| cost.is_finite() && cost > 0.0);
        let limits = self.counted();
        (positive && limits != Limits::default()).then_some(limits)
    }
}

/// The price of a model, in dollars per million tokens.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate,
)]
#[schemars(deny_unknown_fields)]
pub struct Price {
    /// For tokens of prompts.
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub input: f64,
    /// For tokens of replies.
    #[garde(range(min = 0.0, max = 1_000_000.0))]
    pub output: f64,
}

impl Price {
    /// The price in microdollars per million tokens.
    pub fn micros(self) -> budget::Price {
        let micros = |dollars: f64| (dollars * 1e6).round().max(0.0) as u64;
        budget::Price { input_micros: micros(self.input), output_micros: micros(self.output) }
    }
}
