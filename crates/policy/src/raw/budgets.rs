//! A budget as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ID_PATTERN, check_id};
use crate::document::BudgetMatch;

/// A budget: what calls to models may use together. At least one limit is required. Days and minutes are those of
/// UTC.
#[derive(Debug, Default, Deserialize, JsonSchema, garde::Validate)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["id"]))]
pub(crate) struct Budget {
    /// A name for responses and rows, unique among the budgets. A reload that keeps it keeps what was used.
    #[garde(required, custom(check_id))]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub(crate) id: Option<String>,
    /// The calls it is about: every list given must match. Without a list, every call.
    #[garde(dive)]
    pub(crate) r#match: BudgetMatch,
    /// Tokens of prompts and replies per day.
    #[garde(inner(range(min = 1)))]
    #[schemars(with = "u64", range(min = 1))]
    pub(crate) tokens_per_day: Option<u64>,
    /// Tokens of prompts and replies per minute.
    #[garde(inner(range(min = 1)))]
    #[schemars(with = "u64", range(min = 1))]
    pub(crate) tokens_per_minute: Option<u64>,
    /// Calls per day.
    #[garde(inner(range(min = 1)))]
    #[schemars(with = "u64", range(min = 1))]
    pub(crate) requests_per_day: Option<u64>,
    /// Dollars per day, at the prices of `prices`. A model without a price is refused.
    #[garde(inner(range(min = 0.000_001, max = 1_000_000_000.0)))]
    #[schemars(with = "f64", range(min = 0.000_001, max = 1_000_000_000.0))]
    pub(crate) cost_per_day: Option<f64>,
}
