//! Limits, budgets and refused callers.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use life_agent_domain::governance::ids::Principal;
use life_agent_observer::UsageBy;

use super::Engine;
use crate::budgets::{BudgetStatus, UsageReport};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::AccessDenial;
use crate::shared_counters::SharedLimits;

impl Engine {
    /// The counters that several instances share, if there are any.
    pub fn shared_limits(&self) -> Option<&SharedLimits> {
        self.0.shared_limits.as_ref()
    }

    /// The budgets that calls of a caller count against.
    pub async fn budgets(&self, principal: &Principal) -> Vec<BudgetStatus> {
        self.0.budgets.of(&self.0.cell.active(), principal).await
    }

    /// The present time, on the clock of the rows.
    pub fn now(&self) -> Timestamp {
        self.0.journal.now()
    }

    /// Token usage since a time, of one caller or of all, as providers reported it, with its cost at the
    /// prices of the active policy.
    pub async fn usage(
        &self,
        by: UsageBy,
        since: Timestamp,
        principal: Option<&str>,
    ) -> Result<UsageReport, EngineError> {
        let totals = self.0.journal.usage(by, &format!("{since:.6}"), principal).await?;
        Ok(UsageReport::of(totals, &self.0.cell.active()))
    }

    /// Counts and records a request without a known key, and returns how long its response should wait. A
    /// `guess` is a request with an unknown key. A peer gets at most one row per minute.
    pub fn auth_failed(&self, peer: Option<IpAddr>, guess: bool) -> Duration {
        self.0.auth_failures.failed(peer, guess)
    }

    /// Refuses everything that acts with [`EngineError::JournalFull`], or no longer. Queued turns still run.
    pub fn set_journal_full(&self, full: bool) {
        self.0.journal_full.store(full, Ordering::Relaxed);
    }

    /// Counts and records a request that its caller's key does not permit: at most ten rows per second for one
    /// caller and reason, and one row for the rest of that second.
    pub async fn deny_access(&self, context: &RequestContext, denial: AccessDenial<'_>) {
        self.0.access.deny(context, denial).await;
    }
}
