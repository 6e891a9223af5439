//! Translates SQLite's errors into causes without paths or stored values.

use life_agent_observer::{Cause, JournalError};
use rusqlite::ErrorCode;

/// The cause for callers. The error behind it, for logs, may name paths.
pub(crate) fn cause(error: rusqlite::Error) -> Cause {
    Cause::new(describe(&error), error)
}

/// Reading failed.
pub(crate) fn read_error(error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            JournalError::Damaged(cause(error))
        }
        _ => JournalError::Unavailable(cause(error)),
    }
}

/// A message without paths or stored values.
pub(crate) fn describe(error: &rusqlite::Error) -> String {
    let known = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::ReadOnly) => "the database is read-only",
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error",
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged",
        Some(ErrorCode::NotADatabase) => "the file is not an SQLite database",
        Some(ErrorCode::CannotOpen) => "the file cannot be opened",
        Some(ErrorCode::PermissionDenied) => "access to the file is denied",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds a lock on the database"
        }
        Some(ErrorCode::OutOfMemory) => "there is not enough memory",
        Some(code) => return format!("SQLite reports {code:?}"),
        None => return format!("a stored value cannot be read ({error})"),
    };
    known.to_owned()
}
