//! Failures of model calls.

use std::time::Duration;

use life_agent_groq::ChatError;

use crate::error::EngineError;

/// A failed model call.
pub(crate) struct CallFailure {
    /// A fixed label for the row.
    pub(crate) label: &'static str,
    /// Whether a request was sent to the provider.
    pub(crate) asked: bool,
    pub(crate) error: EngineError,
}

impl CallFailure {
    pub(crate) fn stopping() -> Self {
        Self { label: "stopped", asked: true, error: EngineError::Stopping }
    }

    pub(crate) fn late(whole: Duration) -> Self {
        let message =
            format!("the model took longer than {} s; ask for less, or again", whole.as_secs());
        Self { label: "timeout", asked: true, error: EngineError::LlmTimeout { message } }
    }

    pub(crate) fn cancelled() -> Self {
        let error = EngineError::Conflict("the turn was cancelled".to_owned());
        Self { label: "cancelled", asked: true, error }
    }

    /// The agent or the principal was stopped.
    pub(crate) fn cut_off(error: EngineError) -> Self {
        Self { label: "cut_off", asked: true, error }
    }

    pub(crate) fn unusable(message: &str) -> Self {
        let error = EngineError::LlmFailed { message: message.to_owned() };
        Self { label: "failed", asked: true, error }
    }
}

impl From<ChatError> for CallFailure {
    fn from(error: ChatError) -> Self {
        let (label, message) = (error.label(), error.to_string());
        let asked = match &error {
            ChatError::Overloaded { cause, .. } => *cause == life_agent_groq::Overload::Provider,
            ChatError::Refused { .. } | ChatError::NotRecorded => false,
            _ => true,
        };
        let error = match error {
            ChatError::Overloaded { retry_after, .. } => {
                let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
                EngineError::LlmBusy { message, retry_after: seconds }
            }
            ChatError::Timeout { .. } => EngineError::LlmTimeout { message },
            ChatError::Refused { .. } => EngineError::LlmRefused { message },
            ChatError::Failed { status: Some(400 | 422), .. } => {
                EngineError::LlmUnsuited { message }
            }
            _ => EngineError::LlmFailed { message },
        };
        Self { label, asked, error }
    }
}
