//! Reads rows in their order, a page at a time.

use life_agent_domain::governance::event::Row;
use rusqlite::{OptionalExtension, params};
use serde_json::value::RawValue;

use crate::error::JournalError;
use crate::filter::Filter;
use crate::read::Reader;
use crate::trail::LOOKED_THROUGH;

/// A page has no more rows than this, whatever its limit.
pub const MAX_PAGE_ROWS: usize = 10_000;

/// A page ends before its rows hold more than this.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

pub(crate) const COLUMNS: &str =
    "id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash";

/// Some rows in their order, and where to go on.
#[derive(Debug)]
pub struct Page {
    /// At most as many as were asked for; fewer, or none, if they are large or rare.
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
        let head = self.head()?.id;
        // An `after` beyond the end finds nothing; as a number SQLite could not hold, it would fail.
        let after = after.min(head);
        let (after, end) = match filter.agent() {
            // An agent's rows are searched for, which need not begin before there are any.
            Some(_) => {
                let after = after.max(self.first()?.saturating_sub(1));
                (after, head.min(after + LOOKED_THROUGH))
            }
            None => (after, head),
        };
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
        let seen = rows.last().filter(|_| more).map_or(end, |row| row.id);
        Ok(Page { rows, next: (seen < head).then_some(seen), seen })
    }

    /// The numbers of the first rows that the filter takes. Without an agent that is one run of an index for
    /// each kind, then merged: the cost does not depend on how many other rows there are.
    fn matching(
        &self,
        after: u64,
        end: u64,
        limit: usize,
        filter: &Filter,
    ) -> rusqlite::Result<Vec<u64>> {
        if let Some(agent) = filter.agent().filter(|_| filter.takes_all_kinds()) {
            return self.ids_of_agent(agent, None, after, end, limit);
        }
        let kinds = self.kinds()?.into_iter().filter(|kind| filter.takes_kind(kind));
        if let Some(agent) = filter.agent() {
            return self.ids_of_agent(agent, Some(kinds.collect()), after, end, limit);
        }
        let sql =
            "SELECT id FROM events WHERE kind = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4";
        let mut statement = self.prepare_cached(sql)?;
        let mut ids: Vec<u64> = Vec::new();
        for kind in kinds {
            let found = statement.query_map(params![kind, after, end, limit], |row| row.get(0))?;
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
}

/// A row whose data has not been looked at yet.
pub(crate) struct RawRow {
    row: Row,
    data: String,
}

pub(crate) fn raw_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawRow> {
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

pub(crate) fn checked(raw: RawRow) -> Result<Row, JournalError> {
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
