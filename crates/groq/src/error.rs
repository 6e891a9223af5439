//! The errors of a call to the model.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why there is no answer, or no complete one. Texts are redacted and bounded; none contains the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChatError {
    /// The provider refused the call or answered with something that is no answer.
    #[error("{message}")]
    Failed {
        /// The HTTP status, if there was an answer at all.
        status: Option<u16>,
        /// The provider's own code, as in `model_not_found`.
        code: Option<String>,
        /// What happened, the provider's words included where they help.
        message: String,
    },
    /// The provider took too long.
    #[error("the model provider took too long: {phase}; try again or raise the limit")]
    Timeout {
        /// What was waited for.
        phase: Phase,
    },
    /// The call was not made, or the provider would not take it now; later it may.
    #[error("{cause}; try again in {} s", retry_after.as_secs_f64().ceil())]
    Overloaded {
        /// What is at its limit.
        cause: Overload,
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// A stream ended before its end.
    #[error("the answer was cut off: {message}; try again")]
    Cut {
        /// What ended it.
        message: String,
    },
    /// The settings or the request cannot work; nothing was sent.
    #[error("{message}")]
    Refused {
        /// What to change.
        message: String,
    },
    /// A replay was asked for something that was never recorded.
    #[error("no recorded answer of the model fits this request; record the exchange first")]
    NotRecorded,
}

impl ChatError {
    pub(crate) fn failed(status: u16, message: impl Into<String>) -> Self {
        Self::Failed { status: Some(status), code: None, message: message.into() }
    }

    pub(crate) fn cut(message: impl Into<String>) -> Self {
        Self::Cut { message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into() }
    }

    /// A name for labels; one of a fixed few.
    pub fn label(&self) -> &'static str {
        match self {
            ChatError::Failed { .. } => "failed",
            ChatError::Timeout { .. } => "timeout",
            ChatError::Overloaded { .. } => "overloaded",
            ChatError::Cut { .. } => "cut",
            ChatError::Refused { .. } => "refused",
            ChatError::NotRecorded => "not_recorded",
        }
    }
}

/// What a call was waiting for when its time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// A connection.
    #[error("no connection in time")]
    Connect,
    /// The head of the answer.
    #[error("no answer began in time")]
    FirstByte,
    /// The next bytes of the answer.
    #[error("the answer stalled")]
    BetweenBytes,
    /// The end of the answer.
    #[error("the answer did not end in time")]
    Whole,
}

/// What is at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overload {
    /// As many calls as allowed are under way.
    #[error("too many calls to the model are in progress")]
    Calls,
    /// The breaker is open: the provider failed again and again.
    #[error("the model provider keeps failing and is left alone for a while")]
    Breaker,
    /// The provider's own limit.
    #[error("the model provider's limit is reached")]
    Provider,
}
