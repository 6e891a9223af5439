//! Reports of token usage with its cost.

use std::collections::BTreeMap;

use life_agent_domain::governance::budget::{Tokens, dollars};
use life_agent_observer::UsageTotal;
use serde::Serialize;

use crate::policy::ActivePolicy;

/// Token usage as providers reported it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    /// The usage of each caller, agent or model, ordered by name.
    pub usage: Vec<UsageEntry>,
    /// All of it together.
    pub total: UsageEntry,
}

/// The usage of one caller, agent or model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageEntry {
    /// The caller, agent or model; `null` for calls without an agent, and in the total.
    pub name: Option<String>,
    /// Number of calls whose usage was reported.
    pub calls: u64,
    /// Tokens of the requests.
    pub prompt_tokens: u64,
    /// Tokens of the replies.
    pub completion_tokens: u64,
    /// The sums that the providers reported.
    pub total_tokens: u64,
    /// Dollars at the prices of the active policy; `null` if a model has none.
    pub cost: Option<f64>,
}

impl UsageReport {
    pub(crate) fn of(totals: Vec<UsageTotal>, policy: &ActivePolicy) -> Self {
        let mut all = Sum::default();
        let mut named: BTreeMap<Option<String>, Sum> = BTreeMap::new();
        for total in &totals {
            let cost = policy.snapshot.price(&total.model).map(|price| {
                price.cost(Tokens {
                    prompt: total.prompt_tokens,
                    completion: total.completion_tokens,
                })
            });
            named.entry(total.name.clone()).or_default().add(total, cost);
            all.add(total, cost);
        }
        let usage = named.into_iter().map(|(name, sum)| sum.entry(name)).collect();
        Self { usage, total: all.entry(None) }
    }
}

#[derive(Default)]
struct Sum {
    entry: UsageEntry,
    pico: u128,
    unpriced: bool,
}

impl Sum {
    fn add(&mut self, total: &UsageTotal, cost: Option<u128>) {
        let entry = &mut self.entry;
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut entry.calls, total.calls);
        add(&mut entry.prompt_tokens, total.prompt_tokens);
        add(&mut entry.completion_tokens, total.completion_tokens);
        add(&mut entry.total_tokens, total.total_tokens);
        self.unpriced |= cost.is_none();
        self.pico = self.pico.saturating_add(cost.unwrap_or_default());
    }

    fn entry(self, name: Option<String>) -> UsageEntry {
        let cost = (!self.unpriced).then(|| dollars(self.pico));
        UsageEntry { name, cost, ..self.entry }
    }
}
