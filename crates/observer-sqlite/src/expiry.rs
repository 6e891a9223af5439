//! Ended jobs and idempotency records beyond their limits.

use life_agent_observer::{Expired, ExpiryLimits};
use rusqlite::{Connection, params};

const JOBS: &str = "SELECT seq FROM jobs WHERE finished IS NOT NULL
    AND (finished < ?1 OR seq <= (SELECT max(seq) FROM jobs) - ?2) ORDER BY seq";

const RECORDS: &str = "SELECT seq FROM (
        SELECT seq, ts, sum(ifnull(length(body), 0)) OVER (ORDER BY seq DESC) AS bytes FROM marks)
    WHERE ts < ?1 OR seq <= (SELECT max(seq) FROM marks) - ?2 OR bytes > ?3 ORDER BY seq";

/// Removes records in the open transaction.
pub(crate) fn remove(connection: &Connection, expired: &Expired) -> rusqlite::Result<()> {
    let (sql, gone) = match expired {
        Expired::Jobs(gone) => ("DELETE FROM jobs WHERE seq = ?1", gone),
        Expired::Records(gone) => ("DELETE FROM marks WHERE seq = ?1", gone),
    };
    let mut delete = connection.prepare_cached(sql)?;
    gone.iter().try_for_each(|seq| delete.execute([seq]).map(drop))
}

/// The records to remove. Reads all jobs and records, so it runs on a reading connection.
pub(crate) fn find(
    connection: &Connection,
    limits: &ExpiryLimits,
) -> rusqlite::Result<Vec<Expired>> {
    let ExpiryLimits { jobs_before, max_jobs, records_before, max_records, max_bytes } = limits;
    let jobs = seqs(connection, JOBS, params![jobs_before, max_jobs])?;
    let records = seqs(connection, RECORDS, params![records_before, max_records, max_bytes])?;
    Ok(Expired::chunks(&jobs, &records))
}

fn seqs(
    connection: &Connection,
    sql: &str,
    bounds: impl rusqlite::Params,
) -> rusqlite::Result<Vec<u64>> {
    connection.prepare_cached(sql)?.query_map(bounds, |row| row.get(0))?.collect()
}
