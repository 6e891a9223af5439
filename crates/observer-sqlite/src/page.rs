//! Pages of rows in order, in time that does not depend on the number of rows that a filter excludes.

use std::ops::ControlFlow;

use life_agent_domain::governance::event::Row;
use life_agent_observer::store::parse_data;
use life_agent_observer::{
    Filter, JournalError, Page, PageRows, RowColumns, Span, TextId, with_texts,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use crate::agent_history::{SCANNED_ROWS, ids_of_agent};
use crate::insert::read_tip;
use crate::range::{Range, sort};
use crate::reader::first_id;
use crate::search::{Found, SearchIndex, SearchReader};
use crate::sqlite_error::read_error;
use crate::texts;

pub(crate) const COLUMNS: &str =
    "id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash";

/// Ids that are looked up at a time for a filter that excludes some of them.
const CHUNK: usize = 512;

/// See [`life_agent_observer::Read::rows`].
pub(crate) fn rows(
    connection: &Connection,
    search: Option<&SearchIndex>,
    span: Span,
    limit: usize,
    filter: &Filter,
) -> Result<Page, JournalError> {
    let head = read_tip(connection).map_err(read_error)?.head.id;
    let first = first_id(connection).map_err(read_error)?;
    let Some((low, high)) = span.within(first, head) else {
        return Ok(Page::empty(if span.newest_first { first } else { head }));
    };
    let range = Range { low, high, newest_first: span.newest_first };
    if !filter.is_plain()
        && let Some(search) = search
        && let Some(index) = search.reader()
    {
        let mut page = PageRows::new(limit);
        match searched(connection, &index, range, filter, &mut page) {
            Ok(end) => return Ok(page.finish_span(&span, end?, (low, high))),
            Err(error) => search.report(&error),
        }
    }
    let mut page = PageRows::new(limit);
    let end = scan(connection, range, filter, &mut page)?;
    Ok(page.finish_span(&span, end, (low, high)))
}

/// Adds rows that the index finds, and rows that are not in the index yet. Returns the last considered row, unless
/// the page is full. The outer error is that of the index.
fn searched(
    connection: &Connection,
    index: &SearchReader,
    range: Range,
    filter: &Filter,
    page: &mut PageRows,
) -> rusqlite::Result<Result<u64, JournalError>> {
    let upto = index.upto();
    let indexed = Range { high: range.high.min(upto), ..range };
    let rest = Range { low: range.low.max(upto + 1), ..range };
    let mut pieces = [(indexed, true), (rest, false)];
    if range.newest_first {
        pieces.reverse();
    }
    for (piece, is_indexed) in pieces {
        if piece.low > piece.high {
            continue;
        }
        let end = match is_indexed {
            true => candidates(connection, index, piece, filter, page)?,
            false => scan(connection, piece, filter, page),
        };
        match end {
            Ok(end) if end == piece.end() && !page.is_full() => {}
            end => return Ok(end),
        }
    }
    Ok(Ok(range.end()))
}

/// Adds rows that the index finds. Returns the last considered row.
fn candidates(
    connection: &Connection,
    index: &SearchReader,
    range: Range,
    filter: &Filter,
    page: &mut PageRows,
) -> rusqlite::Result<Result<u64, JournalError>> {
    let Some(narrowed) = index.of_time(range, filter)? else { return Ok(Ok(range.end())) };
    let Some(query) = SearchReader::query(filter) else {
        return Ok(each_row(connection, narrowed, filter, page).map(|_| range.end()));
    };
    let mut statement = connection.prepare_cached(&by_id())?;
    let found = index.visit(narrowed, &query, |id| {
        let mut found = statement.query([id]).map_err(read_error)?;
        // Retention may have removed a row that the index still finds.
        let Some(raw) = found.next().map_err(read_error)? else {
            return Ok(ControlFlow::Continue(()));
        };
        Ok(match add(connection, page, raw, filter)? {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    Ok(found.map(|found| match found {
        Found::UpTo(id) => id,
        Found::All | Found::Ended => range.end(),
    }))
}

/// Adds rows without the index. Returns the last considered row, unless the page is full.
fn scan(
    connection: &Connection,
    range: Range,
    filter: &Filter,
    page: &mut PageRows,
) -> Result<u64, JournalError> {
    let range = match filter.agent() {
        Some(_) => range.first(SCANNED_ROWS),
        None => range,
    };
    if filter.matches_all_kinds() && filter.agent().is_none() {
        each_row(connection, range, filter, page)?;
    } else {
        each_found(connection, range, filter, page)?;
    }
    Ok(range.end())
}

/// Adds rows in order. Returns false once the page is full.
fn each_row(
    connection: &Connection,
    range: Range,
    filter: &Filter,
    page: &mut PageRows,
) -> Result<bool, JournalError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM journal WHERE id BETWEEN ?1 AND ?2 ORDER BY id {}",
        range.direction()
    );
    let mut statement = connection.prepare_cached(&sql).map_err(read_error)?;
    let mut rows = statement.query([range.low, range.high]).map_err(read_error)?;
    while let Some(raw) = rows.next().map_err(read_error)? {
        if !add(connection, page, raw, filter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds rows of the wanted kinds and agent, which are looked up in the indexes.
fn each_found(
    connection: &Connection,
    mut range: Range,
    filter: &Filter,
    page: &mut PageRows,
) -> Result<bool, JournalError> {
    let chunk = if filter.is_plain() { page.wanted() } else { CHUNK };
    let mut statement = connection.prepare_cached(&by_id()).map_err(read_error)?;
    while range.low <= range.high {
        let ids = matching(connection, range, chunk, filter).map_err(read_error)?;
        for id in &ids {
            let mut found = statement.query([id]).map_err(read_error)?;
            if let Some(raw) = found.next().map_err(read_error)?
                && !add(connection, page, raw, filter)?
            {
                return Ok(false);
            }
        }
        match ids.last() {
            Some(last) if ids.len() == chunk => range = range.beyond(*last),
            _ => break,
        }
    }
    Ok(true)
}

/// Adds a row if the filter selects it. Returns false once the page is full. The data of a row is read only if its
/// columns match: most rows of a search that no index narrows down do not.
fn add(
    connection: &Connection,
    page: &mut PageRows,
    raw: &rusqlite::Row<'_>,
    filter: &Filter,
) -> Result<bool, JournalError> {
    if filter.is_plain() {
        return Ok(page.push(checked(raw_row(raw).map_err(read_error)?)?));
    }
    if !may_match(raw, filter).map_err(read_error)? {
        return Ok(page.skip(raw.get(0).map_err(read_error)?));
    }
    let row = checked(raw_row(raw).map_err(read_error)?)?;
    let lookup = |id: &TextId| texts::find(connection, id).map_err(read_error);
    Ok(page.push_matching(row, filter, |row| with_texts(&lookup, row)))
}

/// Whether the columns of a row match, without a copy of them.
fn may_match(raw: &rusqlite::Row<'_>, filter: &Filter) -> rusqlite::Result<bool> {
    let text = |index| Ok::<_, rusqlite::Error>(raw.get_ref(index)?.as_str()?);
    Ok(filter.may_match_columns(&RowColumns {
        ts: text(1)?,
        kind: text(2)?,
        agent_id: raw.get_ref(3)?.as_str_or_null()?,
        principal: text(4)?,
        request_id: text(5)?,
    }))
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

/// Ids of the first rows of the wanted kinds and agent. Without an agent, that is one range of an index for
/// each kind, merged.
fn matching(
    connection: &Connection,
    range: Range,
    limit: usize,
    filter: &Filter,
) -> rusqlite::Result<Vec<u64>> {
    if let Some(agent) = filter.agent().filter(|_| filter.matches_all_kinds()) {
        return ids_of_agent(connection, agent, None, range, limit);
    }
    let kinds = kinds(connection)?.into_iter().filter(|kind| filter.matches_kind(kind));
    if let Some(agent) = filter.agent() {
        return ids_of_agent(connection, agent, Some(kinds.collect()), range, limit);
    }
    let sql = format!(
        "SELECT id FROM journal WHERE kind = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id {} LIMIT ?4",
        range.direction()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut ids: Vec<u64> = Vec::new();
    for kind in kinds {
        let bounds = params![kind, range.low, range.high, limit];
        let found = statement.query_map(bounds, |row| row.get(0))?;
        ids.extend(found.collect::<rusqlite::Result<Vec<u64>>>()?);
    }
    sort(&mut ids, range);
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

impl UncheckedRow {
    /// The row for the search index, which finds nothing in data that is damaged.
    pub(crate) fn searchable(self) -> Row {
        let data = parse_data(self.row.id, self.data).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Row { data, ..self.row }
    }
}

pub(crate) fn checked(raw: UncheckedRow) -> Result<Row, JournalError> {
    let UncheckedRow { row, data } = raw;
    Ok(Row { data: parse_data(row.id, data)?, ..row })
}
