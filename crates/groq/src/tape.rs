//! Recording: what was asked and what came of it, redacted, so that it can be played back.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use life_agent_domain::governance::redaction::Redact;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::delta::{Assembly, Chunks};
use crate::error::ChatError;
use crate::model::{Model, Pending};
use crate::redacting::Redacted;

/// One request and what came of it, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// BLAKE3 of the redacted request, in hex; see [`Exchange::digest`].
    pub digest: String,
    /// The redacted request, without `stream` and `stream_options`: streamed or not, the same
    /// request has the same answer.
    pub request: Value,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The redacted answer, whole. That of a stream is put together from its chunks, so that a
    /// secret that was split over two of them is found.
    Reply(Value),
    /// It failed; what a stream brought before that is not kept.
    Error(ChatError),
}

impl Exchange {
    /// An exchange, redacted.
    pub fn new(request: Value, outcome: Result<Value, ChatError>, redactor: &dyn Redact) -> Self {
        let request = Redacted::of(request, redactor);
        let digest = Self::digest(&request);
        let mut request = request.into_value();
        if let Value::Object(fields) = &mut request {
            STREAMING.iter().for_each(|name| drop(fields.remove(*name)));
        }
        let outcome = match outcome {
            Ok(reply) => Outcome::Reply(Redacted::of(reply, redactor).into_value()),
            Err(error) => Outcome::Error(error),
        };
        Self { digest, request, outcome }
    }

    /// The digest under which a request is kept: over its redacted form, so that it tells nothing
    /// about a secret and stays the same when a recorded request is asked again. BLAKE3 in its
    /// key-derivation mode over the JSON without white space, keys sorted by their bytes.
    pub fn digest(request: &Redacted) -> String {
        let json = match &**request {
            Value::Object(fields) => {
                let kept = fields.iter().filter(|(name, _)| !STREAMING.contains(&name.as_str()));
                serde_json::to_vec(&sorted(kept))
            }
            other => serde_json::to_vec(&Sorted(other)),
        };
        let mut hasher = blake3::Hasher::new_derive_key("life-agent 2026 model exchange v1");
        // A value always has its JSON.
        hasher.update(&json.unwrap_or_default());
        hasher.finalize().to_hex().to_string()
    }
}

/// What says how an answer is sent, not which.
const STREAMING: [&str; 2] = ["stream", "stream_options"];

/// A value that is written with sorted keys, whatever order serde_json is built to keep.
struct Sorted<'v>(&'v Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => to.collect_seq(items.iter().map(Sorted)),
            Value::Object(fields) => sorted(fields.iter()).serialize(to),
            leaf => leaf.serialize(to),
        }
    }
}

fn sorted<'v>(
    fields: impl Iterator<Item = (&'v String, &'v Value)>,
) -> BTreeMap<&'v String, Sorted<'v>> {
    fields.map(|(name, value)| (name, Sorted(value))).collect()
}

/// Where exchanges are kept.
pub trait Tape: Send + Sync {
    /// Keeps one.
    fn record(&self, exchange: Exchange);
    /// The oldest with this digest that has not been handed out yet.
    fn lookup(&self, digest: &str) -> Option<Exchange>;
}

/// A tape in memory.
#[derive(Debug, Default)]
pub struct MemoryTape {
    exchanges: Mutex<Vec<Exchange>>,
}

impl MemoryTape {
    /// A tape that holds these, in this order.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Self { exchanges: Mutex::new(exchanges) }
    }

    /// Takes everything that is on it.
    pub fn drain(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.exchanges.lock())
    }
}

impl Tape for MemoryTape {
    fn record(&self, exchange: Exchange) {
        self.exchanges.lock().push(exchange);
    }

    fn lookup(&self, digest: &str) -> Option<Exchange> {
        let mut exchanges = self.exchanges.lock();
        let nth = exchanges.iter().position(|exchange| exchange.digest == digest)?;
        Some(exchanges.remove(nth))
    }
}

/// A model that records what another one answers. A stream is recorded when it ends; one that its
/// reader leaves is not.
#[derive(Clone)]
pub struct Recorder {
    model: Arc<dyn Model>,
    tape: Arc<dyn Tape>,
    redactor: Arc<dyn Redact>,
}

impl Recorder {
    /// Records `model` on `tape`.
    pub fn new(model: Arc<dyn Model>, tape: Arc<dyn Tape>, redactor: Arc<dyn Redact>) -> Self {
        Self { model, tape, redactor }
    }

    fn keep(&self, request: Value, outcome: Result<Value, ChatError>) {
        self.tape.record(Exchange::new(request, outcome, self.redactor.as_ref()));
    }
}

impl Model for Recorder {
    fn chat_raw(&self, body: Value) -> Pending<'_, Value> {
        Box::pin(async move {
            let outcome = self.model.chat_raw(body.clone()).await;
            self.keep(body, outcome.clone());
            outcome
        })
    }

    fn stream_raw(&self, body: Value) -> Pending<'_, Chunks> {
        Box::pin(async move {
            let opened = self.model.stream_raw(body.clone()).await;
            let chunks = opened.inspect_err(|error| self.keep(body.clone(), Err(error.clone())))?;
            let start = Some((chunks, Assembly::default(), self.clone(), body));
            let recorded = stream::unfold(start, |state| async move {
                let (mut chunks, mut assembly, recorder, body) = state?;
                match chunks.next().await {
                    Some(Ok(chunk)) => {
                        assembly.push(&chunk);
                        Some((Ok(chunk), Some((chunks, assembly, recorder, body))))
                    }
                    Some(Err(error)) => {
                        recorder.keep(body, Err(error.clone()));
                        Some((Err(error), None))
                    }
                    None => {
                        recorder.keep(body, Ok(assembly.into_reply()));
                        None
                    }
                }
            });
            Ok(Box::pin(recorded) as Chunks)
        })
    }
}
