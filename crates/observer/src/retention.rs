//! Removes the oldest rows so that the rest still verifies.
//!
//! First a row of the kind `journal.pruned` is appended. It states the last row that goes (number and
//! hash) and is chained like any other, so whoever keeps a later head keeps this statement too. Only
//! then are rows removed, a thousand at a time between other people's commits. A process that dies
//! half-way leaves a journal that verifies, and the next call finishes the rest.

use std::time::Duration;

use jiff::Timestamp;
use life_agent_domain::governance::event::{Entry, EventKind};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use tokio::sync::oneshot;

use crate::error::JournalError;
use crate::journal::Journal;
use crate::read::{self, Reader};
use crate::work::{Head, Work};
use crate::writer::Command;

/// Rows removed in one transaction: few enough that nobody waits long behind it.
const TRIM_ROWS: u64 = 1_000;

/// What stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The last so many rows.
    Rows(u64),
    /// The rows of the last so many days.
    Days(u32),
}

/// What retention did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The last row that is gone; none if nothing was to be removed.
    pub upto: Option<Head>,
    /// How many rows went.
    pub removed: u64,
    /// True if older rows had to stay because an agent's state is built on them: snapshot the agents
    /// that [`Reader::unsnapshotted`] names, and call again.
    pub held_back: bool,
}

/// The data of a `journal.pruned` row.
#[derive(Debug, Serialize, Deserialize)]
struct Declared {
    upto_id: u64,
    upto_hash: String,
    removed_rows: u64,
}

impl Journal {
    /// Removes rows that need not be kept, oldest first. A row on which an agent's state is built
    /// stays, and so do all rows after it.
    pub async fn prune(&self, keep: Keep) -> Result<Pruned, JournalError> {
        let plan = self.read(move |reader| plan(reader, keep)).await?;
        let removed_rows =
            plan.upto.as_ref().map_or(0, |upto| (upto.id + 1).saturating_sub(plan.first));
        if let Some(upto) = &plan.upto {
            let declared =
                Declared { upto_id: upto.id, upto_hash: upto.hash.clone(), removed_rows };
            let data = to_raw_value(&declared)
                .map_err(|error| JournalError::Refused(error.to_string()))?;
            let entry = Entry {
                kind: EventKind::JournalPruned,
                agent: None,
                principal: "system".to_owned(),
                request_id: String::new(),
                data,
            };
            self.append(Work::of(entry))?.await?;
        }
        // Also without a new declaration: an earlier call may have been cut short.
        while self.trim().await? > 0 {}
        Ok(Pruned { upto: plan.upto, removed: removed_rows, held_back: plan.held_back })
    }

    async fn trim(&self) -> Result<usize, JournalError> {
        let (answer, trimmed) = oneshot::channel();
        self.send(Command::Trim(answer)).await?;
        trimmed.await.map_err(|_| JournalError::Closed)?
    }
}

impl Reader {
    /// The last row that need not be kept; 0 for none. Its successors stay whatever happens.
    pub fn prunable(&self, keep: Keep) -> Result<u64, JournalError> {
        let (first, head) = (self.first()?, self.head()?.id);
        let upto = match keep {
            Keep::Rows(rows) => head.saturating_sub(rows),
            Keep::Days(days) => self.last_before(first, head, days)?,
        };
        // The last row always stays: it carries the chain on.
        Ok(upto.min(head.saturating_sub(1)))
    }

    /// Up to `limit` agents with a step at or before row `upto` that no snapshot covers.
    pub fn unsnapshotted(&self, upto: u64, limit: usize) -> Result<Vec<String>, JournalError> {
        let sql = "SELECT agent_id FROM agents WHERE first_open <= ?1 LIMIT ?2";
        let mut statement = self.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let agents = statement.query_map(params![upto, limit], |row| row.get(0))?;
        Ok(agents.collect::<Result<_, _>>()?)
    }

    /// The last row older than so many days. Times never go backwards along the journal, so this
    /// halves its way there instead of reading every row.
    fn last_before(&self, first: u64, head: u64, days: u32) -> Result<u64, JournalError> {
        let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let Ok(oldest) = Timestamp::now().checked_sub(age) else { return Ok(0) };
        let oldest = format!("{oldest:.6}");
        let mut time = self.prepare_cached("SELECT ts FROM events WHERE id = ?1")?;
        let (mut old, mut kept) = (first.saturating_sub(1), head + 1);
        while old + 1 < kept {
            let middle = old + (kept - old) / 2;
            let ts: Option<String> = time.query_row([middle], |row| row.get(0)).optional()?;
            // A row that retention is just removing is old.
            if ts.is_none_or(|ts| ts < oldest) { old = middle } else { kept = middle }
        }
        Ok(if old < first { 0 } else { old })
    }
}

struct Plan {
    first: u64,
    upto: Option<Head>,
    held_back: bool,
}

fn plan(reader: &Reader, keep: Keep) -> Result<Plan, JournalError> {
    let _view = reader.unchecked_transaction()?;
    let done = checkpoint(reader)?.map_or(0, |done| done.id);
    let first = reader.first()?.max(done + 1);
    let wanted = reader.prunable(keep)?;
    let sql = "SELECT min(first_open) FROM agents WHERE first_open <= ?1";
    let needed: Option<u64> = reader.query_row(sql, [wanted], |row| row.get(0))?;
    let upto = needed.map_or(wanted, |needed| needed - 1);
    let hash = "SELECT hash FROM events WHERE id = ?1";
    let found = if upto < first {
        None
    } else {
        reader.query_row(hash, [upto], |row| row.get(0)).optional()?
    };
    let upto = found.map(|hash| Head { id: upto, hash });
    Ok(Plan { first, upto, held_back: needed.is_some() })
}

/// The last row that retention declares removed. The declaration is itself a row of the chain.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    let sql = "SELECT id, data FROM events WHERE kind = 'journal.pruned' ORDER BY id DESC LIMIT 1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)));
    let Some((id, data)) = found.optional()? else { return Ok(None) };
    // One that cannot be read declares nothing: its rows then count as missing.
    let declared: Option<Declared> = serde_json::from_str(&data).ok();
    let declared = declared.filter(|declared| declared.upto_id < id);
    Ok(declared.map(|declared| Head { id: declared.upto_id, hash: declared.upto_hash }))
}

/// Removes the oldest of the rows that are declared removed.
pub(crate) fn trim(transaction: &Transaction<'_>) -> rusqlite::Result<usize> {
    let Some(declared) = checkpoint(transaction)? else { return Ok(0) };
    // One bound, worked out here: for two, SQLite would read all rows up to the further one.
    let upto = declared.id.min(read::first(transaction)? + (TRIM_ROWS - 1));
    transaction.prepare_cached("DELETE FROM events WHERE id <= ?1")?.execute([upto])
}
