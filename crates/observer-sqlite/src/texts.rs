//! Texts that rows share, each with the number of its uses.

use std::borrow::Cow;

use life_agent_observer::transfer::Cell;
use life_agent_observer::{
    JournalError, RowTexts, StoredText, TextId, TextKind, TextVisitor, roots_of,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use crate::packing::{Packer, unpack};
use crate::sqlite_error::read_error;

const FIND: &str = "SELECT is_item, body FROM text_bodies
    WHERE id = (SELECT body_id FROM texts WHERE digest = ?1)";

/// Counts the uses of a row's texts and stores those that are new.
pub(crate) fn put(connection: &Connection, texts: &RowTexts) -> rusqlite::Result<()> {
    let mut used =
        connection.prepare_cached("UPDATE texts SET uses = uses + 1 WHERE digest = ?1")?;
    let mut add = connection
        .prepare_cached("INSERT INTO texts (digest, body_id, uses) VALUES (?1, ?2, 1)")?;
    let mut packer = Packer::new();
    texts.add_each(|id, text| {
        if used.execute([id.as_bytes()])? > 0 {
            return Ok(false);
        }
        let is_item = text.kind == TextKind::Item;
        let body_id = add_body(connection, &mut packer, is_item, &text.body)?;
        add.execute(params![id.as_bytes(), body_id])?;
        Ok(true)
    })
}

/// Removes what only rows up to `upto` name. Called before these rows are removed, in the same transaction.
pub(crate) fn forget(connection: &Connection, upto: u64) -> rusqlite::Result<()> {
    let sql = "SELECT data FROM journal WHERE id <= ?1 AND instr(data, '\"references\":') > 0";
    let mut rows = connection.prepare_cached(sql)?;
    let mut open: Vec<TextId> = Vec::new();
    for data in rows.query_map([upto], |row| row.get::<_, String>(0))? {
        open.extend(roots_of(&data?));
    }
    let sql = "UPDATE texts SET uses = uses - 1 WHERE digest = ?1 RETURNING uses, body_id";
    let mut unused = connection.prepare_cached(sql)?;
    let mut remove = connection.prepare_cached("DELETE FROM texts WHERE digest = ?1")?;
    let mut remove_body = connection.prepare_cached("DELETE FROM text_bodies WHERE id = ?1")?;
    while let Some(id) = open.pop() {
        let left = unused
            .query_row([id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let Some((0, body_id)) = left.optional()? else { continue };
        open.extend(find(connection, &id)?.iter().flat_map(StoredText::parts));
        remove.execute([id.as_bytes()])?;
        remove_body.execute([body_id])?;
    }
    Ok(())
}

/// One text.
pub(crate) fn find(connection: &Connection, id: &TextId) -> rusqlite::Result<Option<StoredText>> {
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_row([id.as_bytes()], |row| {
        Ok(StoredText { kind: kind(row.get(0)?), body: body(row.get_ref(1)?).into_owned() })
    });
    found.optional()
}

/// Visits all texts, those without a body or a digest as well.
pub(crate) fn visit(connection: &Connection, visit: &mut TextVisitor<'_>) -> rusqlite::Result<()> {
    let sql = "SELECT digest, is_item, body FROM texts LEFT JOIN text_bodies ON id = body_id
        UNION ALL
        SELECT x'', is_item, body FROM text_bodies WHERE id NOT IN (SELECT body_id FROM texts)";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let digest = row.get_ref(0)?.as_bytes().unwrap_or_default();
        let is_item = matches!(row.get_ref(1)?, ValueRef::Integer(1));
        if visit(digest, kind(is_item), body(row.get_ref(2)?).as_bytes()).is_break() {
            break;
        }
    }
    Ok(())
}

/// Replaces the body in a record of [`TEXTS`](life_agent_observer::transfer::TEXTS) as it is stored by its bytes.
pub(crate) fn unpack_record(record: &mut [Cell]) -> Result<(), JournalError> {
    let Some(body) = record.get_mut(2) else { return Err(misshapen()) };
    *body = match std::mem::replace(body, Cell::Null) {
        Cell::Text(text) => Cell::Bytes(text.into_bytes()),
        Cell::Bytes(packed) => Cell::Bytes(unpack(&packed).ok_or_else(misshapen)?.into_bytes()),
        _ => return Err(misshapen()),
    };
    Ok(())
}

/// Stores such a record.
pub(crate) fn put_record(connection: &Connection, record: &[Cell]) -> Result<(), JournalError> {
    let [Cell::Bytes(digest), Cell::Int(is_item), Cell::Bytes(body), Cell::Int(uses)] = record
    else {
        return Err(misshapen());
    };
    let body = std::str::from_utf8(body).map_err(|_| misshapen())?;
    let stored = || {
        let body_id = add_body(connection, &mut Packer::new(), *is_item == 1, body)?;
        let sql = "INSERT INTO texts (digest, body_id, uses) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![digest, body_id, uses])
    };
    stored().map(drop).map_err(read_error)
}

fn misshapen() -> JournalError {
    JournalError::damaged("a stored text cannot be read")
}

fn add_body(
    connection: &Connection,
    packer: &mut Packer,
    is_item: bool,
    body: &str,
) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO text_bodies (is_item, body) VALUES (?1, ?2)";
    let mut add = connection.prepare_cached(sql)?;
    match packer.pack(body) {
        Some(packed) => add.insert(params![is_item, packed]),
        None => add.insert(params![is_item, body]),
    }
}

/// A stored body; empty if it is not one, which its digest shows.
fn body(stored: ValueRef<'_>) -> Cow<'_, str> {
    match stored {
        ValueRef::Text(text) => String::from_utf8_lossy(text),
        ValueRef::Blob(packed) => unpack(packed).unwrap_or_default().into(),
        _ => Cow::Borrowed(""),
    }
}

fn kind(is_item: bool) -> TextKind {
    if is_item { TextKind::Item } else { TextKind::Text }
}
