//! Recording: what was asked and what came of it, redacted, so that it can be played back.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use life_agent_domain::redact::Redact;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delta::{Assembly, Chunks};
use crate::error::ChatError;
use crate::model::{Model, Pending};
use crate::redacting::Clean;

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
        let request = Clean::of(request, redactor);
        let digest = Self::digest(&request);
        let mut request = request.into_value();
        if let Value::Object(fields) = &mut request {
            STREAMING.iter().for_each(|name| drop(fields.remove(*name)));
        }
        let outcome = match outcome {
            Ok(reply) => Outcome::Reply(Clean::of(reply, redactor).into_value()),
            Err(error) => Outcome::Error(error),
        };
        Self { digest, request, outcome }
    }

    /// The digest under which a request is kept: over its redacted form, so that it tells nothing
    /// about a secret and stays the same when a recorded request is asked again. BLAKE3 in its
    /// key-derivation mode over the JSON without white space, keys sorted by their bytes.
    pub fn digest(request: &Clean) -> String {
        let mut json = String::new();
        match &**request {
            Value::Object(fields) => {
                let kept = fields.iter().filter(|(name, _)| !STREAMING.contains(&name.as_str()));
                sorted_object(kept, &mut json);
            }
            other => sorted(other, &mut json),
        }
        let mut hasher = blake3::Hasher::new_derive_key("life-agent 2026 model exchange v1");
        hasher.update(json.as_bytes());
        hasher.finalize().to_hex().to_string()
    }
}

/// What says how an answer is sent, not which.
const STREAMING: [&str; 2] = ["stream", "stream_options"];

/// Writes JSON with sorted keys, whatever order serde_json is built to keep.
fn sorted(value: &Value, json: &mut String) {
    match value {
        Value::Array(items) => listed('[', items, ']', json, sorted),
        Value::Object(fields) => sorted_object(fields.iter(), json),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => leaf(value, json),
    }
}

fn sorted_object<'v>(fields: impl Iterator<Item = (&'v String, &'v Value)>, json: &mut String) {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    listed('{', fields, '}', json, |(name, value), json| {
        leaf(name, json);
        json.push(':');
        sorted(value, json);
    });
}

fn listed<T>(
    open: char,
    items: impl IntoIterator<Item = T>,
    close: char,
    json: &mut String,
    write: impl Fn(T, &mut String),
) {
    json.push(open);
    for (nth, item) in items.into_iter().enumerate() {
        if nth > 0 {
            json.push(',');
        }
        write(item, json);
    }
    json.push(close);
}

/// JSON that holds no other.
fn leaf(value: &(impl Serialize + ?Sized), json: &mut String) {
    json.push_str(&serde_json::to_string(value).unwrap_or_default());
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
