//! Conditions that a batch depends on, checked in the transaction that writes it.

use std::fmt;

use life_agent_domain::governance::ids::AgentId;

use crate::batch::StateHash;
use crate::jobs::JobStatus;

/// The state of an agent that a decision was based on.
///
/// The version alone is not enough: if two steps are decided ahead of their commits and another writer
/// commits the first version in between, the second step finds the version that it expects on a state
/// that it has never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentVersion {
    /// Number of steps that the agent has taken; 0 for a new agent.
    pub version: u64,
    /// Hash of the state after them. Not compared at version 0, where no state is stored.
    pub state_hash: StateHash,
}

/// A condition on the stored state. If one does not hold, its batch leaves no row and no side write,
/// and other batches of the group are unaffected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// The agent is at this version and state. A step states it in [`crate::AgentStep::from`].
    Agent {
        /// The agent.
        agent: AgentId,
        /// Its expected version.
        at: AgentVersion,
    },
    /// The control version is still this one: neither the kill switch nor a stop nor the active policy
    /// has changed since. [`crate::SideWrite::AdvanceControl`] increments it.
    Control {
        /// The expected control version.
        version: u64,
    },
    /// The plan has this status.
    Plan {
        /// The plan.
        id: String,
        /// Its expected status; `None` if the plan must not exist.
        status: Option<String>,
    },
    /// No call with this idempotency key has taken effect or been answered.
    KeyUnclaimed {
        /// The [`crate::IdempotencyRecord::id`]: a digest of principal, call and key.
        key: String,
    },
    /// The job is running under a lease of this owner that has not expired.
    JobLease {
        /// The job.
        id: String,
        /// The expected owner.
        owner: String,
    },
    /// The job is free for this instance: it waits and no earlier job of its agent is open, or it runs under a lease
    /// that has expired.
    JobFree {
        /// The job.
        id: String,
        /// `Queued` or `Running`.
        status: JobStatus,
    },
}

/// A condition on what this process knows, checked while no other instance can append and after every row of the others
/// was observed. A journal that is not shared does not check it: nothing can have come in between.
pub struct Guard(Box<dyn FnOnce() -> bool + Send>);

impl Guard {
    /// A guard that lets its batch pass if `holds` returns true. It runs on the writer's thread and must not block.
    pub fn new(holds: impl FnOnce() -> bool + Send + 'static) -> Self {
        Self(Box::new(holds))
    }

    pub(crate) fn holds(self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// The precondition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The agent has taken another step.
    #[error("agent `{0}` has taken another step in the meantime")]
    AgentChanged(AgentId),
    /// The control version is another one.
    #[error("the kill switch, a stop or the policy has changed in the meantime")]
    ControlChanged {
        /// The present control version.
        version: u64,
    },
    /// The plan has another status.
    #[error("plan `{id}` has changed in the meantime")]
    PlanChanged {
        /// The plan.
        id: String,
        /// Its present status; `None` if it does not exist.
        status: Option<String>,
    },
    /// Another call with the same idempotency key took effect.
    #[error("another call with this idempotency key took effect")]
    KeyClaimed {
        /// The key's record.
        key: String,
    },
    /// The [`Guard`] of the batch does not hold.
    #[error("what this was decided on has changed in the meantime")]
    Outdated,
    /// The job has ended, has another owner, or its lease has expired.
    #[error("the lease of job `{id}` was lost")]
    LeaseLost {
        /// The job.
        id: String,
    },
}
