//! Reads rows in their order, a page at a time.

use life_agent_domain::record::{EventKind, Row};
use rusqlite::{OptionalExtension, params};
use serde_json::value::RawValue;

use crate::error::JournalError;
use crate::filter::Filter;
use crate::read::{Reader, StoredSnapshot};

/// A page has no more rows than this, whatever its limit.
pub const MAX_PAGE_ROWS: usize = 10_000;

/// A page ends before its rows hold more than this.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

const COLUMNS: &str = "id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash";

/// Some rows in their order, and where to go on.
#[derive(Debug)]
pub struct Page {
    /// At most as many as were asked for, fewer if they are large.
    pub rows: Vec<Row>,
    /// What to ask for as `after` to get further rows that are there already; none at the end.
    pub next: Option<u64>,
    /// Everything up to here has been looked at.
    pub(crate) seen: u64,
}

impl Reader {
    /// Up to `limit` rows after row `after` that the filter takes.
    pub fn page(&self, after: u64, limit: usize, filter: &Filter) -> Result<Page, JournalError> {
        let limit = limit.clamp(1, MAX_PAGE_ROWS);
        // One view of the file for all of the statements: retention may be removing rows.
        let _view = self.unchecked_transaction()?;
        let end = self.head()?.id;
        // An `after` beyond the end finds nothing; as a number SQLite could not hold, it would fail.
        let after = after.min(end);
        let (mut rows, bytes_full) = if filter.takes_all() {
            let sql = format!(
                "SELECT {COLUMNS} FROM events WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3"
            );
            let mut statement = self.prepare_cached(&sql)?;
            let found = statement.query_map(params![after, end, limit + 1], raw_row)?;
            take_rows(found, limit + 1)?
        } else {
            let ids = self.matching(after, end, limit + 1, filter)?;
            let sql = format!("SELECT {COLUMNS} FROM events WHERE id = ?1");
            let mut statement = self.prepare_cached(&sql)?;
            let found = ids.iter().map(|id| statement.query_row([id], raw_row));
            take_rows(found, limit + 1)?
        };
        let more = bytes_full || rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map_or(after, |row| row.id);
        Ok(Page { rows, next: more.then_some(last), seen: if more { last } else { end } })
    }

    /// The numbers of the first rows that the filter takes. One run of an index for each kind, then
    /// merged: the cost does not depend on how many other rows there are.
    fn matching(
        &self,
        after: u64,
        end: u64,
        limit: usize,
        filter: &Filter,
    ) -> rusqlite::Result<Vec<u64>> {
        let agent = if filter.agent().is_some() { "agent_id = ?5" } else { "?5 IS NULL" };
        let sql = format!(
            "SELECT id FROM events WHERE {agent} AND kind = ?1 AND id > ?2 AND id <= ?3
             ORDER BY id LIMIT ?4"
        );
        let mut ids: Vec<u64> = Vec::new();
        for kind in self.kinds()?.iter().filter(|kind| filter.takes_kind(kind)) {
            let asked = params![kind, after, end, limit, filter.agent()];
            let mut statement = self.prepare_cached(&sql)?;
            let found = statement.query_map(asked, |row| row.get(0))?;
            ids.extend(found.collect::<rusqlite::Result<Vec<u64>>>()?);
        }
        ids.sort_unstable();
        ids.truncate(limit);
        Ok(ids)
    }

    /// The kinds that occur: a skip along the index, a few microseconds each.
    fn kinds(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT kind FROM events WHERE kind > ?1 ORDER BY kind LIMIT 1";
        let mut next = self.prepare_cached(sql)?;
        let mut kinds: Vec<String> = Vec::new();
        loop {
            let last = kinds.last().map_or("", String::as_str);
            match next.query_row([last], |row| row.get(0)).optional()? {
                Some(kind) => kinds.push(kind),
                None => return Ok(kinds),
            }
        }
    }

    /// The newest rows of an agent that are of these kinds, at most `limit`, oldest first.
    pub fn recent(
        &self,
        agent_id: &str,
        kinds: &[EventKind],
        limit: usize,
    ) -> Result<Vec<Row>, JournalError> {
        // The planner would walk all rows of the agent for several kinds at once.
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE agent_id = ?1 AND kind = ?2 ORDER BY id DESC LIMIT ?3"
        );
        let mut statement = self.prepare_cached(&sql)?;
        let mut rows = Vec::new();
        for kind in kinds {
            let found = statement.query_map(params![agent_id, kind.as_str(), limit], raw_row)?;
            rows.extend(found.map(|row| checked(row?)).collect::<Result<Vec<_>, _>>()?);
        }
        rows.sort_unstable_by_key(|row| row.id);
        rows.drain(..rows.len().saturating_sub(limit));
        Ok(rows)
    }

    /// What the present state of an agent is made of.
    pub fn past(&self, agent_id: &str) -> Result<Past, JournalError> {
        // One view of the file for both, and locks taken once.
        let _view = self.unchecked_transaction()?;
        let snapshot = self.snapshot(agent_id)?;
        let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.event_id);
        let sql = format!(
            "SELECT {COLUMNS} FROM events
             WHERE agent_id = ?1 AND kind IN ('obs.act', 'obs.turn') AND id >= ?2 ORDER BY id"
        );
        let mut statement = self.prepare_cached(&sql)?;
        let found = statement.query_map(params![agent_id, from], raw_row)?;
        let mut steps = found.map(|row| checked(row?)).collect::<Result<Vec<_>, _>>()?;
        let follows = steps.first().is_some_and(|row| row.id == from);
        let snapshot_row = follows.then(|| steps.remove(0));
        Ok(Past { snapshot, snapshot_row, steps })
    }
}

/// An agent's last snapshot and what came after it, as of one moment.
#[derive(Debug)]
pub struct Past {
    /// The snapshot; none of an agent that began with an older version, or has taken no step.
    pub snapshot: Option<StoredSnapshot>,
    /// The step that the snapshot was taken after, unless retention has removed it.
    pub snapshot_row: Option<Row>,
    /// The steps since; without a snapshot all of them.
    pub steps: Vec<Row>,
}

/// A row whose data has not been looked at yet.
struct RawRow {
    row: Row,
    data: String,
}

fn raw_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawRow> {
    let data = row.get(6)?;
    let row = Row {
        id: row.get(0)?,
        ts: row.get(1)?,
        kind: row.get(2)?,
        agent_id: row.get(3)?,
        principal: row.get(4)?,
        request_id: row.get(5)?,
        data: RawValue::NULL.to_owned(),
        prev_hash: row.get(7)?,
        hash: row.get(8)?,
    };
    Ok(RawRow { row, data })
}

fn checked(raw: RawRow) -> Result<Row, JournalError> {
    let RawRow { row, data } = raw;
    // As a line of an event stream, a line feed in it would be the beginning of another field.
    let data = Some(data).filter(|data| !data.contains(['\n', '\r']));
    match data.map(RawValue::from_string) {
        Some(Ok(data)) => Ok(Row { data, ..row }),
        _ => Err(JournalError::Damaged(format!("the data of row {} is not JSON", row.id))),
    }
}

/// The rows, until there are enough of them or of their bytes; the latter is said.
fn take_rows(
    found: impl Iterator<Item = rusqlite::Result<RawRow>>,
    limit: usize,
) -> Result<(Vec<Row>, bool), JournalError> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    for raw in found.take(limit) {
        let row = checked(raw?)?;
        bytes += row.data.get().len();
        if bytes > MAX_PAGE_BYTES && !rows.is_empty() {
            return Ok((rows, true));
        }
        rows.push(row);
    }
    Ok((rows, false))
}
