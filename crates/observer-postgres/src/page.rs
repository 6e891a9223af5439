//! Pages of rows in order, in time that does not depend on the number of rows that a filter excludes.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::store::parse_data;
use life_agent_observer::{Filter, JournalError, Page, PageRows, Read};
use serde_json::value::RawValue;
use tokio_postgres::types::Type;

use crate::agent_history::{SCANNED_ROWS, ids_of_agent};
use crate::pg_error::PgError;
use crate::scan::{COLUMNS, bounded};
use crate::stored::{number, signed};
use crate::view::View;

/// Rows of one kind that a search reads at a time.
const SEARCHED: i64 = 64;

/// See [`life_agent_observer::Read::page`].
pub(crate) fn page(
    view: &View<'_>,
    after: u64,
    limit: usize,
    filter: &Filter,
) -> Result<Page, JournalError> {
    let head = view.head()?.id;
    // A position beyond the end finds nothing; the database could not hold a larger number either.
    let after = after.min(head);
    let (after, end) = match filter.agent() {
        // The search for an agent's rows starts at the first row.
        Some(_) => {
            let after = after.max(view.first_id()?.saturating_sub(1));
            (after, head.min(after + SCANNED_ROWS))
        }
        None => (after, head),
    };
    let mut rows = PageRows::new(limit);
    let mut found = Found::Next(after);
    if !filter.matches_all() {
        found = Found::Ids(matching(view, after, end, rows.wanted(), filter)?);
    }
    loop {
        let some = found.read(view, end, rows.wanted())?;
        let is_last = some.is_empty();
        for row in some {
            if !rows.push(row) {
                return Ok(rows.finish(end, head));
            }
        }
        if is_last {
            return Ok(rows.finish(end, head));
        }
    }
}

/// The rows of a page that are not read yet.
enum Found {
    /// Those after this one.
    Next(u64),
    /// Those with these ids.
    Ids(Vec<i64>),
}

impl Found {
    /// Reads some of them.
    fn read(&mut self, view: &View<'_>, end: u64, limit: usize) -> Result<Vec<Row>, JournalError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = match self {
            Found::Next(after) => {
                let sql =
                    bounded("SELECT * FROM events WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3");
                let (after, end) = (signed(*after), signed(end));
                let values = vec![
                    (&after as _, Type::INT8),
                    (&end as _, Type::INT8),
                    (&limit as _, Type::INT8),
                ];
                rows_of(&view.query(&sql, values)?)?
            }
            Found::Ids(ids) if ids.is_empty() => Vec::new(),
            Found::Ids(ids) => {
                let sql = bounded("SELECT * FROM events WHERE id = ANY($1)");
                rows_of(&view.query(&sql, vec![(&*ids as _, Type::INT8_ARRAY)])?)?
            }
        };
        if let Some(last) = read.last() {
            match self {
                Found::Next(after) => *after = last.id,
                Found::Ids(ids) => ids.retain(|id| *id > signed(last.id)),
            }
        }
        Ok(read)
    }
}

/// One row.
pub(crate) fn row(view: &View<'_>, id: u64) -> Result<Option<Row>, JournalError> {
    // No row has an id that the database cannot hold.
    let Ok(id) = i64::try_from(id) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM events WHERE id = $1");
    Ok(rows_of(&view.query(&sql, vec![(&id, Type::INT8)])?)?.pop())
}

/// See [`life_agent_observer::Read::last_row`].
pub(crate) fn last_row(
    view: &View<'_>,
    kind: &str,
    about: Option<&str>,
) -> Result<Option<Row>, JournalError> {
    let is_about = |row: &Row| {
        let data = serde_json::from_str::<serde_json::Value>(row.data.get());
        about.is_none_or(|id| data.is_ok_and(|data| data["id"] == id))
    };
    // Narrows the search. The JSON functions of the server refuse texts with an escaped NUL.
    let text = about.map(|id| serde_json::Value::from(id).to_string());
    let limit = if about.is_some() { SEARCHED } else { 1 };
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE kind = $1 AND id < $2 AND ($3::text IS NULL OR strpos(data, $3) > 0)
         ORDER BY id DESC LIMIT $4"
    );
    let mut before = i64::MAX;
    loop {
        let values = vec![
            (&kind as _, Type::TEXT),
            (&before as _, Type::INT8),
            (&text as _, Type::TEXT),
            (&limit as _, Type::INT8),
        ];
        let rows = rows_of(&view.query(&sql, values)?)?;
        let Some(oldest) = rows.last() else { return Ok(None) };
        before = signed(oldest.id);
        if let Some(found) = rows.into_iter().find(is_about) {
            return Ok(Some(found));
        }
    }
}

/// Ids of the first rows that the filter selects. Without an agent, that is one range of an index for each
/// kind, merged.
fn matching(
    view: &View<'_>,
    after: u64,
    end: u64,
    limit: usize,
    filter: &Filter,
) -> Result<Vec<i64>, JournalError> {
    let kinds = EventKind::ALL.iter().map(|kind| kind.as_str());
    let kinds: Vec<&str> = kinds.filter(|kind| filter.matches_kind(kind)).collect();
    if let Some(agent) = filter.agent() {
        let kinds = (!filter.matches_all_kinds()).then_some(kinds);
        return ids_of_agent(view, agent, kinds, after, end, limit);
    }
    let sql = "SELECT found.id FROM unnest($1::text[]) AS wanted CROSS JOIN LATERAL (
            SELECT id FROM events WHERE kind = wanted AND id > $2 AND id <= $3 ORDER BY id LIMIT $4) AS found
        ORDER BY 1 LIMIT $4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (after, end) = (signed(after), signed(end));
    let values = vec![
        (&kinds as _, Type::TEXT_ARRAY),
        (&after as _, Type::INT8),
        (&end as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    ids_of(&view.query(sql, values)?)
}

/// The first column of each row.
pub(crate) fn ids_of(rows: &[tokio_postgres::Row]) -> Result<Vec<i64>, JournalError> {
    let ids: Result<_, tokio_postgres::Error> = rows.iter().map(|row| row.try_get(0)).collect();
    ids.map_err(|error| PgError::from(error).of_read())
}

/// Rows with the columns of [`COLUMNS`].
pub(crate) fn rows_of(rows: &[tokio_postgres::Row]) -> Result<Vec<Row>, JournalError> {
    rows.iter().map(row_of).collect()
}

pub(crate) fn row_of(row: &tokio_postgres::Row) -> Result<Row, JournalError> {
    let read = || {
        Ok::<_, PgError>(Row {
            id: number(row, 0)?,
            ts: row.try_get(1)?,
            kind: row.try_get(2)?,
            agent_id: row.try_get(3)?,
            principal: row.try_get(4)?,
            request_id: row.try_get(5)?,
            data: RawValue::NULL.to_owned(),
            prev_hash: row.try_get(7)?,
            hash: row.try_get(8)?,
        })
    };
    let found = read().map_err(PgError::of_read)?;
    let data: String = row.try_get(6).map_err(|error| PgError::from(error).of_read())?;
    Ok(Row { data: parse_data(found.id, data)?, ..found })
}
