//! Pages of rows in order, in time that does not depend on the number of rows that a filter excludes.

use life_agent_domain::governance::event::Row;
use life_agent_observer::store::parse_data;
use life_agent_observer::{Filter, JournalError, Page, PageRows};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use crate::agent_history::{SCANNED_ROWS, ids_of_agent};
use crate::insert::read_tip;
use crate::reader::first_id;
use crate::sqlite_error::read_error;

pub(crate) const COLUMNS: &str =
    "id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash";

/// See [`life_agent_observer::Read::page`].
pub(crate) fn page(
    connection: &Connection,
    after: u64,
    limit: usize,
    filter: &Filter,
) -> Result<Page, JournalError> {
    let head = read_tip(connection).map_err(read_error)?.head.id;
    // A position beyond the end finds nothing; SQLite could not hold a larger number either.
    let after = after.min(head);
    let (after, end) = match filter.agent() {
        // The search for an agent's rows starts at the first row.
        Some(_) => {
            let first = first_id(connection).map_err(read_error)?;
            let after = after.max(first.saturating_sub(1));
            (after, head.min(after + SCANNED_ROWS))
        }
        None => (after, head),
    };
    let mut rows = PageRows::new(limit);
    if filter.matches_all() {
        let sql = format!(
            "SELECT {COLUMNS} FROM journal WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3"
        );
        let mut statement = connection.prepare_cached(&sql).map_err(read_error)?;
        let bounds = params![after, end, rows.wanted()];
        for raw in statement.query_map(bounds, raw_row).map_err(read_error)? {
            if !rows.push(checked(raw.map_err(read_error)?)?) {
                break;
            }
        }
    } else {
        let ids = matching(connection, after, end, rows.wanted(), filter).map_err(read_error)?;
        let mut statement = connection.prepare_cached(&by_id()).map_err(read_error)?;
        for id in ids {
            let raw = statement.query_row([id], raw_row).map_err(read_error)?;
            if !rows.push(checked(raw)?) {
                break;
            }
        }
    }
    Ok(rows.finish(end, head))
}

/// One row.
pub(crate) fn row(connection: &Connection, id: u64) -> Result<Option<Row>, JournalError> {
    // No row has an id that SQLite cannot hold.
    let Ok(id) = i64::try_from(id) else { return Ok(None) };
    let mut statement = connection.prepare_cached(&by_id()).map_err(read_error)?;
    let raw = statement.query_row([id], raw_row).optional().map_err(read_error)?;
    raw.map(checked).transpose()
}

/// See [`life_agent_observer::Read::last_row`].
pub(crate) fn last_row(
    connection: &Connection,
    kind: &str,
    about: Option<&str>,
) -> Result<Option<Row>, JournalError> {
    let of_id =
        if about.is_some() { "AND json_extract(data, '$.id') = ?2" } else { "AND ?2 IS NULL" };
    let sql =
        format!("SELECT {COLUMNS} FROM journal WHERE kind = ?1 {of_id} ORDER BY id DESC LIMIT 1");
    let mut statement = connection.prepare_cached(&sql).map_err(read_error)?;
    let values = params![kind, about];
    let raw = statement.query_row(values, raw_row).optional().map_err(read_error)?;
    raw.map(checked).transpose()
}

fn by_id() -> String {
    format!("SELECT {COLUMNS} FROM journal WHERE id = ?1")
}

/// Ids of the first rows that the filter selects. Without an agent, that is one range of an index for
/// each kind, merged.
fn matching(
    connection: &Connection,
    after: u64,
    end: u64,
    limit: usize,
    filter: &Filter,
) -> rusqlite::Result<Vec<u64>> {
    if let Some(agent) = filter.agent().filter(|_| filter.matches_all_kinds()) {
        return ids_of_agent(connection, agent, None, after, end, limit);
    }
    let kinds = kinds(connection)?.into_iter().filter(|kind| filter.matches_kind(kind));
    if let Some(agent) = filter.agent() {
        return ids_of_agent(connection, agent, Some(kinds.collect()), after, end, limit);
    }
    let sql =
        "SELECT id FROM journal WHERE kind = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let mut ids: Vec<u64> = Vec::new();
    for kind in kinds {
        let found = statement.query_map(params![kind, after, end, limit], |row| row.get(0))?;
        ids.extend(found.collect::<rusqlite::Result<Vec<u64>>>()?);
    }
    ids.sort_unstable();
    ids.truncate(limit);
    Ok(ids)
}

/// The kinds that occur: a skip scan of the index, a few microseconds each.
fn kinds(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT kind FROM journal WHERE kind > ?1 ORDER BY kind LIMIT 1";
    let mut next = connection.prepare_cached(sql)?;
    let mut kinds: Vec<String> = Vec::new();
    loop {
        let last = kinds.last().map_or("", String::as_str);
        match next.query_row([last], |row| row.get(0)).optional()? {
            Some(kind) => kinds.push(kind),
            None => return Ok(kinds),
        }
    }
}

/// A row whose data is not parsed yet.
pub(crate) struct UncheckedRow {
    row: Row,
    data: String,
}

pub(crate) fn raw_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<UncheckedRow> {
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
    Ok(UncheckedRow { row, data })
}

pub(crate) fn checked(raw: UncheckedRow) -> Result<Row, JournalError> {
    let UncheckedRow { row, data } = raw;
    Ok(Row { data: parse_data(row.id, data)?, ..row })
}
