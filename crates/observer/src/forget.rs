//! Removes ended jobs and kept answers that are old or too many, a few at a time.

use rusqlite::{Connection, params};

use crate::error::JournalError;
use crate::read::Reader;

/// Removed in one transaction: few enough that nobody waits long behind it.
const AT_ONCE: usize = 1_000;

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

/// Some of what is to go, by the order of its arrival; enough for one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgotten {
    /// Jobs.
    Jobs(Vec<u64>),
    /// Marks.
    Marks(Vec<u64>),
}

const JOBS: &str = "SELECT seq FROM jobs WHERE finished IS NOT NULL
    AND (finished < ?1 OR seq <= (SELECT max(seq) FROM jobs) - ?2) ORDER BY seq";

const MARKS: &str = "SELECT seq FROM (
        SELECT seq, ts, sum(ifnull(length(body), 0)) OVER (ORDER BY seq DESC) AS bytes FROM marks)
    WHERE ts < ?1 OR seq <= (SELECT max(seq) FROM marks) - ?2 OR bytes > ?3 ORDER BY seq";

/// Removes it, in the open transaction.
pub(crate) fn put(connection: &Connection, forgotten: &Forgotten) -> rusqlite::Result<()> {
    let (sql, gone) = match forgotten {
        Forgotten::Jobs(gone) => ("DELETE FROM jobs WHERE seq = ?1", gone),
        Forgotten::Marks(gone) => ("DELETE FROM marks WHERE seq = ?1", gone),
    };
    let mut delete = connection.prepare_cached(sql)?;
    gone.iter().try_for_each(|seq| delete.execute([seq]).map(drop))
}

impl Reader {
    /// What is to go. Looked for here, beside the writing: it takes a look at all jobs and marks there are.
    pub fn forgettable(&self, forget: &Forget) -> Result<Vec<Forgotten>, JournalError> {
        let Forget { jobs_before, max_jobs, marks_before, max_marks, max_bytes } = forget;
        let jobs = self.seqs(JOBS, params![jobs_before, max_jobs])?;
        let marks = self.seqs(MARKS, params![marks_before, max_marks, max_bytes])?;
        let jobs = jobs.chunks(AT_ONCE).map(|gone| Forgotten::Jobs(gone.to_vec()));
        let marks = marks.chunks(AT_ONCE).map(|gone| Forgotten::Marks(gone.to_vec()));
        Ok(jobs.chain(marks).collect())
    }

    fn seqs(&self, sql: &str, bounds: impl rusqlite::Params) -> rusqlite::Result<Vec<u64>> {
        self.prepare_cached(sql)?.query_map(bounds, |row| row.get(0))?.collect()
    }
}
