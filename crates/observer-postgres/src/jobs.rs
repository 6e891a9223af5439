//! Queued turns, in the table `jobs`.

use life_agent_observer::{JobRecord, JobStatus, JournalError, Lease, OpenJob};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::pg_error::PgError;
use crate::records::{each, json};
use crate::view::View;

/// One job.
pub(crate) fn find(view: &View<'_>, id: &str) -> Result<Option<JobRecord>, JournalError> {
    let sql = "SELECT id, status, agent_id, principal, request_id, input, created, started,
            finished, event_id, result, error FROM jobs WHERE id = $1";
    let rows = view.query(sql, vec![(&id, Type::TEXT)])?;
    let found = each(&rows, |row| {
        let result: Option<String> = row.try_get(10)?;
        let error: Option<String> = row.try_get(11)?;
        Ok(JobRecord {
            id: row.try_get(0)?,
            status: status(row)?,
            agent_id: row.try_get(2)?,
            principal: row.try_get(3)?,
            request_id: row.try_get(4)?,
            input: row.try_get(5)?,
            created: row.try_get(6)?,
            started: row.try_get(7)?,
            finished: row.try_get(8)?,
            event_id: row.try_get::<_, Option<i64>>(9)?.and_then(|id| u64::try_from(id).ok()),
            result: result.map(json).transpose()?,
            error: error.map(json).transpose()?,
        })
    })?;
    Ok(found.into_iter().next())
}

/// All jobs that have not ended, in order of arrival.
pub(crate) fn open(view: &View<'_>) -> Result<Vec<OpenJob>, JournalError> {
    let sql = "SELECT id, status, agent_id, owner, lease_until FROM jobs WHERE finished IS NULL
        ORDER BY seq";
    each(&view.query(sql, vec![])?, |row| {
        let (owner, until): (Option<String>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
        Ok(OpenJob {
            id: row.try_get(0)?,
            status: status(row)?,
            agent_id: row.try_get(2)?,
            lease: owner.zip(until).map(|(owner, until)| Lease { owner, until }),
        })
    })
}

fn status(row: &Row) -> Result<JobStatus, PgError> {
    let name: &str = row.try_get(1)?;
    let unknown = || PgError::Other(format!("no job status is `{name}`"));
    JobStatus::from_name(name).ok_or_else(unknown)
}
