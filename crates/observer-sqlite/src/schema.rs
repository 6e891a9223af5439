//! The tables, and the migrations from earlier versions.

use rusqlite::{Connection, TransactionBehavior};

use crate::sqlite_error::describe;

/// Identifies a journal in the file's header: `LAJ1` in ASCII.
pub(crate) const APPLICATION_ID: i64 = 0x4C41_4A31;

/// Migration n leads from schema n to schema n + 1. Append only: existing files have run the others.
const MIGRATIONS: [&str; 7] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
];

/// The schema of this build.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A database without tables, which may become a journal.
    Empty,
    /// A journal of this schema version.
    Journal(i64),
}

/// Inspects a file without changing it. The error states the problem and the remedy.
pub(crate) fn inspect(connection: &Connection) -> Result<Found, String> {
    let unreadable = |error: rusqlite::Error| {
        format!("{}; restore a backup, or name another file", describe(&error))
    };
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id").map_err(unreadable)?;
    let version = number("PRAGMA user_version").map_err(unreadable)?;
    let tables = tables(connection).map_err(unreadable)?;
    match application {
        APPLICATION_ID if version > VERSION => Err(format!(
            "it was written by a newer version (schema {version}, this one knows {VERSION}); \
             start that version, or name another file"
        )),
        APPLICATION_ID if version < 1 => {
            Err("its schema has no version; restore a backup, or name another file".to_owned())
        }
        APPLICATION_ID => Ok(Found::Journal(version)),
        0 if tables.is_empty() && version == 0 => Ok(Found::Empty),
        _ => Err(format!(
            "it belongs to another program (tables: {}); name another file, it was left as it is",
            if tables.is_empty() { "none".to_owned() } else { tables.join(", ") }
        )),
    }
}

/// Names of a few tables, by which a person recognizes the file.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 5";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// A trigger that no migration creates: SQLite would run it with every row.
pub(crate) fn foreign_trigger(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    for name in names {
        let name = name?;
        let created = format!("TRIGGER {name}");
        if !MIGRATIONS.iter().any(|migration| migration.contains(&created)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Runs the missing migrations, all or none.
pub(crate) fn migrate(connection: &mut Connection, found: Found) -> rusqlite::Result<()> {
    let from = match found {
        Found::Empty => 0,
        Found::Journal(version) => version,
    };
    if from == VERSION {
        return Ok(());
    }
    if from > 0 {
        tracing::info!(from, to = VERSION, "migrating the journal; a large one takes a while");
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
