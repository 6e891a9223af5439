//! Budgets of model calls: reserved before a call, settled after it, and rebuilt from the journal at start.
//!
//! One instance keeps the account in memory. Several keep it in shared counters, see [`shared`].

mod estimate;
mod restore;
mod shared;
mod status;
mod usage;

use std::borrow::Cow;
use std::sync::Arc;

use life_agent_domain::governance::budget::{
    Budget, Call, Exceeded, Ledger, Price, Reservation, Tokens, Use,
};
use life_agent_domain::governance::event::{BudgetReservedRecord, BudgetSettledRecord};
use life_agent_domain::governance::gate::{Reason, Refusal};
use life_agent_domain::governance::ids::{AgentId, Principal};
use life_agent_observer::{CommitHandle, Guard, Journal};
use parking_lot::Mutex;

use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::ActivePolicy;
use crate::recorder::{Batch, Recorder};
use crate::shared_counters::{BudgetLimits, Settlement, SharedReservation};
use shared::{SharedAccount, charge_of};

pub(crate) use estimate::{most_of_body, most_of_texts, prompt, used_so_far};
pub(crate) use restore::BudgetFollower;
pub use status::BudgetStatus;
pub use usage::{UsageEntry, UsageReport};

/// The gate of these refusals in rows and responses.
pub(crate) const GATE: &str = "budget";

/// Keeps the account of the budgets.
pub(crate) struct Budgets {
    /// The account. With shared counters, it is only for reports while they do not respond; it then lacks the
    /// calls of instances that have another journal.
    ledger: Arc<Mutex<Ledger>>,
    recorder: Recorder,
    shared: Option<Arc<SharedAccount>>,
}

/// Attempts to reserve while other instances reserve in the same budgets.
const ATTEMPTS: usize = 8;

/// A call that asks for a place in its budgets.
pub(crate) struct Asked<'a> {
    pub(crate) agent: Option<&'a AgentId>,
    pub(crate) model: &'a str,
    /// The most that it can use.
    pub(crate) most: Tokens,
}

/// Why a call may not be made.
pub(crate) enum NotReserved {
    /// A budget is used up.
    Refused {
        refusal: Refusal,
        /// When the limit's period ends: RFC 3339, UTC.
        resets_at: Option<String>,
    },
    /// The reservation cannot be recorded.
    Failed(EngineError),
}

/// What one call holds of its budgets. If it is dropped without a word, the call stays charged with that:
/// its tokens may have been used.
pub(crate) struct Held {
    budgets: Arc<Budgets>,
    call: Mutex<Option<HeldCall>>,
}

struct HeldCall {
    reservation: Reservation,
    shared: Option<SharedReservation>,
    row: u64,
    agent: Option<AgentId>,
    context: RequestContext,
    policy_hash: String,
}

