//! Translates PostgreSQL's errors into causes without addresses, statements or stored values.

use std::io;

use life_agent_observer::{Cause, JournalError};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a call of the server failed.
#[derive(Debug)]
pub(crate) enum PgError {
    /// The server or the connection reported it.
    Server(Error),
    /// No response in time.
    Timeout,
    /// Another cause, in words for the operator.
    Other(String),
}

impl From<Error> for PgError {
    fn from(error: Error) -> Self {
        PgError::Server(error)
    }
}

impl PgError {
    /// Whether the server refused a statement, so that its transaction cannot have been committed.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, PgError::Server(error) if error.as_db_error().is_some() && !ends_session(error))
    }

    /// Whether the error only says that an earlier statement of the transaction failed.
    pub(crate) fn is_consequence(&self) -> bool {
        let code = match self {
            PgError::Server(error) => error.code(),
            PgError::Timeout | PgError::Other(_) => None,
        };
        code == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
    }

    /// The cause for callers.
    pub(crate) fn cause(self) -> Cause {
        match self {
            PgError::Server(error) => Cause::new(describe(&error), Plain(describe(&error))),
            PgError::Timeout => "the database does not respond in time".into(),
            PgError::Other(why) => why.into(),
        }
    }

    /// The error of a read.
    pub(crate) fn of_read(self) -> JournalError {
        match &self {
            PgError::Server(error)
                if matches!(
                    error.code(),
                    Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED)
                ) =>
            {
                JournalError::Damaged(self.cause())
            }
            _ => JournalError::Unavailable(self.cause()),
        }
    }
}

/// The error behind a cause. The client's own error could name statements and stored values in logs.
#[derive(Debug)]
struct Plain(String);

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Plain {}

/// Whether the server ended the session, possibly in the middle of a commit.
fn ends_session(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::CANNOT_CONNECT_NOW)
    )
}

/// A message without stored values.
pub(crate) fn describe(error: &Error) -> String {
    let Some(code) = error.code() else { return of_connection(error) };
    let known = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the database refuses the user or the password"
        }
        SqlState::INVALID_CATALOG_NAME => "the database does not exist",
        SqlState::INSUFFICIENT_PRIVILEGE => "the database user lacks a permission",
        SqlState::DISK_FULL => "the disk of the database is full",
        SqlState::OUT_OF_MEMORY => "the database has not enough memory",
        SqlState::TOO_MANY_CONNECTIONS => "the database has too many connections",
        SqlState::READ_ONLY_SQL_TRANSACTION => "the database is read-only, such as a standby",
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            "the database is stopping or starting"
        }
        SqlState::QUERY_CANCELED => "a statement took too long",
        SqlState::LOCK_NOT_AVAILABLE => "another session holds a lock on the journal",
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => "the database reports damaged data",
        SqlState::UNIQUE_VIOLATION => "a record with this id exists",
        SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME => {
            "the journal's tables are missing"
        }
        _ => return format!("PostgreSQL reports SQLSTATE {}", code.code()),
    };
    known.to_owned()
}

fn of_connection(error: &Error) -> String {
    if error.is_closed() {
        return "the connection to the database was lost".to_owned();
    }
    // The texts of the client name no values; those of the system and of TLS name the reason.
    let reason = std::error::Error::source(error).filter(|source| source.is::<io::Error>());
    match reason {
        Some(reason) => format!("{error}: {reason}"),
        None => error.to_string(),
    }
}
