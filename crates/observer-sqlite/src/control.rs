//! The control version, a setting of its own name.

use rusqlite::{Connection, OptionalExtension, params};

pub(crate) const KEY: &str = "journal.control";

/// The stored control version; 0 before the first change.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT value FROM settings WHERE key = ?1";
    let value: Option<String> =
        connection.prepare_cached(sql)?.query_row([KEY], |row| row.get(0)).optional()?;
    // A value that is not a number was never stored by this code. Every precondition on it fails, until
    // the next change of the kill switch or the policy stores a number again.
    Ok(value.map_or(0, |value| value.parse().unwrap_or(u64::MAX / 2)))
}

/// Stores a new control version in the open transaction.
pub(crate) fn write(connection: &Connection, version: u64) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![KEY, version.to_string()]).map(drop)
}
