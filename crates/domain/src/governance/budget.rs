//! Budgets: how many model tokens, requests and how much money a group of callers may use.
//!
//! A call reserves its largest possible cost before the provider is asked and settles the real cost
//! afterward, so calls that run at the same time cannot exceed a budget together. [`Ledger`] is pure: time
//! arrives as an argument, and the service rebuilds it from the journal at start. A call whose outcome is
//! unknown stays charged with its reservation.

use std::collections::HashMap;

use globset::GlobSet;

/// Milliseconds of a day; days begin at midnight UTC.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60 * 1_000;

/// Money in picodollars: one token at a price of one microdollar per million tokens.
pub type Picodollars = u128;

/// Picodollars of one microdollar.
pub const PICO_PER_MICRO: Picodollars = 1_000_000;

/// Dollars as picodollars, rounded to a microdollar; negative amounts are none.
pub fn picodollars(dollars: f64) -> Picodollars {
    (dollars * 1e6).round().max(0.0) as Picodollars * PICO_PER_MICRO
}

/// Picodollars as dollars, for people.
pub fn dollars(amount: Picodollars) -> f64 {
    (amount / PICO_PER_MICRO) as f64 / 1e6 + (amount % PICO_PER_MICRO) as f64 / 1e12
}

/// The price of a model, in microdollars per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// For tokens of the prompt.
    pub input_micros: u64,
    /// For tokens of the completion.
    pub output_micros: u64,
}

impl Price {
    /// The cost of a number of tokens. Exact: no rounding happens before amounts are displayed.
    pub fn cost(self, tokens: Tokens) -> Picodollars {
        Picodollars::from(tokens.prompt) * Picodollars::from(self.input_micros)
            + Picodollars::from(tokens.completion) * Picodollars::from(self.output_micros)
    }
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the completion.
    pub completion: u64,
}

impl Tokens {
    /// All tokens of the call.
    pub fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// What a budget limits. A limit that is absent does not apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens per day.
    pub tokens_per_day: Option<u64>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests per day.
    pub requests_per_day: Option<u64>,
    /// Cost per day.
    pub cost_per_day: Option<Picodollars>,
}

/// One budget of the policy. All calls that match share it.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Its id in the policy; a reload that keeps the id keeps what was used.
    pub id: String,
    /// The callers it applies to; `None` for every caller.
    pub principals: Option<GlobSet>,
    /// The agents it applies to; `None` for every agent, and for calls without one.
    pub agents: Option<GlobSet>,
    /// The models it applies to; `None` for every model.
    pub models: Option<GlobSet>,
    /// Its limits.
    pub limits: Limits,
}

/// Whose call it is.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The caller.
    pub principal: &'a str,
    /// The agent, if the call has one.
    pub agent: Option<&'a str>,
    /// The model that is asked.
    pub model: &'a str,
}

impl Budget {
    /// Whether a call counts against this budget.
    pub fn applies_to(&self, call: &Call<'_>) -> bool {
        let matches = |set: &Option<GlobSet>, name: Option<&str>| match (set, name) {
            (None, _) => true,
            (Some(set), Some(name)) => set.is_match(name),
            (Some(_), None) => false,
        };
        matches(&self.principals, Some(call.principal))
            && matches(&self.agents, call.agent)
            && matches(&self.models, Some(call.model))
    }
}

/// The limit that a call would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// [`Limits::tokens_per_day`]
    TokensPerDay,
    /// [`Limits::tokens_per_minute`]
    TokensPerMinute,
    /// [`Limits::requests_per_day`]
    RequestsPerDay,
    /// [`Limits::cost_per_day`]
    CostPerDay,
}

