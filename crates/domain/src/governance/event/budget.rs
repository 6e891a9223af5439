//! `budget.reserved` and `budget.settled`: what a model call holds of budgets, and what it used.
//!
//! Both rows together are the budget's account: a call without a second row stays charged with what it
//! reserved, because its tokens may have been used.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::kind::EventKind;
use super::row::Record;

/// The payload of `budget.reserved`, written before the provider is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReservedRecord<'a> {
    /// The ids of the budgets that the call counts against.
    pub budgets: Cow<'a, [String]>,
    /// The requested model.
    pub model: Cow<'a, str>,
    /// An estimate of the prompt's tokens.
    pub prompt_tokens: u64,
    /// The most tokens of the reply.
    pub completion_tokens: u64,
    /// The model's price for prompts, in microdollars per million tokens; 0 if it has none.
    pub input_micros: u64,
    /// The model's price for replies.
    pub output_micros: u64,
    /// The time that decides about day and minute, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The payload of `budget.settled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSettledRecord {
    /// The row of the reservation.
    pub reserved: u64,
    /// Whether the call did not take place, so that it does not count as a request either.
    #[serde(default)]
    pub released: bool,
    /// Tokens of the prompt, as the provider reported them.
    pub prompt_tokens: u64,
    /// Tokens of the reply, as the provider reported them.
    pub completion_tokens: u64,
}

impl Record for BudgetReservedRecord<'_> {
    const KINDS: &'static [EventKind] = &[EventKind::BudgetReserved];

    fn is_effect(&self) -> bool {
        false
    }
}

impl Record for BudgetSettledRecord {
    const KINDS: &'static [EventKind] = &[EventKind::BudgetSettled];

    fn is_effect(&self) -> bool {
        false
    }
}
