//! Queued turns: their changes and their stored form.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::ids::AgentId;
use serde_json::value::RawValue;

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Waiting for a worker.
    Queued,
    /// A worker runs its turn.
    Running,
    /// Its turn is recorded.
    Done,
    /// It ended without a turn.
    Failed,
    /// Its caller canceled it.
    Cancelled,
}

/// The right of one worker to run a job for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The worker.
    pub owner: String,
    /// End of the lease: RFC 3339, UTC, microseconds.
    pub until: String,
}

/// A job to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: String,
    /// The agent that takes the turn.
    pub agent: AgentId,
    /// The principal that requested it.
    pub principal: String,
    /// The request that queued it.
    pub request_id: String,
    /// The input, redacted.
    pub input: String,
    /// Time of the request: RFC 3339, UTC, microseconds.
    pub created: String,
}

/// A change to a job. An ended job never changes again.
#[derive(Debug)]
pub enum JobChange {
    /// The job is queued.
    Queued(Box<NewJob>),
    /// A worker starts the turn.
    Started {
        /// The job.
        id: String,
        /// Time of the start: RFC 3339, UTC, microseconds.
        at: String,
        /// The worker's lease; `None` if the process is the only one that runs jobs.
        lease: Option<Lease>,
    },
    /// The worker extends its lease.
    Renewed {
        /// The job.
        id: String,
        /// The lease; its owner must hold the job.
        lease: Lease,
    },
    /// The turn is recorded. Requires the entry of the turn.
    Done {
        /// The job.
        id: String,
    },
    /// The response for the caller of a job that is done.
    Answered {
        /// The job.
        id: String,
        /// The response.
        result: Box<RawValue>,
    },
    /// The job ends without a turn.
    Ended {
        /// The job.
        id: String,
        /// `Failed` or `Cancelled`.
        status: JobStatus,
        /// Time of the end: RFC 3339, UTC, microseconds.
        at: String,
        /// The error for its caller.
        error: Option<Box<RawValue>>,
    },
}

/// A stored job.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: JobStatus,
    /// The agent that takes the turn.
    pub agent_id: String,
    /// The principal that requested it.
    pub principal: String,
    /// The request that queued it.
    pub request_id: String,
    /// The input, redacted.
    pub input: String,
    /// Time of the request: RFC 3339, UTC, microseconds, as the other two.
    pub created: String,
    /// Time at which its turn started.
    pub started: Option<String>,
    /// Time of its end.
    pub finished: Option<String>,
    /// The row of its turn.
    pub event_id: Option<u64>,
    /// The response for its caller; stored shortly after its turn.
    pub result: Option<Box<RawValue>>,
    /// The error for its caller.
    pub error: Option<Box<RawValue>>,
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    /// Its id.
    pub id: String,
    /// `Queued` or `Running`.
    pub status: JobStatus,
    /// The agent that takes the turn.
    pub agent_id: String,
    /// The lease of a running job, if it has one.
    pub lease: Option<Lease>,
}

impl JobStatus {
    const ALL: [JobStatus; 5] = [
        JobStatus::Queued,
        JobStatus::Running,
        JobStatus::Done,
        JobStatus::Failed,
        JobStatus::Cancelled,
    ];

    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Done => "done",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    /// Whether the job never changes again.
    pub fn has_ended(self) -> bool {
        matches!(self, JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled)
    }

    /// The status with this stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// The row of a job's turn among the rows of its batch, which may include acts of the model.
pub fn turn_row(rows: &[Row]) -> Option<&Row> {
    let turn = rows.iter().find(|row| row.kind == EventKind::Turn.as_str());
    turn.or(rows.first())
}
