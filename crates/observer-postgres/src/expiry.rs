//! Ended jobs and idempotency records beyond their limits.

use life_agent_observer::{Expired, ExpiryLimits, JournalError};
use tokio_postgres::types::Type;

use crate::records::each;
use crate::session::Value;
use crate::stored::{number, signed};
use crate::view::View;

const JOBS: &str = "SELECT seq FROM jobs WHERE finished IS NOT NULL
    AND (finished < $1 OR seq <= (SELECT max(seq) FROM jobs) - $2) ORDER BY seq";

const RECORDS: &str = "SELECT seq FROM (
        SELECT seq, ts, sum(coalesce(octet_length(body), 0)) OVER (ORDER BY seq DESC) AS bytes
        FROM idempotency_records) AS summed
    WHERE ts < $1 OR seq <= (SELECT max(seq) FROM idempotency_records) - $2 OR bytes > $3 ORDER BY seq";

/// The records to remove. Reads all jobs and records.
pub(crate) fn find(view: &View<'_>, limits: &ExpiryLimits) -> Result<Vec<Expired>, JournalError> {
    let ExpiryLimits { jobs_before, max_jobs, records_before, max_records, max_bytes } = limits;
    let (jobs, records) = (signed(*max_jobs), signed(*max_records));
    let bytes = signed(*max_bytes);
    let jobs = seqs(view, JOBS, vec![(jobs_before, Type::TEXT), (&jobs, Type::INT8)])?;
    let values = vec![
        (records_before as _, Type::TEXT),
        (&records as _, Type::INT8),
        (&bytes as _, Type::INT8),
    ];
    Ok(Expired::chunks(&jobs, &seqs(view, RECORDS, values)?))
}

fn seqs(view: &View<'_>, sql: &str, values: Vec<Value<'_>>) -> Result<Vec<u64>, JournalError> {
    each(&view.query(sql, values)?, |row| number(row, 0))
}
