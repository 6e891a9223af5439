//! The queue of a journal that several instances share: each learns the open turns from the journal, starts a turn under
//! a lease and renews it. A turn whose lease has expired was interrupted, and any instance ends it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    JobChange, JobStatus, JournalError, Lease, OpenJob, Precondition, SideWrite, WriteBatch,
};
use tokio_util::task::AbortOnDropHandle;

use super::JobService;
use super::scheduler::Next;
use crate::error::EngineError;

/// Between two looks at the open turns.
const LOOK: Duration = Duration::from_secs(1);
/// Between two renewals of a lease. The store sets its end.
const RENEW: Duration = Duration::from_secs(10);

impl JobService {
    /// Reads the open turns until the queue is paused.
    pub(super) fn follow_queue(self: &Arc<Self>) {
        let jobs = Arc::downgrade(self);
        self.runtime.spawn(async move {
            loop {
                let Some(jobs) = jobs.upgrade() else { return };
                if jobs.scheduler.lock().is_paused() {
                    return;
                }
                match jobs.journal.open_jobs().await {
                    Ok(open) => jobs.reconcile(open).await,
                    Err(JournalError::Closed) => return,
                    Err(error) => tracing::warn!(%error, "the queued turns cannot be read"),
                }
                drop(jobs);
                tokio::time::sleep(LOOK).await;
            }
        });
    }

    async fn reconcile(self: &Arc<Self>, open: Vec<OpenJob>) {
        let now = self.timestamps.text();
        let (mut waiting, mut expired) = (Vec::new(), Vec::new());
        for job in open {
            match (job.status, &job.lease) {
                (JobStatus::Queued, _) => waiting.push(job),
                // The store compares its own clock.
                (_, Some(lease)) if lease.until > now => {}
                _ => expired.push(job.id),
            }
        }
        self.with(|scheduler| {
            let ids: HashSet<&str> = waiting.iter().map(|job| job.id.as_str()).collect();
            scheduler.retain(|id| ids.contains(id));
            for job in &waiting {
                match AgentId::new(&job.agent_id) {
                    Ok(agent) if !scheduler.knows(&agent, &job.id) => {
                        scheduler.join(&agent, job.id.clone(), true);
                    }
                    Ok(_) => {}
                    Err(_) => tracing::error!(job = job.id, "a queued turn has no agent"),
                }
            }
        });
        self.start_ready();
        for id in expired {
            self.end_interrupted(&id).await;
        }
    }

    /// Ends a turn whose instance has gone.
    async fn end_interrupted(&self, id: &str) {
        let Some(renderer) = self.renderer.get() else { return };
        let policy = self.governor.policy();
        let error = (renderer.failed)(policy.chain.redactor(), EngineError::Interrupted);
        let ended = JobChange::Ended {
            id: id.to_owned(),
            status: JobStatus::Failed,
            at: self.timestamps.text(),
            error: Some(error),
        };
        let free = Precondition::JobFree { id: id.to_owned(), status: JobStatus::Running };
        // A lease that was renewed meanwhile stays.
        let _ = self.change_if(ended, free).await;
    }

    /// Starts a turn, unless another instance has it or an earlier one of its agent is open.
    pub(super) async fn start_leased(&self, id: &str, owner: &str) -> bool {
        let started = JobChange::Started {
            id: id.to_owned(),
            at: self.timestamps.text(),
            lease: Some(self.lease(owner)),
        };
        let free = Precondition::JobFree { id: id.to_owned(), status: JobStatus::Queued };
        match self.change_if(started, free).await {
            Ok(()) => true,
            Err(JournalError::Rejected(_)) => false,
            Err(error) => {
                tracing::warn!(%error, job = id, "a queued turn waits for the journal");
                tokio::time::sleep(super::PAUSE).await;
                false
            }
        }
    }

    /// Renews the lease until the handle is dropped. A turn whose lease is lost is cancelled.
    pub(super) fn keep_lease(&self, next: &Next, owner: &str) -> AbortOnDropHandle<()> {
        let (journal, cancel) = (self.journal.clone(), next.cancel.clone());
        let (id, lease) = (next.id.clone(), self.lease(owner));
        AbortOnDropHandle::new(self.runtime.spawn(async move {
            let mut waited = Duration::ZERO;
            loop {
                tokio::time::sleep(LOOK).await;
                waited += LOOK;
                let lost = match waited < RENEW {
                    // Cancelled at another instance.
                    true => journal
                        .job(&id)
                        .await
                        .is_ok_and(|job| job.is_none_or(|job| job.status != JobStatus::Running)),
                    false => {
                        waited = Duration::ZERO;
                        let renewed = JobChange::Renewed { id: id.clone(), lease: lease.clone() };
                        let mut batch = WriteBatch::side(vec![SideWrite::Job(renewed)]);
                        let owner = lease.owner.clone();
                        batch.preconditions.push(Precondition::JobLease { id: id.clone(), owner });
                        match journal.append(batch) {
                            Ok(written) => matches!(written.await, Err(JournalError::Rejected(_))),
                            Err(_) => false,
                        }
                    }
                };
                if lost {
                    cancel.cancel();
                    return;
                }
            }
        }))
    }

    /// The condition of a turn's rows: this instance still has the lease.
    pub(super) fn lease_of(&self, id: &str) -> Option<Precondition> {
        let owner = self.journal.sharing()?.instance.clone();
        Some(Precondition::JobLease { id: id.to_owned(), owner })
    }

    /// The end is a placeholder: the store sets it by its own clock.
    fn lease(&self, owner: &str) -> Lease {
        Lease { owner: owner.to_owned(), until: self.timestamps.text() }
    }

    async fn change_if(
        &self,
        change: JobChange,
        condition: Precondition,
    ) -> Result<(), JournalError> {
        let mut batch = WriteBatch::side(vec![SideWrite::Job(change)]);
        batch.preconditions.push(condition);
        self.journal.append(batch)?.await.map(drop)
    }
}
