//! Errors of the journal, worded for the person who must act on them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::precondition::Rejection;

/// A message that is safe to show to callers, and the error behind it, which may name paths.
#[derive(Debug, Clone)]
pub struct Cause {
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Cause {
    /// A message for `source`. The message must not contain paths or stored values.
    pub fn new(
        message: impl Into<Cow<'static, str>>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { message: message.into(), source: Some(Arc::new(source)) }
    }

    /// The error behind the message, for logs.
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<&'static str> for Cause {
    fn from(message: &'static str) -> Self {
        Self { message: message.into(), source: None }
    }
}

impl From<String> for Cause {
    fn from(message: String) -> Self {
        Self { message: message.into(), source: None }
    }
}

impl Deref for Cause {
    type Target = str;
    fn deref(&self) -> &str {
        &self.message
    }
}

/// Compares messages only: errors behind them have no equality.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}

impl Eq for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why the journal could not do what it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// The store cannot serve as a journal; it was left unchanged.
    Open {
        /// The store as the caller named it.
        path: String,
        /// The problem and the remedy.
        cause: Cause,
    },
    /// The queue is full.
    Overloaded,
    /// The store could not be written or read. Nothing of the batch was kept.
    Unavailable(Cause),
    /// The commit failed in a way that leaves its outcome unknown: its rows may appear later.
    Unknown(Cause),
    /// The journal was closed.
    Closed,
    /// The batch is not valid.
    Invalid(Cause),
    /// A precondition of the batch does not hold. Nothing of the batch was kept.
    Rejected(Rejection),
    /// The stored content cannot be what was recorded.
    Damaged(Cause),
    /// The target of an export or a backup cannot be written.
    Output(Cause),
}

impl JournalError {
    /// The store named `path` cannot be opened.
    pub fn open(path: impl fmt::Display, cause: impl Into<Cause>) -> Self {
        JournalError::Open { path: path.to_string(), cause: cause.into() }
    }

    /// The store cannot be read or written.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        JournalError::Unavailable(cause.into())
    }

    /// The stored content is damaged.
    pub fn damaged(cause: impl Into<Cause>) -> Self {
        JournalError::Damaged(cause.into())
    }

    fn cause(&self) -> Option<&Cause> {
        match self {
            JournalError::Open { cause, .. }
            | JournalError::Unavailable(cause)
            | JournalError::Unknown(cause)
            | JournalError::Invalid(cause)
            | JournalError::Damaged(cause)
            | JournalError::Output(cause) => Some(cause),
            JournalError::Overloaded | JournalError::Closed | JournalError::Rejected(_) => None,
        }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Open { path, cause } => {
                write!(f, "cannot open the journal `{path}`: {cause}")
            }
            JournalError::Overloaded => {
                f.write_str("the journal's queue is full; try again in a second")
            }
            JournalError::Unavailable(cause) => write!(f, "the journal cannot be used: {cause}"),
            JournalError::Unknown(cause) => write!(
                f,
                "the journal cannot be used: {cause}; whether the last write was stored is unknown"
            ),
            JournalError::Closed => f.write_str("the journal is closed; the service is stopping"),
            JournalError::Invalid(cause) => write!(f, "the journal rejects this batch: {cause}"),
            JournalError::Rejected(rejection) => rejection.fmt(f),
            JournalError::Damaged(cause) => write!(
                f,
                "the journal is damaged: {cause}; find the first bad row with `life-agent audit verify`"
            ),
            JournalError::Output(cause) => write!(f, "cannot write {cause}"),
        }
    }
}

impl Error for JournalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            JournalError::Rejected(rejection) => Some(rejection),
            other => other.cause().and_then(Cause::source),
        }
    }
}