impl LimitKind {
    /// The name of the setting in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokensPerDay => "tokens_per_day",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::RequestsPerDay => "requests_per_day",
            Self::CostPerDay => "cost_per_day",
        }
    }

    /// When the period of the limit ends that `now` belongs to, both in milliseconds since 1970.
    pub fn resets_at(self, now: u64) -> u64 {
        let period = if self == Self::TokensPerMinute { MINUTE_MS } else { DAY_MS };
        (now / period).saturating_add(1).saturating_mul(period)
    }
}

/// A call that does not fit into a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("budget `{budget}` is used up: {} would be exceeded", limit.as_str())]
pub struct Exceeded {
    /// The budget.
    pub budget: String,
    /// The limit.
    pub limit: LimitKind,
    /// When the limit's period ends, in milliseconds since 1970.
    pub resets_at: u64,
}

/// What one call holds until it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a reservation stays charged in full until it is settled"]
pub struct Reservation {
    budgets: Vec<String>,
    tokens: Tokens,
    cost: Picodollars,
    price: Price,
    at: u64,
}

impl Reservation {
    /// A reservation that was recorded.
    pub fn recorded(budgets: Vec<String>, tokens: Tokens, price: Price, at: u64) -> Self {
        Self { budgets, tokens, cost: price.cost(tokens), price, at }
    }

    /// A reservation that no budget applies to.
    pub fn is_free(&self) -> bool {
        self.budgets.is_empty()
    }

    /// The budgets that it is charged to.
    pub fn budgets(&self) -> &[String] {
        &self.budgets
    }

    /// The price that its cost is computed with.
    pub fn price(&self) -> Price {
        self.price
    }

    /// When it was made, in milliseconds since 1970.
    pub fn at(&self) -> u64 {
        self.at
    }
}

/// Use within the current day and minute, reservations included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    day: u64,
    minute: u64,
    /// Tokens of the day.
    pub day_tokens: u64,
    /// Tokens of the minute.
    pub minute_tokens: u64,
    /// Requests of the day.
    pub day_requests: u64,
    /// Cost of the day.
    pub day_cost: Picodollars,
}

impl Use {
    /// Forgets periods that are over. A clock that goes back does not reopen a period.
    fn roll(&mut self, now: u64) {
        let (day, minute) = (now / DAY_MS, now / MINUTE_MS);
        if day > self.day {
            (self.day, self.day_tokens, self.day_requests, self.day_cost) = (day, 0, 0, 0);
        }
        if minute > self.minute {
            (self.minute, self.minute_tokens) = (minute, 0);
        }
    }
}

/// What is used and reserved, by budget.
#[derive(Debug, Default)]
pub struct Ledger {
    uses: HashMap<String, Use>,
}

impl Ledger {
    /// Reserves the largest possible cost of a call in every budget that applies, or in none.
    pub fn reserve(
        &mut self,
        budgets: &[Budget],
        call: &Call<'_>,
        most: Tokens,
        price: Price,
        now: u64,
    ) -> Result<Reservation, Exceeded> {
        let applying: Vec<_> = budgets.iter().filter(|budget| budget.applies_to(call)).collect();
        let cost = price.cost(most);
        for budget in &applying {
            let used = self.current(&budget.id, now);
            if let Some(limit) = exceeded(&budget.limits, used, most.total(), cost) {
                let resets_at = limit.resets_at(now);
                return Err(Exceeded { budget: budget.id.clone(), limit, resets_at });
            }
        }
        for budget in &applying {
            self.charge(&budget.id, most.total(), cost, now);
        }
        let budgets = applying.into_iter().map(|budget| budget.id.clone()).collect();
        Ok(Reservation { budgets, tokens: most, cost, price, at: now })
    }

    /// Whether a reservation no longer fits, because others were charged since.
    pub fn is_overdrawn(
        &mut self,
        budgets: &[Budget],
        reservation: &Reservation,
        now: u64,
    ) -> bool {
        budgets.iter().filter(|budget| reservation.budgets.contains(&budget.id)).any(|budget| {
            exceeded_by(&budget.limits, self.current(&budget.id, now), 0, 0, 0).is_some()
        })
    }

