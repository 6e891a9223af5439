//! Playback: a model that answers from recorded exchanges and never leaves the machine.

use std::sync::Arc;

use futures_util::stream;
use life_agent_domain::governance::redaction::Redact;
use serde_json::Value;

use crate::delta::{Chunks, chunks_of};
use crate::error::ChatError;
use crate::model::{Model, Pending};
use crate::redacting::Redacted;
use crate::tape::{Exchange, Outcome, Tape};

/// Answers each request with the exchange that was recorded for it; of several, in the order of
/// recording. A recorded failure fails again. Whole answers and streams serve each other.
#[derive(Clone)]
pub struct Replayer {
    tape: Arc<dyn Tape>,
    redactor: Arc<dyn Redact>,
}

impl Replayer {
    /// Plays `tape`; the redactor must be the one that it was recorded with, or digests differ.
    pub fn new(tape: Arc<dyn Tape>, redactor: Arc<dyn Redact>) -> Self {
        Self { tape, redactor }
    }

    fn recorded(&self, body: Value) -> Result<Value, ChatError> {
        let digest = Exchange::digest(&Redacted::of(body, self.redactor.as_ref()));
        match self.tape.lookup(&digest).ok_or(ChatError::NotRecorded)?.outcome {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Error(error) => Err(error),
        }
    }
}

impl Model for Replayer {
    fn chat_raw(&self, body: Value) -> Pending<'_, Value> {
        Box::pin(std::future::ready(self.recorded(body)))
    }

    fn stream_raw(&self, body: Value) -> Pending<'_, Chunks> {
        let chunks = self
            .recorded(body)
            .map(|reply| Box::pin(stream::iter(chunks_of(&reply).map(Ok))) as Chunks);
        Box::pin(std::future::ready(chunks))
    }
}
