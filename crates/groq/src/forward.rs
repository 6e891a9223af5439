//! Forwards a caller's request byte for byte and returns the response as it came.
//!
//! The bytes of the request are the bytes that were judged; this module adds the provider's key and
//! nothing else. Silence is bounded, the length of a response in time is not.

use std::collections::VecDeque;
use std::sync::Arc;

use reqwest::Response;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::breaker::{BreakerPermit, CallResult};
use crate::deadlines::Deadlines;
use crate::error::ChatError;
use crate::events::too_long;
use crate::limits::forwarded;
use crate::meters::Call;
use crate::raw_json::repair_surrogates;
use crate::redacting::KeyRedactor;
use crate::refusal::refusal_in_stream;
use crate::rejection::Rejection;
use crate::retry::Failure;
use crate::sse::{Frame, FrameReader};
use crate::transport::{Transport, ended_early, error_in, has_type, not_json};
use crate::wire::Usage;

/// A request that is sent as it is.
#[derive(Debug, Clone, Default)]
pub struct ForwardRequest {
    /// The path below the provider's base URL, with a slash at its start.
    pub path: String,
    /// The body of a `POST`; without one the request is a `GET`.
    pub body: Option<bytes::Bytes>,
    /// Further headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The model that is called, for the breaker and for metrics.
    pub model: String,
}

/// A response as it came, the body of a stream still to be read.
#[derive(Debug)]
pub struct Forwarded {
    /// The HTTP status, which is a success.
    pub status: u16,
    /// The headers that callers may see: limits and retry hints.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ForwardedBody,
}

/// The body of a response.
#[derive(Debug)]
pub enum ForwardedBody {
    /// JSON, complete.
    Whole(Vec<u8>),
    /// Server-sent events, the first of which has arrived.
    Stream(Box<Frames>),
}

/// Why there is no response, or no complete one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct ForwardError {
    /// What happened.
    pub error: ChatError,
    /// What the provider said, if it rejected the request.
    pub rejection: Option<Box<Rejection>>,
}

impl From<ChatError> for ForwardError {
    fn from(error: ChatError) -> Self {
        Self { error, rejection: None }
    }
}

impl From<Failure> for ForwardError {
    fn from(failure: Failure) -> Self {
        Self { error: failure.error, rejection: failure.rejection }
    }
}

/// A response whose headers, and of a stream the first event, have arrived.
pub(crate) struct Opened {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: OpenedBody,
}

pub(crate) enum OpenedBody {
    Whole(Vec<u8>),
    Stream(Box<OpenedStream>),
}

/// A stream that has begun.
pub(crate) struct OpenedStream {
    response: Response,
    reader: FrameReader,
    ready: VecDeque<Frame>,
    deadlines: Deadlines,
    /// Bytes that may still arrive.
    left: usize,
}

impl Transport {
    /// Sends a request and reads the response up to the point from which on a retry could do harm.
    pub(crate) async fn open(
        &self,
        request: &ForwardRequest,
        deadlines: Deadlines,
    ) -> Result<Opened, Failure> {
        let mut response = self.send_raw(request, deadlines).await?;
        let (status, headers) = (response.status().as_u16(), forwarded(response.headers()));
        if has_type(&response, "text/event-stream") {
            let stream = self.open_stream(response, deadlines).await?;
            return Ok(Opened { status, headers, body: OpenedBody::Stream(Box::new(stream)) });
        }
        let body = self.bounded_body(&mut response, deadlines).await?;
        let text = String::from_utf8_lossy(&body);
        let json: Value = serde_json::from_str(&repair_surrogates(&text))
            .map_err(|_| not_json(Some(&response)))?;
        // Some routers send an error under status 200.
        if let Some(error) = error_in(&json)
            && json.get("choices").is_none()
            && json.get("output").is_none()
        {
            return Err(refusal_in_stream(&json, error, self.redactor()));
        }
        Ok(Opened { status, headers, body: OpenedBody::Whole(body) })
    }

    async fn open_stream(
        &self,
        mut response: Response,
        deadlines: Deadlines,
    ) -> Result<OpenedStream, Failure> {
        let (mut reader, mut ready) = (FrameReader::default(), VecDeque::new());
        let mut left = self.max_answer_bytes();
        loop {
            let Some(bytes) = deadlines.read_first(&mut response).await? else {
                ready.extend(reader.finish());
                if ready.iter().all(|frame: &Frame| frame.data.is_empty()) {
                    return Err(ended_early());
                }
                break;
            };
            left = left
                .checked_sub(bytes.len())
                .ok_or_else(|| Failure::of_request(too_long(self.max_answer_bytes())))?;
            ready.extend(reader.push(&bytes));
            if ready.iter().any(|frame| !frame.data.is_empty()) {
                break;
            }
        }
        let first = ready.iter().find(|frame| !frame.data.is_empty());
        for (frame, json) in first
            .into_iter()
            .flat_map(|frame| documents(frame).into_iter().map(move |json| (frame, json)))
        {
            if let Some(error) = error_of(frame, &json) {
                return Err(refusal_in_stream(&json, error, self.redactor()));
            }
        }
        Ok(OpenedStream { response, reader, ready, deadlines, left })
    }
}

