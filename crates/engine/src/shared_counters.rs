//! The port to counters that several instances of one journal share: rates, budgets and the instances themselves.
//!
//! Without an implementation, the engine counts in memory, which is exact for one instance. Rates that are lost are
//! gone; budgets are not, because the journal records each reservation. An implementation therefore reports a budget
//! whose counter it does not hold as missing, and the engine rebuilds the counter from the journal.

mod limits;
#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use futures_util::future::BoxFuture;
use life_agent_domain::governance::budget::{LimitKind, Limits, Picodollars, Use};

pub use limits::{RateFallback, SharedLimits, SharedVerdict};

/// A response of the counters.
pub type Counting<'a, T> = BoxFuture<'a, Result<T, CountersUnreachable>>;

/// Counters that several instances share. Each call is one atomic decision on the clock of the counters, and is
/// bounded in time. A call that fails may still have taken effect.
pub trait SharedCounters: Send + Sync {
    /// Names the journal whose counters these are. Calls before it fail.
    fn bind(&self, journal_id: &str);

    /// Takes one request out of a bucket.
    fn take<'a>(&'a self, bucket: &'a Bucket) -> Counting<'a, Taken>;

    /// Reserves the charge in every budget, or in none.
    fn reserve<'a>(&'a self, budgets: &'a [BudgetLimits], charge: Charge)
    -> Counting<'a, Reserved>;

    /// Confirms a reservation once it is row `row` of the journal: counters that were rebuilt since from earlier rows
    /// are charged again, if it fits into all of them.
    fn confirm<'a>(
        &'a self,
        budgets: &'a [BudgetLimits],
        reservation: &'a SharedReservation,
        row: u64,
    ) -> Counting<'a, Reserved>;

    /// Replaces a reservation by the real use, which row `row` of the journal records. Counters that were rebuilt
    /// from that row stay as they are.
    fn settle<'a>(&'a self, settlement: &'a Settlement) -> Counting<'a, ()>;

    /// Sets a missing counter. An existing one stays.
    fn rebuild<'a>(&'a self, budget: &'a str, rebuilt: RebuiltUse) -> Counting<'a, ()>;

    /// The use of budgets.
    fn used<'a>(&'a self, budgets: &'a [String]) -> Counting<'a, Counted>;

    /// The present state, without a request.
    fn status(&self) -> CountersStatus;
}

/// The counters did not respond in time, or refused. It is not known whether the call took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared counters do not respond")]
pub struct CountersUnreachable;

/// A rate: tokens that return one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// What it counts; unique.
    pub name: String,
    /// Requests that return in each window.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// Requests that may come at the same time.
    pub burst: u32,
}

/// The decision about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is within the rate.
    Within {
        /// Further requests that may follow immediately.
        remaining: u32,
    },
    /// It is not, and nothing was taken.
    Exceeded {
        /// The time after which a retry passes.
        retry_after: Duration,
    },
}

/// A budget and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Its id.
    pub id: String,
    /// Its limits.
    pub limits: Limits,
}

/// What a call uses of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charge {
    /// Tokens.
    pub tokens: u64,
    /// Money.
    pub cost: Picodollars,
}

/// What a call holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedReservation {
    /// Milliseconds since 1970 on the clock of the counters.
    pub at: u64,
    /// For each budget, the name of the counter's present content. A rebuilt counter has another one.
    pub generations: Vec<String>,
    /// The charge.
    pub charge: Charge,
}

/// The decision about a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// It fits.
    Held(SharedReservation),
    /// It does not fit, and nothing was charged by this call.
    Exceeded {
        /// The index of the budget.
        budget: usize,
        /// Its limit.
        limit: LimitKind,
        /// Milliseconds since 1970.
        now: u64,
    },
    /// At least one budget has no counter, and nothing was charged.
    Missing {
        /// Milliseconds since 1970.
        now: u64,
    },
}

/// The real use of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The budgets, in the order of the generations.
    pub budgets: Vec<String>,
    /// The reservation.
    pub reservation: SharedReservation,
    /// The row that records the reservation; 0 if there is none.
    pub reserved_row: u64,
    /// The row that records the settlement; 0 if there is none, because the reservation was not recorded either.
    pub row: u64,
    /// The real use.
    pub real: Charge,
    /// Whether the call was not made at all.
    pub released: bool,
}

/// The use of one budget, as the journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuiltUse {
    /// The last row that was read.
    pub upto: u64,
    /// The time to whose day and minute the use belongs, in milliseconds since 1970.
    pub now: u64,
    /// The use.
    pub used: Use,
}

/// The use of budgets at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Milliseconds since 1970.
    pub now: u64,
    /// For each budget; `None` without a counter.
    pub uses: Vec<Option<Use>>,
}

/// The state of the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountersStatus {
    /// Whether the last call succeeded.
    pub is_reachable: bool,
    /// The instances that were alive when the counters last responded, this one included.
    pub instances: Vec<Instance>,
}

/// An instance that shares the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// A random name, new with each start.
    pub id: String,
    /// When it started, in milliseconds since 1970.
    pub started_ms: u64,
    /// Whether it is this one.
    pub is_own: bool,
}