    /// Replaces a reservation with the real use. `None` where the provider did not report it: the
    /// reservation stays charged, since the tokens may have been used.
    pub fn settle(&mut self, reservation: &Reservation, real: Option<Tokens>, now: u64) {
        let Some(real) = real else { return };
        let cost = reservation.price.cost(real);
        for id in &reservation.budgets {
            let used = self.current(id, now);
            // Only within the period that was charged: a later one never saw the reservation.
            if used.day == reservation.at / DAY_MS {
                used.day_tokens =
                    corrected(used.day_tokens, reservation.tokens.total(), real.total());
                used.day_cost = used.day_cost.saturating_sub(reservation.cost).saturating_add(cost);
            }
            if used.minute == reservation.at / MINUTE_MS {
                used.minute_tokens =
                    corrected(used.minute_tokens, reservation.tokens.total(), real.total());
            }
        }
    }

    /// Takes back a reservation whose call never reached the provider.
    pub fn release(&mut self, reservation: &Reservation, now: u64) {
        self.settle(reservation, Some(Tokens::default()), now);
        for id in &reservation.budgets {
            let used = self.current(id, now);
            if used.day == reservation.at / DAY_MS {
                used.day_requests = used.day_requests.saturating_sub(1);
            }
        }
    }

    /// Charges a recorded reservation again, to rebuild the ledger at start.
    pub fn charge_again(&mut self, reservation: &Reservation) {
        for id in &reservation.budgets {
            self.charge(id, reservation.tokens.total(), reservation.cost, reservation.at);
        }
    }

    /// Charges a call that the journal recorded.
    pub fn record(
        &mut self,
        budgets: &[Budget],
        call: &Call<'_>,
        tokens: Tokens,
        price: Price,
        at: u64,
    ) {
        for budget in budgets.iter().filter(|budget| budget.applies_to(call)) {
            self.charge(&budget.id, tokens.total(), price.cost(tokens), at);
        }
    }

    /// The use of a budget at this time.
    pub fn used(&mut self, id: &str, now: u64) -> Use {
        *self.current(id, now)
    }

    fn current(&mut self, id: &str, now: u64) -> &mut Use {
        let used = self.uses.entry(id.to_owned()).or_default();
        used.roll(now);
        used
    }

    fn charge(&mut self, id: &str, tokens: u64, cost: Picodollars, now: u64) {
        let used = self.current(id, now);
        used.day_tokens = used.day_tokens.saturating_add(tokens);
        used.minute_tokens = used.minute_tokens.saturating_add(tokens);
        used.day_requests = used.day_requests.saturating_add(1);
        used.day_cost = used.day_cost.saturating_add(cost);
    }
}

fn corrected(used: u64, reserved: u64, real: u64) -> u64 {
    used.saturating_sub(reserved).saturating_add(real)
}

fn exceeded(limits: &Limits, used: &Use, tokens: u64, cost: Picodollars) -> Option<LimitKind> {
    exceeded_by(limits, used, 1, tokens, cost)
}

fn exceeded_by(
    limits: &Limits,
    used: &Use,
    requests: u64,
    tokens: u64,
    cost: Picodollars,
) -> Option<LimitKind> {
    let over = |limit: Option<u64>, used: u64, more: u64| {
        limit.is_some_and(|limit| used.saturating_add(more) > limit)
    };
    if over(limits.requests_per_day, used.day_requests, requests) {
        Some(LimitKind::RequestsPerDay)
    } else if over(limits.tokens_per_day, used.day_tokens, tokens) {
        Some(LimitKind::TokensPerDay)
    } else if limits.cost_per_day.is_some_and(|limit| used.day_cost.saturating_add(cost) > limit) {
        Some(LimitKind::CostPerDay)
    } else if over(limits.tokens_per_minute, used.minute_tokens, tokens) {
        Some(LimitKind::TokensPerMinute)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