/// The error in an event. Some servers name the event `error` and send what others put into that field.
fn error_of<'j>(frame: &Frame, json: &'j Value) -> Option<&'j Value> {
    let named = || (frame.event.as_deref() == Some("error")).then_some(json);
    error_in(json).or_else(named)
}

/// The JSON documents in a frame; text that is no JSON is left out.
fn documents(frame: &Frame) -> Vec<Value> {
    let read = |text: &str| serde_json::from_str(&repair_surrogates(text)).ok();
    frame.payloads().iter().filter_map(|text| read(text)).collect()
}

/// Whether every payload of a frame is JSON or the end mark.
fn is_readable(frame: &Frame) -> bool {
    frame.payloads().iter().all(|text| {
        let json = repair_surrogates(text);
        text.trim() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok()
    })
}

/// The events of a response, as they arrive.
pub struct Frames {
    stream: OpenedStream,
    /// Set while the stream is read.
    guard: Option<StreamGuard>,
    usage: Usage,
    waits_for_token: bool,
    finished: bool,
    ended: bool,
    max: usize,
    redactor: Arc<KeyRedactor>,
}

/// What a stream holds until it ends.
pub(crate) struct StreamGuard {
    pub(crate) permit: BreakerPermit,
    pub(crate) call: Call,
    pub(crate) _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("usage", &self.usage).finish_non_exhaustive()
    }
}

impl Frames {
    pub(crate) fn new(stream: OpenedStream, guard: StreamGuard, transport: &Transport) -> Self {
        Self {
            stream,
            guard: Some(guard),
            usage: Usage::default(),
            waits_for_token: true,
            finished: false,
            ended: false,
            max: transport.max_answer_bytes(),
            redactor: Arc::clone(transport.redactor()),
        }
    }

    /// The next event; `None` once the stream is complete. An error is the last item. Dropping the
    /// stream ends the provider's call.
    pub async fn next(&mut self) -> Option<Result<Frame, ForwardError>> {
        if self.ended {
            return None;
        }
        let read = self.read().await;
        match &read {
            Some(Ok(frame)) => {
                let done = frame.is_done();
                if !is_readable(frame) {
                    let error = ChatError::cut("the model provider sent an event that is not JSON");
                    return Some(Err(self.end(Some(Failure::of_provider(error)))?));
                }
                for json in documents(frame) {
                    if let Some(error) = error_of(frame, &json) {
                        let failure = refusal_in_stream(&json, error, &self.redactor);
                        return Some(Err(self.end(Some(failure))?));
                    }
                    self.note(&json);
                }
                self.finished |= done;
                if done {
                    self.end(None);
                }
            }
            Some(Err(_)) => {}
            None => {
                self.end(None);
            }
        }
        match read {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(failure)) => Some(Err(self.end(Some(failure))?)),
            None => None,
        }
    }

    /// The usage that the events reported so far.
    pub fn usage(&self) -> Option<Usage> {
        Some(self.usage).filter(|usage| *usage != Usage::default())
    }

    async fn read(&mut self) -> Option<Result<Frame, Failure>> {
        loop {
            if let Some(frame) = self.stream.ready.pop_front() {
                return Some(Ok(frame));
            }
            let read = self.stream.deadlines.read(&mut self.stream.response).await;
            match read {
                Ok(Some(bytes)) => {
                    let Some(left) = self.stream.left.checked_sub(bytes.len()) else {
                        return Some(Err(Failure::of_request(too_long(self.max))));
                    };
                    self.stream.left = left;
                    self.stream.ready.extend(self.stream.reader.push(&bytes));
                }
                Ok(None) => match self.stream.reader.finish() {
                    Some(frame) => return Some(Ok(frame)),
                    None if self.finished => return None,
                    None => return Some(Err(ended_early())),
                },
                // Some servers say that the answer is complete and then keep the connection.
                Err(_) if self.finished => return None,
                Err(failure) => return Some(Err(failure)),
            }
        }
    }

    fn note(&mut self, json: &Value) {
        self.finished |= is_last(json);
        if let Some(usage) = Usage::of(json) {
            self.usage = self.usage.merged(usage);
        }
        if self.waits_for_token && (crate::delta::has_token(json) || json.get("delta").is_some()) {
            self.waits_for_token = false;
            if let Some(guard) = &self.guard {
                guard.call.first_token();
            }
        }
    }

    /// Ends the call: reports to the breaker and to the metrics, and frees the place.
    fn end(&mut self, failure: Option<Failure>) -> Option<ForwardError> {
        self.ended = true;
        let usage = self.usage();
        if let Some(StreamGuard { permit, call, .. }) = self.guard.take() {
            let result = failure.as_ref().map_or(CallResult::Success, |failure| failure.result);
            permit.report(result, Instant::now());
            call.end(usage, failure.as_ref().map(|failure| &failure.error));
        }
        failure.map(ForwardError::from)
    }
}

/// Whether a document says that its answer is complete, in any dialect.
fn is_last(json: &Value) -> bool {
    let choices = json.get("choices").and_then(Value::as_array).into_iter().flatten();
    let reason = |choice: &Value| {
        choice.get("finish_reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty())
    };
    let kind = json.get("type").and_then(Value::as_str).unwrap_or_default();
    choices.into_iter().any(reason)
        || matches!(
            kind,
            "message_stop" | "response.completed" | "response.incomplete" | "response.failed"
        )
}
