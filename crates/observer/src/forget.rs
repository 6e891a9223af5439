//! Removes ended jobs and kept answers that are old or too many, a few at a time.

use rusqlite::{Connection, params};

use crate::error::JournalError;
use crate::read::Reader;

/// Removed in one transaction of each: few enough that nobody waits long behind it.
const AT_ONCE: u64 = 1_000;

/// What of the jobs that have ended and of the marks stays. What is open stays anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    /// Jobs that ended before this go: RFC 3339, UTC, microseconds.
    pub jobs_before: String,
    /// At most so many of the latest jobs stay.
    pub max_jobs: u64,
    /// Marks from before this go: RFC 3339, UTC, microseconds.
    pub marks_before: String,
    /// At most so many of the latest marks stay.
    pub max_marks: u64,
    /// The latest marks stay whose answers take at most so many bytes together.
    pub max_bytes: u64,
}

const JOBS: &str = "SELECT seq FROM jobs WHERE finished IS NOT NULL
    AND (finished < ?1 OR seq <= (SELECT max(seq) FROM jobs) - ?2)";

const MARKS: &str = "SELECT seq FROM (
        SELECT seq, ts, sum(ifnull(length(body), 0)) OVER (ORDER BY seq DESC) AS bytes FROM marks)
    WHERE ts < ?1 OR seq <= (SELECT max(seq) FROM marks) - ?2 OR bytes > ?3";

/// Removes the oldest of what is to go, in the open transaction.
pub(crate) fn put(connection: &Connection, forget: &Forget) -> rusqlite::Result<()> {
    let Forget { jobs_before, max_jobs, marks_before, max_marks, max_bytes } = forget;
    let jobs = format!("DELETE FROM jobs WHERE seq IN ({JOBS} ORDER BY seq LIMIT {AT_ONCE})");
    connection.prepare_cached(&jobs)?.execute(params![jobs_before, max_jobs])?;
    let marks = format!("DELETE FROM marks WHERE seq IN ({MARKS} ORDER BY seq LIMIT {AT_ONCE})");
    connection.prepare_cached(&marks)?.execute(params![marks_before, max_marks, max_bytes])?;
    Ok(())
}

impl Reader {
    /// Whether anything is to go.
    pub fn forgettable(&self, forget: &Forget) -> Result<bool, JournalError> {
        let Forget { jobs_before, max_jobs, marks_before, max_marks, max_bytes } = forget;
        let sql = format!("SELECT EXISTS ({JOBS})");
        if self.prepare_cached(&sql)?.query_row(params![jobs_before, max_jobs], |row| row.get(0))? {
            return Ok(true);
        }
        let sql = format!("SELECT EXISTS ({MARKS})");
        let values = params![marks_before, max_marks, max_bytes];
        Ok(self.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?)
    }
}
