//! Reads rows exactly as stored, for verifying.

use std::ops::ControlFlow;

use life_agent_domain::governance::event::EventKind;
use life_agent_observer::Head;
use life_agent_observer::store::{RawLink, RawRow, RawText, declared_pruned};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

const SELECT: &str = "SELECT id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash,
    prev_step FROM journal";

/// Visits the last `last` rows (all if `None`) in order.
pub(crate) fn scan(
    connection: &Connection,
    last: Option<u64>,
    visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let after = match last {
        Some(last) => {
            let sql = "SELECT ifnull(max(id), 0) - ?1 FROM journal";
            connection.query_row(sql, params![last], |row| row.get::<_, i64>(0))?
        }
        None => i64::MIN,
    };
    let mut statement = connection.prepare(&format!("{SELECT} WHERE id > ?1 ORDER BY id"))?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        if visit(&raw_row(row)?).is_break() {
            break;
        }
    }
    Ok(())
}

fn raw_row<'r>(row: &'r Row<'_>) -> rusqlite::Result<RawRow<'r>> {
    let text = |column| {
        Ok::<_, rusqlite::Error>(match row.get_ref(column)? {
            ValueRef::Null => RawText::Null,
            ValueRef::Text(text) => RawText::Text(text),
            _ => RawText::Other,
        })
    };
    Ok(RawRow {
        id: row.get(0)?,
        ts: text(1)?,
        kind: text(2)?,
        agent_id: text(3)?,
        principal: text(4)?,
        request_id: text(5)?,
        data: text(6)?,
        prev_hash: text(7)?,
        hash: text(8)?,
        prev_step: match row.get_ref(9)? {
            ValueRef::Null => RawLink::None,
            ValueRef::Integer(id) => u64::try_from(id).map_or(RawLink::Other, RawLink::Row),
            _ => RawLink::Other,
        },
    })
}

/// The last row that retention declares removed. The declaration is itself a row of the chain.
pub(crate) fn pruned(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    let sql = "SELECT id, data FROM journal WHERE kind = ?1 ORDER BY id DESC LIMIT 1";
    let found =
        connection.prepare_cached(sql)?.query_row([EventKind::JournalPruned.as_str()], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))
        });
    Ok(found.optional()?.and_then(|(id, data)| declared_pruned(id, &data)))
}