impl Budgets {
    /// Reserves the most that a call can use in every budget that applies, or in none. The reservation is
    /// durable before the call, so that a crash cannot lose it.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        context: &RequestContext,
        policy: &ActivePolicy,
        asked: Asked<'_>,
    ) -> Result<Held, NotReserved> {
        for _ in 1..ATTEMPTS {
            match self.try_reserve(context, policy, &asked).await {
                // Another instance was faster; its reservation is known now.
                Err(NotReserved::Failed(EngineError::Outdated)) => {}
                reserved => return reserved,
            }
        }
        self.try_reserve(context, policy, &asked).await
    }

    async fn try_reserve(
        self: &Arc<Self>,
        context: &RequestContext,
        policy: &ActivePolicy,
        asked: &Asked<'_>,
    ) -> Result<Held, NotReserved> {
        let budgets = applying(policy, &context.principal);
        let held = |call| Held { budgets: Arc::clone(self), call: Mutex::new(call) };
        if budgets.is_empty() {
            return Ok(held(None));
        }
        let call = Call {
            principal: context.principal.as_str(),
            agent: asked.agent.map(AgentId::as_str),
            model: asked.model,
        };
        let price = policy.snapshot.price(asked.model);
        let unpriced = budgets.iter().find(|budget| {
            price.is_none() && budget.limits.cost_per_day.is_some() && budget.applies_to(&call)
        });
        if let Some(budget) = unpriced {
            return Err(without_price(&budget.id, asked.model));
        }
        let price = price.unwrap_or_default();
        let limits: Vec<_> = budgets.iter().filter(|budget| budget.applies_to(&call)).collect();
        let limits: Vec<_> = limits
            .into_iter()
            .map(|budget| BudgetLimits { id: budget.id.clone(), limits: budget.limits })
            .collect();
        if limits.is_empty() {
            return Ok(held(None));
        }
        let (reservation, shared) = match &self.shared {
            None => {
                let mut ledger = self.ledger.lock();
                let now = self.now();
                let reserved = ledger.reserve(&budgets, &call, asked.most, price, now);
                (reserved.map_err(|exceeded| refused(&exceeded, now))?, None)
            }
            Some(account) => {
                let shared = account.reserve(&limits, charge_of(asked.most, price)).await?;
                let ids = limits.iter().map(|budget| budget.id.clone()).collect();
                let reservation = Reservation::recorded(ids, asked.most, price, shared.at);
                self.ledger.lock().charge_again(&reservation);
                (reservation, Some(shared))
            }
        };
        let record = reserved_record(&reservation, asked, price);
        let hash = &policy.snapshot.hash;
        // The reservation is no effect of the request, so it claims no idempotency key.
        let own = context.clone().with_idempotency(None);
        let mut batch = Batch::new(&own, hash);
        if self.shared.is_none() && self.recorder.shared_control().is_some() {
            // When the row is written, the reservations of all other instances are charged here.
            let (ledger, budgets) = (Arc::clone(&self.ledger), budgets.into_owned());
            let (reserved, journal) = (reservation.clone(), self.recorder.journal().clone());
            batch.guard(Guard::new(move || {
                !ledger.lock().is_overdrawn(&budgets, &reserved, now(&journal))
            }));
        }
        let recorded = match batch.push(asked.agent, &record) {
            Ok(()) => self.recorder.commit(batch).await.map(|committed| committed.id),
            Err(error) => Err(error),
        };
        let mut call = HeldCall {
            reservation,
            shared,
            row: *recorded.as_ref().unwrap_or(&0),
            agent: asked.agent.cloned(),
            context: own,
            policy_hash: hash.clone(),
        };
        if let Err(error) = recorded {
            self.ledger.lock().release(&call.reservation, self.now());
            self.settle_shared(&call, None, None);
            return Err(NotReserved::Failed(error));
        }
        if let (Some(account), Some(reserved)) = (&self.shared, &call.shared) {
            match account.confirm(&limits, reserved, call.row).await {
                Ok(confirmed) => call.shared = Some(confirmed),
                Err(not) => {
                    self.settle(&call, None);
                    return Err(not);
                }
            }
        }
        Ok(held(Some(call)))
    }

    fn now(&self) -> u64 {
        now(self.recorder.journal())
    }

    /// A call that no budget applies to.
    pub(crate) fn none(self: &Arc<Self>) -> Held {
        Held { budgets: Arc::clone(self), call: Mutex::new(None) }
    }

    fn settle(&self, held: &HeldCall, real: Option<Tokens>) {
        {
            let mut ledger = self.ledger.lock();
            match real {
                Some(real) => ledger.settle(&held.reservation, Some(real), self.now()),
                None => ledger.release(&held.reservation, self.now()),
            }
        }
        let tokens = real.unwrap_or_default();
        let record = BudgetSettledRecord {
            reserved: held.row,
            released: real.is_none(),
            prompt_tokens: tokens.prompt,
            completion_tokens: tokens.completion,
        };
        let mut batch = Batch::new(&held.context, &held.policy_hash);
        let queued =
            batch.push(held.agent.as_ref(), &record).and_then(|()| self.recorder.append(batch));
        match queued {
            Ok(pending) => self.settle_shared(held, real, Some(pending)),
            // After a restart the call is charged with its reservation, which is more.
            Err(error) => tracing::warn!(%error, "the use of a budget could not be recorded"),
        }
    }

    /// Settles in the shared counters what a pending row records, once the row is durable.
    fn settle_shared(&self, held: &HeldCall, real: Option<Tokens>, pending: Option<CommitHandle>) {
        if let (Some(account), Some(reservation)) = (&self.shared, &held.shared) {
            let settlement = Settlement {
                budgets: held.reservation.budgets().to_vec(),
                reservation: reservation.clone(),
                reserved_row: held.row,
                row: 0,
                real: charge_of(real.unwrap_or_default(), held.reservation.price()),
                released: real.is_none(),
            };
            account.settle_later(settlement, pending);
        }
    }
}

