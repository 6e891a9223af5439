//! Reads rows exactly as stored, for verifying.

use std::ops::ControlFlow;

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::store::{RawLink, RawRow, RawText, declared_pruned};
use life_agent_observer::{Head, JournalError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::pg_error::PgError;
use crate::session::Session;
use crate::stored::{number, signed};
use crate::view::View;

/// The columns of a row, in the order that [`crate::page::row_of`] expects.
pub(crate) const COLUMNS: &str =
    "id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash, prev_step";

/// Bytes of data of one response. A row that is larger comes alone.
const PAGE_BYTES: i64 = 4 << 20;
/// Rows of one response.
const PAGE_ROWS: i64 = 1024;

/// The first rows of a selection up to a number of bytes.
pub(crate) fn bounded(selection: &str) -> String {
    bounded_by(selection, "id")
}

/// The same in an order.
pub(crate) fn bounded_by(selection: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM (
            SELECT *, sum(octet_length(data)) OVER (ORDER BY {order}) - octet_length(data) AS before
            FROM ({selection}) AS selected) AS summed
         WHERE before <= {PAGE_BYTES} ORDER BY {order}"
    )
}

/// Visits the last `last` rows (all if `None`) in order.
pub(crate) fn scan(
    view: &View<'_>,
    last: Option<u64>,
    visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    let mut after = match last {
        Some(last) => {
            let newest = view.query("SELECT coalesce(max(id), 0) FROM events", vec![])?;
            let newest: i64 = view.column(&newest, 0)?.unwrap_or_default();
            newest.saturating_sub(signed(last))
        }
        None => i64::MIN,
    };
    let sql = bounded("SELECT * FROM events WHERE id > $1 ORDER BY id LIMIT $2");
    loop {
        let values = vec![(&after as _, Type::INT8), (&PAGE_ROWS as _, Type::INT8)];
        let rows = view.query(&sql, values)?;
        let Some(newest) = rows.last() else { return Ok(()) };
        after = newest.try_get(0).map_err(|error| PgError::from(error).of_read())?;
        for row in &rows {
            let raw = raw_row(row).map_err(|error| PgError::from(error).of_read())?;
            if visit(&raw).is_break() {
                return Ok(());
            }
        }
    }
}

fn raw_row(row: &Row) -> Result<RawRow<'_>, tokio_postgres::Error> {
    let text = |column| {
        let text: Option<&str> = row.try_get(column)?;
        Ok::<_, tokio_postgres::Error>(match text {
            Some(text) => RawText::Text(text.as_bytes()),
            None => RawText::Null,
        })
    };
    Ok(RawRow {
        id: row.try_get(0)?,
        ts: text(1)?,
        kind: text(2)?,
        agent_id: text(3)?,
        principal: text(4)?,
        request_id: text(5)?,
        data: text(6)?,
        prev_hash: text(7)?,
        hash: text(8)?,
        prev_step: match row.try_get::<_, Option<i64>>(9)? {
            None => RawLink::None,
            Some(id) => u64::try_from(id).map_or(RawLink::Other, RawLink::Row),
        },
    })
}

/// The last row that retention declares removed. The declaration is itself a row of the chain.
pub(crate) async fn pruned(session: &Session) -> Result<Option<Head>, PgError> {
    let sql = "SELECT id, data FROM events WHERE kind = $1 ORDER BY id DESC LIMIT 1";
    let kind = EventKind::JournalPruned.as_str();
    let rows = session.query(sql, vec![(&kind, Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(declared_pruned(number(row, 0)?, row.try_get(1)?))
}
