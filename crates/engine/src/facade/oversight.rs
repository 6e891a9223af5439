//! The controls of people: approvals, stops and the kill switch.

use life_agent_domain::governance::approval::Status as ApprovalStatus;
use life_agent_domain::governance::event::ApprovalDecision;

use super::Engine;
use crate::activity::ActivityReport;
use crate::approvals::{ApprovalSummary, ApprovalView};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::StopTarget;
use crate::views::{KillSwitchStatus, StopStatus};

impl Engine {
    /// Waits until everything is known that any instance had recorded before the call. Returns immediately if this
    /// process is the only one that appends to the journal.
    pub async fn catch_up(&self) -> Result<(), EngineError> {
        self.0.journal.catch_up().await?;
        self.0.governor.settled().await.map(drop)
    }

    /// Approvals of one status or of all, newest first, older than `before`: the open ones, and those that
    /// were closed last.
    pub fn approvals(
        &self,
        status: Option<ApprovalStatus>,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<ApprovalSummary> {
        self.0.approvals.list(status, before, limit)
    }

    /// An approval with the request that waits for it.
    pub async fn approval(
        &self,
        context: &RequestContext,
        id: u64,
    ) -> Result<ApprovalView, EngineError> {
        self.0.journal.catch_up().await?;
        self.0.approvals.view(&context.principal, id).await
    }

    /// Approves or denies a request. The decision is durable and final.
    pub async fn decide_approval(
        &self,
        context: &RequestContext,
        id: u64,
        decision: ApprovalDecision,
        note: &str,
    ) -> Result<ApprovalView, EngineError> {
        self.0.approvals.decide(context, id, decision, note).await
    }

    /// Counts requests per minute for [`Engine::activity`] until the journal closes. Run it once, as a task.
    pub async fn count_activity(&self) {
        // A copy, so that the task does not keep the engine.
        let activity = self.0.activity.clone();
        activity.follow().await;
    }

    /// The requests of the last `minutes`, at most a day.
    pub fn activity(&self, minutes: usize) -> ActivityReport {
        self.0.activity.report(minutes)
    }

    /// The stopped agents and principals.
    pub fn stops(&self) -> Vec<StopStatus> {
        self.0.stops.stops.list()
    }

    /// Stops or releases an agent or a principal; returns the row. A stop takes effect immediately, even if the
    /// journal fails; a release takes effect once its row is durable.
    pub async fn set_stop(
        &self,
        context: &RequestContext,
        target: &StopTarget,
        on: bool,
        reason: &str,
    ) -> Result<u64, EngineError> {
        self.0.stops.set(context, target, on, reason).await
    }

    /// The state of the kill switch.
    pub fn kill_switch(&self) -> KillSwitchStatus {
        self.0.kill_switch.status()
    }

    /// Changes the kill switch. Off takes effect once its row is durable, on takes effect immediately: if the
    /// journal fails, the call fails and the switch is on nevertheless.
    pub async fn set_kill_switch(
        &self,
        context: &RequestContext,
        on: bool,
        reason: &str,
    ) -> Result<(KillSwitchStatus, u64), EngineError> {
        self.0.kill_switch.set(context, on, reason).await
    }
}
