//! What can go wrong with a journal, in words for whoever must act on it.

use std::path::Path;

use rusqlite::ErrorCode;

/// Why the journal could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The file cannot serve as a journal; it was left as it is.
    #[error("cannot open the journal `{path}`: {why}")]
    Open {
        /// The file, as it was named.
        path: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// More work is queued than the journal takes.
    #[error("the journal's queue is full; try again in a second")]
    Overloaded,
    /// It could not be written or read. Nothing of the work was kept.
    #[error("the journal cannot be used: {0}")]
    Unavailable(String),
    /// The journal was closed; the service is stopping.
    #[error("the journal is closed; the service is stopping")]
    Closed,
    /// The work is not something that a journal can keep.
    #[error("the journal does not take this: {0}")]
    Refused(String),
    /// What is stored cannot be what was once recorded.
    #[error("the journal is damaged: {0}; find the first bad row with `life-agent audit verify`")]
    Damaged(String),
    /// The file that an export or a backup should go to cannot be written.
    #[error("cannot write {0}")]
    Output(String),
}

impl JournalError {
    pub(crate) fn open(path: &Path, why: impl Into<String>) -> Self {
        JournalError::Open { path: path.display().to_string(), why: why.into() }
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                JournalError::Damaged(words(&error))
            }
            _ => JournalError::Unavailable(words(&error)),
        }
    }
}

/// A database error without paths or stored values, which must not reach callers.
pub(crate) fn words(error: &rusqlite::Error) -> String {
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
