//! The use of an approval: recorded in the commit of its request's effect, or in one of its own before it.

use std::sync::Arc;

use life_agent_domain::governance::approval::{Granted, Status};
use life_agent_domain::governance::event::ApprovalUsedRecord;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{IdempotencyRecord, Precondition, SideWrite};

use super::Approvals;
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::policy::ActivePolicy;
use crate::recorder::Batch;

/// An approval that was taken out of the inbox. Dropped before it is recorded, it goes back.
pub(crate) struct ApprovalUse {
    approvals: Arc<Approvals>,
    /// `None` once the approval is back in the inbox.
    granted: Option<Granted>,
    agent: Option<AgentId>,
    /// The policy that asked.
    policy_hash: String,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Taken,
    /// A commit was begun; whether it succeeded is not known here.
    Begun,
    Recorded,
}

impl ApprovalUse {
    pub(super) fn new(
        approvals: Arc<Approvals>,
        granted: Granted,
        agent: Option<AgentId>,
        policy_hash: &str,
    ) -> Self {
        let (granted, policy_hash) = (Some(granted), policy_hash.to_owned());
        Self { approvals, granted, agent, policy_hash, progress: Progress::Taken }
    }

    /// Whether this policy asked.
    pub(crate) fn is_under(&self, policy_hash: &str) -> bool {
        self.policy_hash == policy_hash
    }

    /// The approval, which turns the denial of its request into a permit.
    pub(crate) fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// Adds the use to a batch, which is then stored only if the approval was not used before.
    pub(crate) fn push(&mut self, batch: &mut Batch<'_>) -> Result<(), EngineError> {
        let granted = self.granted.as_ref().ok_or(EngineError::Unavailable)?;
        let approval_id = granted.approval().id;
        batch.push(self.agent.as_ref(), &ApprovalUsedRecord { approval_id })?;
        let key = key(approval_id);
        batch.require(Precondition::KeyUnclaimed { key: key.clone() });
        let digest = granted.approval().digest.as_str().to_owned();
        let record = IdempotencyRecord { id: key, digest, job: None };
        batch.extend([SideWrite::Idempotency(record)]);
        self.progress = Progress::Begun;
        Ok(())
    }

    /// The batch with the use is durable.
    pub(crate) fn recorded(&mut self) {
        self.progress = Progress::Recorded;
        if let Some(granted) = &self.granted {
            self.approvals.desk.lock().close(granted.approval().id, Status::Used);
        }
    }

    /// Records the use by itself, before an effect that cannot be committed with it. Does nothing the second time.
    pub(crate) async fn commit(
        &mut self,
        context: &RequestContext,
        policy_hash: &str,
    ) -> Result<(), EngineError> {
        if self.progress == Progress::Recorded {
            return Ok(());
        }
        let mut batch = Batch::new(context, policy_hash);
        self.push(&mut batch)?;
        batch.require_permission();
        let recorder = self.approvals.recorder.clone();
        match recorder.commit(batch).await {
            // The kill switch, a stop or another policy came first, and nothing was written.
            Err(EngineError::Outdated) => {
                self.progress = Progress::Taken;
                return Err(EngineError::Outdated);
            }
            Err(EngineError::Conflict(_)) => {
                let used = "the approval of this request was used by another call a moment ago";
                return Err(EngineError::Conflict(used.to_owned()));
            }
            committed => drop(committed?),
        }
        self.recorded();
        Ok(())
    }
}

/// Records the use of an approval by itself, if a request has one, see [`ApprovalUse::commit`].
pub(crate) async fn record_use(
    used: &mut Option<ApprovalUse>,
    context: &RequestContext,
    policy: &ActivePolicy,
) -> Result<(), EngineError> {
    match used {
        Some(used) => used.commit(context, &policy.snapshot.hash).await,
        None => Ok(()),
    }
}

/// The name of the record that makes a second use fail.
fn key(approval: u64) -> String {
    format!("approval:{approval}")
}

impl Drop for ApprovalUse {
    fn drop(&mut self) {
        let Some(granted) = self.granted.take() else { return };
        match self.progress {
            Progress::Recorded => {}
            Progress::Taken => self.approvals.desk.lock().inbox.restore(granted),
            Progress::Begun => {
                let approvals = Arc::clone(&self.approvals);
                self.approvals.runtime.spawn(async move { approvals.settle_use(granted).await });
            }
        }
    }
}

impl Approvals {
    /// Finds out whether a use became durable although its caller did not learn of it.
    async fn settle_use(&self, granted: Granted) {
        let id = granted.approval().id;
        let found = async {
            self.journal.barrier().await?;
            self.journal.idempotency(&key(id)).await
        };
        match found.await {
            Ok(Some(_)) => self.desk.lock().close(id, Status::Used),
            Ok(None) => self.desk.lock().inbox.restore(granted),
            // It stays out of the inbox, so that it cannot be used twice; the next start reads its rows.
            Err(error) => tracing::warn!(approval = id, %error, "the use is in doubt"),
        }
        self.changed.send_replace(());
    }
}