impl Held {
    /// Replaces the reservation by the real use. Without a report of the provider, the reservation stays.
    pub(crate) fn settle(&self, real: Option<Tokens>) {
        if real.is_none() {
            return;
        }
        if let Some(held) = self.call.lock().take() {
            self.budgets.settle(&held, real);
        }
    }

    /// Takes the reservation back: the provider was not called, or rejected the request.
    pub(crate) fn release(&self) {
        if let Some(held) = self.call.lock().take() {
            self.budgets.settle(&held, None);
        }
    }
}

fn reserved_record<'a>(
    reservation: &'a Reservation,
    asked: &Asked<'a>,
    price: Price,
) -> BudgetReservedRecord<'a> {
    BudgetReservedRecord {
        budgets: Cow::Borrowed(reservation.budgets()),
        model: asked.model.into(),
        prompt_tokens: asked.most.prompt,
        completion_tokens: asked.most.completion,
        input_micros: price.input_micros,
        output_micros: price.output_micros,
        at_ms: reservation.at(),
    }
}

fn refused(exceeded: &Exceeded, now: u64) -> NotReserved {
    let wait = exceeded.resets_at.saturating_sub(now).div_ceil(1_000).max(1);
    let resets_at = status::text(exceeded.resets_at);
    let (budget, limit) = (&exceeded.budget, exceeded.limit.as_str());
    let refusal = Refusal {
        reason: Reason::BudgetExceeded,
        rule: Some(format!("{budget}/{limit}")),
        message: format!(
            "the call does not fit into what is left of `{limit}` of the budget `{budget}` until {resets_at}; \
             ask for fewer tokens, or again then"
        ),
        retry_after: Some(wait),
    };
    NotReserved::Refused { refusal, resets_at: Some(resets_at) }
}

/// A budget in money cannot count a model without a price, so it refuses it.
fn without_price(budget: &str, model: &str) -> NotReserved {
    let refusal = Refusal {
        reason: Reason::BudgetExceeded,
        rule: Some(format!("{budget}/cost_per_day")),
        message: format!(
            "the model `{model}` has no price in `prices` of the policy, which the budget `{budget}` requires; \
             name another model"
        ),
        retry_after: None,
    };
    NotReserved::Refused { refusal, resets_at: None }
}

/// Milliseconds since 1970. Days and minutes are those of the clock of the rows.
fn now(journal: &Journal) -> u64 {
    u64::try_from(journal.now().as_millisecond()).unwrap_or_default()
}

impl Budgets {
    /// The budgets that calls of a caller count against, whatever their agent and model.
    pub(crate) async fn of(
        &self,
        policy: &ActivePolicy,
        principal: &Principal,
    ) -> Vec<BudgetStatus> {
        let own = |budget: &Budget| {
            budget.principals.as_ref().is_none_or(|globs| globs.is_match(principal.as_str()))
        };
        let mut budgets = applying(policy, principal).into_owned();
        budgets.retain(own);
        let ids: Vec<_> = budgets.iter().map(|budget| budget.id.clone()).collect();
        let shared = match &self.shared {
            Some(account) if !ids.is_empty() => account.used(&ids).await,
            _ => None,
        };
        let (now, uses) = shared.unwrap_or_else(|| {
            let (now, mut ledger) = (self.now(), self.ledger.lock());
            (now, ids.iter().map(|id| ledger.used(id, now)).collect())
        });
        let status =
            |(budget, used): (&Budget, Use)| BudgetStatus::of(&budget.id, budget.limits, used, now);
        budgets.iter().zip(uses).map(status).collect()
    }
}

/// The budgets of the policy and that of the caller's key. Ids of the policy have no colon.
fn applying<'p>(policy: &'p ActivePolicy, principal: &Principal) -> Cow<'p, [Budget]> {
    let Some(limits) = principal.budget() else { return Cow::Borrowed(&policy.snapshot.budgets) };
    let own = Budget {
        id: format!("key:{}", principal.as_str()),
        principals: None,
        agents: None,
        models: None,
        limits,
    };
    Cow::Owned(policy.snapshot.budgets.iter().cloned().chain([own]).collect())
}
