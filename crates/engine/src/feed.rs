//! The rows of the journal as they become durable, for the state in memory that follows them: the kill switch, stops,
//! approvals, budgets, agents and the policy. On a journal that several instances share, these are also the rows of the
//! others, and each is applied while the end of the journal is locked, before a batch of this instance is checked.

use std::sync::Arc;

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::{JournalRow, Origin, RowObserver};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::agents::Slots;
use crate::approvals::DeskFollower;
use crate::budgets::BudgetFollower;
use crate::govern::{Stops, Switch};
use crate::policy::PolicyCell;

/// Receives the rows. Keeps those that come before the services exist.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<State>>);

enum State {
    Starting(Vec<(Arc<JournalRow>, Origin)>),
    Live(Followers),
}

impl Default for State {
    fn default() -> Self {
        State::Starting(Vec::new())
    }
}

/// The state that follows the rows. None of it holds the journal, whose writer calls it.
pub(crate) struct Followers {
    pub(crate) switch: Arc<Switch>,
    pub(crate) stops: Arc<Stops>,
    pub(crate) approvals: DeskFollower,
    pub(crate) budgets: BudgetFollower,
    pub(crate) agents: Slots,
    /// Of a journal that several instances share.
    pub(crate) policy: Option<Arc<PolicyCell>>,
}

impl Feed {
    /// Applies the rows so far and every later one.
    pub(crate) fn start(&self, mut followers: Followers) {
        let mut state = self.0.lock();
        if let State::Starting(rows) = &mut *state {
            for (row, origin) in std::mem::take(rows) {
                followers.apply(&row, origin);
            }
        }
        *state = State::Live(followers);
    }
}

impl RowObserver for Feed {
    fn observe(&mut self, row: &Arc<JournalRow>, origin: Origin) {
        // The state of an agent that this instance has stepped is in memory.
        if origin == Origin::Own && row.kind.starts_with("obs.") {
            return;
        }
        match &mut *self.0.lock() {
            State::Starting(rows) if !row.kind.starts_with("obs.") => {
                rows.push((Arc::clone(row), origin));
            }
            // No agent is in memory yet.
            State::Starting(_) => {}
            State::Live(followers) => followers.apply(row, origin),
        }
    }
}

impl Followers {
    fn apply(&mut self, row: &Arc<JournalRow>, origin: Origin) {
        match row.event_kind() {
            Some(EventKind::Act | EventKind::Turn) if origin == Origin::Other => {
                self.agents.follow(row);
            }
            Some(EventKind::KillSwitchOn | EventKind::KillSwitchOff) => self.switch.apply(row),
            Some(EventKind::StopOn | EventKind::StopOff) => self.stops.apply(row),
            Some(
                EventKind::ApprovalRequested
                | EventKind::ApprovalDecided
                | EventKind::ApprovalUsed
                | EventKind::ApprovalExpired,
            ) => self.approvals.apply(row),
            Some(EventKind::BudgetReserved | EventKind::BudgetSettled)
                if origin == Origin::Other =>
            {
                self.budgets.apply(row);
            }
            Some(EventKind::PolicyReload) => {
                if let (Some(policy), Some(hash)) = (&self.policy, policy_of(row)) {
                    policy.recorded(hash, origin == Origin::Other);
                }
            }
            _ => {}
        }
    }
}

/// The policy in a row's envelope.
fn policy_of(row: &Row) -> Option<String> {
    #[derive(Deserialize)]
    struct Stated {
        policy_hash: String,
    }
    let stated: Result<Stated, _> = serde_json::from_str(row.data.get());
    stated.ok().map(|stated| stated.policy_hash)
}
