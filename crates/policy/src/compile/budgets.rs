//! Budgets and prices, compiled.

use std::collections::BTreeMap;

use globset::{Glob, GlobSet, GlobSetBuilder};
use life_agent_domain::governance::budget;

use super::Compiler;
use crate::document::{Budget, BudgetLimits, Price};
use crate::names::MAX_NAME_GLOB;
use crate::raw;

/// Most models with a price.
const MAX_PRICES: usize = 256;

impl Compiler<'_> {
    pub(super) fn budgets(
        &mut self,
        raw: Vec<raw::budgets::Budget>,
    ) -> (Vec<Budget>, Vec<budget::Budget>) {
        let mut ids = BTreeMap::new();
        let budgets = raw.into_iter().enumerate();
        budgets
            .map(|(index, raw)| {
                let path = format!("budgets.{index}");
                if let Some(id) = &raw.id
                    && let Some(first) = ids.insert(id.clone(), index)
                {
                    let message = format!("`{id}` is already the id at `budgets.{first}.id`");
                    self.faults.add(format!("{path}.id"), message);
                }
                self.budget(&path, raw)
            })
            .unzip()
    }

    /// What is missing is reported by now; a stand-in lets the rest be checked all the same.
    fn budget(&mut self, path: &str, raw: raw::budgets::Budget) -> (Budget, budget::Budget) {
        let limits = BudgetLimits {
            tokens_per_day: raw.tokens_per_day,
            tokens_per_minute: raw.tokens_per_minute,
            requests_per_day: raw.requests_per_day,
            cost_per_day: raw.cost_per_day,
        };
        if limits == BudgetLimits::default() {
            let message = "must have at least one of `tokens_per_day`, `tokens_per_minute`, \
                           `requests_per_day`, `cost_per_day`";
            self.faults.add(path, message);
        }
        let matches = raw.r#match;
        let mut globs = |name: &str, globs: &[String]| {
            self.name_globs(&format!("{path}.match.{name}"), globs);
            (!globs.is_empty()).then(|| set(globs))
        };
        let compiled = budget::Budget {
            id: raw.id.clone().unwrap_or_default(),
            principals: globs("principals", &matches.principals),
            agents: globs("agents", &matches.agents),
            models: globs("models", &matches.models),
            limits: limits.counted(),
        };
        (Budget { id: raw.id.unwrap_or_default(), matches, limits }, compiled)
    }

    pub(super) fn prices(&mut self, prices: &BTreeMap<String, Price>) {
        if prices.len() > MAX_PRICES {
            self.faults.add("prices", format!("must have at most {MAX_PRICES} models"));
        }
        for (model, price) in prices {
            if !price.input.is_finite() || !price.output.is_finite() {
                self.faults.add(format!("prices.{model}"), "must be numbers");
            }
            let chars = model.chars().count();
            if chars == 0 || chars > MAX_NAME_GLOB {
                let message =
                    format!("must have 1 to {MAX_NAME_GLOB} characters, this has {chars}");
                self.faults.add(format!("prices.{model}"), message);
            }
        }
    }
}

/// Globs of names: `*` stands for any text and `?` for one character, and nothing else is special.
fn set(globs: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let literal = |c: char| match c {
            '*' | '?' => c.to_string(),
            other => globset::escape(&other.to_string()),
        };
        // Nothing that is escaped can be faulty.
        if let Ok(glob) = Glob::new(&glob.chars().map(literal).collect::<String>()) {
            set.add(glob);
        }
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}
