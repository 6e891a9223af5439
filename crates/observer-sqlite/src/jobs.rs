//! Queued turns, in the table `jobs`.

use life_agent_domain::governance::event::Row;
use life_agent_observer::store::turn_row;
use life_agent_observer::{JobChange, JobRecord, JobStatus, Lease, OpenJob};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

/// Applies a change in the open transaction; `rows` are the rows of the same batch.
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
        JobChange::Started { id, at, lease } => {
            let (owner, until) = lease.map(|Lease { owner, until }| (owner, until)).unzip();
            run(
                "UPDATE jobs SET status = 'running', started = ?2, owner = ?3, lease_until = ?4
                 WHERE id = ?1 AND finished IS NULL",
                params![id, at, owner, until],
            )
        }
        JobChange::Renewed { id, lease } => run(
            "UPDATE jobs SET lease_until = ?3
             WHERE id = ?1 AND status = 'running' AND owner = ?2",
            params![id, lease.owner, lease.until],
        ),
        JobChange::Done { id } => {
            let Some(row) = turn_row(rows) else { return Ok(()) };
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

/// One job.
pub(crate) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<JobRecord>> {
    let sql = "SELECT id, status, agent_id, principal, request_id, input, created, started,
            finished, event_id, result, error FROM jobs WHERE id = ?1";
    let found = connection.prepare_cached(sql)?.query_row([id], |row| {
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
    found.optional()
}

/// All jobs that have not ended, in order of arrival.
pub(crate) fn open(connection: &Connection) -> rusqlite::Result<Vec<OpenJob>> {
    let sql = "SELECT id, status, agent_id, owner, lease_until FROM jobs WHERE finished IS NULL
        ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([], |row| {
        let owner: Option<String> = row.get(3)?;
        let until: Option<String> = row.get(4)?;
        Ok(OpenJob {
            id: row.get(0)?,
            status: status(row, 1)?,
            agent_id: row.get(2)?,
            lease: owner.zip(until).map(|(owner, until)| Lease { owner, until }),
        })
    })?;
    found.collect()
}

fn status(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<JobStatus> {
    let name: String = row.get(column)?;
    let unknown = || unreadable(column, format!("no job status is `{name}`").into());
    JobStatus::from_name(&name).ok_or_else(unknown)
}

fn json(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Box<RawValue>>> {
    let text: Option<String> = row.get(column)?;
    let parse =
        |text| RawValue::from_string(text).map_err(|error| unreadable(column, error.into()));
    text.map(parse).transpose()
}

fn unreadable(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
}
