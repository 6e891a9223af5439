//! Expiry: approvals that were not decided or used in time are recorded as expired.

use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::event::ApprovalExpiredRecord;

use super::Approvals;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::recorder::Batch;

/// The longest wait, in case the clock is set.
const LONGEST: Duration = Duration::from_secs(60);
/// The wait of an instance that does not lead: it may lead soon.
const FOLLOWER: Duration = Duration::from_secs(5);
/// The wait after rows could not be written.
const PAUSE: Duration = Duration::from_secs(1);
/// Approvals that expire in one commit.
const AT_ONCE: usize = 256;

impl Approvals {
    /// Records expiries until the engine closes or is dropped.
    pub(super) fn start_expiry(self: &Arc<Self>) {
        let (approvals, stop) = (Arc::downgrade(self), self.stop.clone());
        let mut changed = self.changed.subscribe();
        self.runtime.spawn(async move {
            let mut wait = Duration::ZERO;
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    Ok(()) = changed.changed() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                let Some(approvals) = approvals.upgrade() else { return };
                wait = match approvals.expire_overdue().await {
                    Ok(()) => approvals.until_next_expiry(),
                    Err(error) => {
                        tracing::warn!(%error, "expired approvals could not be recorded");
                        PAUSE
                    }
                };
            }
        });
    }

    fn until_next_expiry(&self) -> Duration {
        if !self.journal.leads() {
            return FOLLOWER;
        }
        let next = self.desk.lock().inbox.next_expiry();
        let left = next.map(|next| Duration::from_millis(next.saturating_sub(self.now())));
        left.map_or(LONGEST, |left| left.min(LONGEST))
    }

    async fn expire_overdue(self: &Arc<Self>) -> Result<(), EngineError> {
        if !self.journal.leads() {
            return Ok(());
        }
        let order = Arc::clone(&self.order).lock_owned().await;
        let now = self.now();
        let mut expected = Vec::new();
        let overdue: Vec<_> = {
            let desk = self.desk.lock();
            let ids = desk.inbox.overdue(now).into_iter().take(AT_ONCE);
            ids.map(|id| {
                let shown = desk.shown(id);
                expected.extend(shown.map(|shown| (id, shown.status)));
                (id, shown.and_then(|shown| shown.agent.clone()))
            })
            .collect()
        };
        if overdue.is_empty() || self.stop.is_cancelled() {
            return Ok(());
        }
        let (context, policy) = (RequestContext::system(), self.policy.active());
        let mut batch = Batch::new(&context, &policy.snapshot.hash);
        for (approval_id, agent) in &overdue {
            batch.push(agent.as_ref(), &ApprovalExpiredRecord { approval_id: *approval_id })?;
        }
        batch.guard(self.unchanged(expected));
        let written = self.recorder.append(batch)?;
        self.settle(order, written).await.map(|_| ())
    }
}
