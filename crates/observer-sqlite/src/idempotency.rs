//! Recorded calls, in the table `marks`.

use life_agent_observer::{IdempotencyEntry, IdempotencyRecord, StoredResponse};
use rusqlite::{Connection, OptionalExtension, params};

/// Records a call in the open transaction of its effect, whose first row is `event_id`. A call that
/// takes effect in several transactions keeps the first.
pub(crate) fn put(
    connection: &Connection,
    record: &IdempotencyRecord,
    ts: &str,
    event_id: Option<u64>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO marks (id, digest, ts, event_id, job_id) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (id) DO NOTHING";
    let values = params![record.id, record.digest, ts, event_id, record.job];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Stores the response to a call, whether or not the call had an effect.
pub(crate) fn put_response(
    connection: &Connection,
    record: &IdempotencyRecord,
    ts: &str,
    response: &StoredResponse,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO marks (id, digest, ts, status, headers, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, headers = excluded.headers,
            body = excluded.body";
    let StoredResponse { status, headers, body } = response;
    let values = params![record.id, record.digest, ts, status, headers, body];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// A recorded call.
pub(crate) fn find(
    connection: &Connection,
    id: &str,
) -> rusqlite::Result<Option<IdempotencyEntry>> {
    let sql = "SELECT id, digest, job_id, event_id, status, headers, body FROM marks WHERE id = ?1";
    let found = connection.prepare_cached(sql)?.query_row([id], |row| {
        let status: Option<u16> = row.get(4)?;
        let response = match status {
            Some(status) => {
                Some(StoredResponse { status, headers: row.get(5)?, body: row.get(6)? })
            }
            None => None,
        };
        let (id, digest, job) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let record = IdempotencyRecord { id, digest, job };
        Ok(IdempotencyEntry { record, event_id: row.get(3)?, response })
    });
    found.optional()
}
