//! The account of several instances: counters that the instances share, with the journal as the truth.
//!
//! A call is charged in the counters, its reservation becomes a row, and the counters confirm it. A counter that is
//! missing, because the store of the counters lost it or was replaced by a copy, is rebuilt from the rows of the day.
//! A rebuilt counter knows the last row that it includes. With that row, each later step finds out what the counter
//! includes: the confirmation charges a reservation again that a counter does not include, and the settlement leaves
//! a counter alone that includes the settlement already. No loss of counters hands out a budget a second time.

use std::sync::Arc;

use life_agent_domain::governance::budget::{Exceeded, Price, Tokens, Use};
use life_agent_observer::{CommitHandle, Journal};
use tokio::sync::Mutex;

use super::{NotReserved, refused, restore};
use crate::error::EngineError;
use crate::shared_counters::{
    BudgetLimits, Charge, Counted, CountersUnreachable, RebuiltUse, Reserved, Settlement,
    SharedCounters, SharedLimits, SharedReservation,
};

/// Attempts to find a counter that is lost again and again.
const ATTEMPTS: usize = 4;

pub(super) struct SharedAccount {
    limits: SharedLimits,
    journal: Journal,
    /// One rebuild at a time, which serves all that wait.
    rebuilding: Mutex<()>,
}

/// The charge of a number of tokens.
pub(super) fn charge_of(tokens: Tokens, price: Price) -> Charge {
    Charge { tokens: tokens.total(), cost: price.cost(tokens) }
}

fn unreachable(_: CountersUnreachable) -> NotReserved {
    NotReserved::Failed(EngineError::LimitsUnavailable)
}

impl SharedAccount {
    pub(super) fn new(limits: SharedLimits, journal: Journal) -> Self {
        Self { limits, journal, rebuilding: Mutex::new(()) }
    }

    fn counters(&self) -> &dyn SharedCounters {
        self.limits.counters()
    }

    /// Reserves a charge in every budget, or in none.
    pub(super) async fn reserve(
        &self,
        budgets: &[BudgetLimits],
        charge: Charge,
    ) -> Result<SharedReservation, NotReserved> {
        for _ in 0..ATTEMPTS {
            match self.counters().reserve(budgets, charge).await.map_err(unreachable)? {
                Reserved::Missing { now } => self.rebuild(budgets, now).await?,
                decided => return decision(budgets, decided),
            }
        }
        Err(unreachable(CountersUnreachable))
    }

    /// Confirms a reservation that row `row` records.
    pub(super) async fn confirm(
        &self,
        budgets: &[BudgetLimits],
        reservation: &SharedReservation,
        row: u64,
    ) -> Result<SharedReservation, NotReserved> {
        for _ in 0..ATTEMPTS {
            let confirmed = self.counters().confirm(budgets, reservation, row).await;
            match confirmed.map_err(unreachable)? {
                Reserved::Missing { now } => self.rebuild(budgets, now).await?,
                decided => return decision(budgets, decided),
            }
        }
        Err(unreachable(CountersUnreachable))
    }

    /// Settles once `pending` is durable. If that fails, the reservation stays charged, here as in the journal.
    pub(super) fn settle_later(
        self: &Arc<Self>,
        mut settlement: Settlement,
        pending: Option<CommitHandle>,
    ) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let account = Arc::clone(self);
        runtime.spawn(async move {
            if let Some(pending) = pending {
                let Ok(committed) = pending.await else { return };
                settlement.row = committed.id;
            }
            if account.counters().settle(&settlement).await.is_err() {
                tracing::debug!("a budget is settled when its counter is rebuilt");
            }
        });
    }

    /// The use of budgets and its time; `None` if the counters do not respond.
    pub(super) async fn used(&self, ids: &[String]) -> Option<(u64, Vec<Use>)> {
        for _ in 0..ATTEMPTS {
            let Counted { now, uses } = self.counters().used(ids).await.ok()?;
            match uses.into_iter().collect::<Option<Vec<_>>>() {
                Some(uses) => return Some((now, uses)),
                None => self.rebuild_missing(ids, now).await.ok()?,
            }
        }
        None
    }

    async fn rebuild(&self, budgets: &[BudgetLimits], now: u64) -> Result<(), NotReserved> {
        let ids: Vec<_> = budgets.iter().map(|budget| budget.id.clone()).collect();
        self.rebuild_missing(&ids, now).await
    }

    /// Rebuilds the counters that are missing from the rows of the day to which `now` belongs.
    async fn rebuild_missing(&self, ids: &[String], now: u64) -> Result<(), NotReserved> {
        let _alone = self.rebuilding.lock().await;
        let counted = self.counters().used(ids).await.map_err(unreachable)?;
        if counted.uses.iter().all(Option::is_some) {
            return Ok(());
        }
        let mut account = restore::account(&self.journal, now)
            .await
            .map_err(|error| NotReserved::Failed(error.into()))?;
        for (id, _) in ids.iter().zip(&counted.uses).filter(|(_, used)| used.is_none()) {
            let rebuilt =
                RebuiltUse { upto: account.upto, now, used: account.ledger.used(id, now) };
            self.counters().rebuild(id, rebuilt).await.map_err(unreachable)?;
            tracing::info!(
                budget = id,
                upto = account.upto,
                "the shared counter of a budget is rebuilt from the journal"
            );
        }
        Ok(())
    }
}

/// The decision that the counters made.
fn decision(budgets: &[BudgetLimits], decided: Reserved) -> Result<SharedReservation, NotReserved> {
    match decided {
        Reserved::Held(reservation) => Ok(reservation),
        Reserved::Missing { .. } => Err(unreachable(CountersUnreachable)),
        Reserved::Exceeded { budget, limit, now } => {
            let budget = budgets.get(budget).map_or_else(String::new, |found| found.id.clone());
            Err(refused(&Exceeded { budget, limit, resets_at: limit.resets_at(now) }, now))
        }
    }
}
