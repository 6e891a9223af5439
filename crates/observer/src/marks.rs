//! Calls that may be repeated without a second effect: what they led to, and what they were answered.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::JournalError;
use crate::read::Reader;

/// Names a call, without anything that was sent with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// A digest of the caller, the call and its key.
    pub id: String,
    /// A digest of its body.
    pub digest: String,
    /// The job that is its effect, where that is no row.
    pub job: Option<String>,
}

/// An answer that is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Those of its headers that belong to it, each `name: value` on a line of its own.
    pub headers: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRecord {
    /// The mark.
    pub mark: Mark,
    /// The first row of its effect.
    pub event_id: Option<u64>,
    /// What it was answered; none if the process ended, or could not answer, in between.
    pub answer: Option<Answer>,
}

/// Puts a mark into the open transaction of its effect, whose first row is `event_id`. A call that
/// takes effect in several transactions is known by the first.
pub(crate) fn put(
    connection: &Connection,
    mark: &Mark,
    ts: &str,
    event_id: Option<u64>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO marks (id, digest, ts, event_id, job_id) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (id) DO NOTHING";
    let values = params![mark.id, mark.digest, ts, event_id, mark.job];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Keeps the answer to a call, whether or not it had an effect.
pub(crate) fn put_answer(
    connection: &Connection,
    mark: &Mark,
    ts: &str,
    answer: &Answer,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO marks (id, digest, ts, status, headers, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, headers = excluded.headers,
            body = excluded.body";
    let Answer { status, headers, body } = answer;
    let values = params![mark.id, mark.digest, ts, status, headers, body];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

impl Reader {
    /// What is known of a call.
    pub fn mark(&self, id: &str) -> Result<Option<MarkRecord>, JournalError> {
        let sql = "SELECT id, digest, job_id, event_id, status, headers, body FROM marks
             WHERE id = ?1";
        let found = self.prepare_cached(sql)?.query_row([id], |row| {
            let status: Option<u16> = row.get(4)?;
            let answer = match status {
                Some(status) => Some(Answer { status, headers: row.get(5)?, body: row.get(6)? }),
                None => None,
            };
            let mark = Mark { id: row.get(0)?, digest: row.get(1)?, job: row.get(2)? };
            Ok(MarkRecord { mark, event_id: row.get(3)?, answer })
        });
        Ok(found.optional()?)
    }
}
