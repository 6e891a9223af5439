//! Turns that are taken later: kept beside the rows until they have ended, and a while longer.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::ids::AgentId;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use crate::error::JournalError;
use crate::read::Reader;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits.
    Queued,
    /// Its turn is being taken.
    Running,
    /// Its turn is on the record.
    Done,
    /// It came to nothing.
    Failed,
    /// Its caller took it back.
    Cancelled,
}

/// A turn that is to be taken later.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: String,
    /// Whose turn it is.
    pub agent: AgentId,
    /// Who asked for it.
    pub principal: String,
    /// The request in which they did.
    pub request_id: String,
    /// The text, without credentials.
    pub input: String,
    /// When: RFC 3339, UTC, microseconds.
    pub created: String,
}

/// What becomes of a job. One that has ended stays as it is, whatever comes after.
#[derive(Debug)]
pub enum JobChange {
    /// It is there.
    Queued(Box<NewJob>),
    /// Its turn is being taken.
    Started {
        /// The job.
        id: String,
        /// When: RFC 3339, UTC, microseconds.
        at: String,
    },
    /// Its turn is on the record. Needs the entry of that turn.
    Done {
        /// The job.
        id: String,
    },
    /// What the caller of a job that is done is answered.
    Answered {
        /// The job.
        id: String,
        /// The answer.
        result: Box<RawValue>,
    },
    /// It ends without a turn.
    Ended {
        /// The job.
        id: String,
        /// `failed` or `cancelled`.
        status: JobStatus,
        /// When: RFC 3339, UTC, microseconds.
        at: String,
        /// Why, for its caller.
        error: Option<Box<RawValue>>,
    },
}

/// A job as it is kept.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Whose turn it is.
    pub agent_id: String,
    /// Who asked for it.
    pub principal: String,
    /// The request in which they did.
    pub request_id: String,
    /// The text, without credentials.
    pub input: String,
    /// When it was queued: RFC 3339, UTC, microseconds; so are the other two.
    pub created: String,
    /// When its turn began.
    pub started: Option<String>,
    /// When it ended.
    pub finished: Option<String>,
    /// The row of its turn.
    pub event_id: Option<u64>,
    /// What its caller is answered; none until shortly after its turn is on the record.
    pub result: Option<Box<RawValue>>,
    /// Why it came to nothing.
    pub error: Option<Box<RawValue>>,
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    /// Its id.
    pub id: String,
    /// `queued` or `running`.
    pub status: JobStatus,
    /// Whose turn it is.
    pub agent_id: String,
}

impl JobStatus {
    const ALL: [JobStatus; 5] = [
        JobStatus::Queued,
        JobStatus::Running,
        JobStatus::Done,
        JobStatus::Failed,
        JobStatus::Cancelled,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Done => "done",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    pub fn has_ended(self) -> bool {
        matches!(self, JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// Carries out a change in the open transaction; `rows` are those of the same work.
pub(crate) fn put(
    connection: &Connection,
    change: JobChange,
    rows: &[Row],
) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql)?.execute(values).map(drop)
    };
    match change {
        JobChange::Queued(job) => run(
            "INSERT INTO jobs (id, status, agent_id, principal, request_id, input, created)
             VALUES (?1, 'queued', ?2, ?3, ?4, ?5, ?6)",
            params![
                job.id,
                job.agent.as_str(),
                job.principal,
                job.request_id,
                job.input,
                job.created
            ],
        ),
        JobChange::Started { id, at } => run(
            "UPDATE jobs SET status = 'running', started = ?2 WHERE id = ?1 AND finished IS NULL",
            params![id, at],
        ),
        JobChange::Done { id } => {
            // A turn may have brought rows of its own along.
            let turn = rows.iter().find(|row| row.kind == EventKind::Turn.as_str());
            let Some(row) = turn.or(rows.first()) else { return Ok(()) };
            run(
                "UPDATE jobs SET status = 'done', finished = ?2, event_id = ?3
                 WHERE id = ?1 AND finished IS NULL",
                params![id, row.ts, row.id],
            )
        }
        JobChange::Answered { id, result } => run(
            "UPDATE jobs SET result = ?2 WHERE id = ?1 AND status = 'done'",
            params![id, result.get()],
        ),
        JobChange::Ended { id, status, at, error } => run(
            "UPDATE jobs SET status = ?2, finished = ?3, error = ?4
             WHERE id = ?1 AND finished IS NULL",
            params![id, status.as_str(), at, error.as_deref().map(RawValue::get)],
        ),
    }
}

impl Reader {
    /// One job.
    pub fn job(&self, id: &str) -> Result<Option<JobRecord>, JournalError> {
        let sql = "SELECT id, status, agent_id, principal, request_id, input, created, started,
                finished, event_id, result, error FROM jobs WHERE id = ?1";
        let found = self.prepare_cached(sql)?.query_row([id], |row| {
            Ok(JobRecord {
                id: row.get(0)?,
                status: status(row, 1)?,
                agent_id: row.get(2)?,
                principal: row.get(3)?,
                request_id: row.get(4)?,
                input: row.get(5)?,
                created: row.get(6)?,
                started: row.get(7)?,
                finished: row.get(8)?,
                event_id: row.get(9)?,
                result: json(row, 10)?,
                error: json(row, 11)?,
            })
        });
        Ok(found.optional()?)
    }

    /// All jobs that have not ended, in the order of their arrival.
    pub fn open_jobs(&self) -> Result<Vec<OpenJob>, JournalError> {
        let sql = "SELECT id, status, agent_id FROM jobs WHERE finished IS NULL ORDER BY seq";
        let mut statement = self.prepare_cached(sql)?;
        let found = statement.query_map([], |row| {
            Ok(OpenJob { id: row.get(0)?, status: status(row, 1)?, agent_id: row.get(2)? })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

fn status(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<JobStatus> {
    let name: String = row.get(column)?;
    JobStatus::named(&name).ok_or_else(|| unreadable(column, format!("no job is `{name}`").into()))
}

fn json(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Box<RawValue>>> {
    let text: Option<String> = row.get(column)?;
    let read = |text| RawValue::from_string(text).map_err(|error| unreadable(column, error.into()));
    text.map(read).transpose()
}

fn unreadable(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
}
