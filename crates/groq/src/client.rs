//! The live client: bounds, retries and breakers around attempts, and metrics of all of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use life_agent_domain::governance::redaction::Redact;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::breaker::{BreakerPermit, BreakerState, Breakers, CallResult};
use crate::deadlines::Deadlines;
use crate::delta::{Chunks, has_token};
use crate::error::{ChatError, Overload};
use crate::forward::{
    ForwardError, ForwardRequest, Forwarded, ForwardedBody, Frames, OpenedBody, StreamGuard,
};
use crate::limits::Limits;
use crate::meters::{Call, retried};
use crate::model::{Model, Pending};
use crate::redacting::KeyRedactor;
use crate::retry::{Budget, Failure, pause};
use crate::settings::Settings;
use crate::transport::{Incoming, Transport};
use crate::wire::{Usage, check_body};

/// The wait that callers get when all places are taken; it is unknown when a call ends.
const WAIT_WHEN_FULL: Duration = Duration::from_secs(1);

/// Draws a number from 0 to 1 for the pauses between attempts.
pub type Jitter = Box<dyn Fn() -> f64 + Send + Sync>;

/// A client of one provider. Cheap to clone; clones share limits, budget and breaker.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    transport: Arc<Transport>,
    budget: Budget,
    breakers: Arc<Breakers>,
    places: Arc<Semaphore>,
    jitter: Jitter,
    key_prefix: String,
}

/// The state of a client, for `/llm/status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientStatus {
    /// The first characters of the key, the rest masked.
    pub key_prefix: String,
    /// The worst state of the breakers of all models.
    pub breaker: BreakerState,
    /// Calls in flight.
    pub under_way: usize,
    /// The limits in the provider's last response.
    pub limits: Option<Limits>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client; sends nothing yet. `redactor` redacts the provider's words in errors, in
    /// addition to the key.
    pub fn new(settings: Settings, redactor: Arc<dyn Redact>) -> Result<Self, ChatError> {
        Self::with_jitter(settings, redactor, Box::new(rand::random::<f64>))
    }

    /// [`Client::new`] with another source of randomness.
    pub fn with_jitter(
        settings: Settings,
        redactor: Arc<dyn Redact>,
        jitter: Jitter,
    ) -> Result<Self, ChatError> {
        let key = settings.checked_key()?;
        let key_prefix = masked(key);
        let redactor = Arc::new(KeyRedactor::new(key, redactor));
        let breakers = Breakers::new(settings.breaker);
        breakers.show();
        let shared = Shared {
            transport: Arc::new(Transport::new(&settings, redactor)?),
            budget: Budget::new(&settings.retries),
            breakers,
            places: Arc::new(Semaphore::new(settings.max_concurrent.min(Semaphore::MAX_PERMITS))),
            jitter,
            key_prefix,
            settings,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The current state.
    pub fn status(&self) -> ClientStatus {
        let shared = &self.shared;
        ClientStatus {
            key_prefix: shared.key_prefix.clone(),
            breaker: shared.breakers.state(),
            under_way: shared
                .settings
                .max_concurrent
                .saturating_sub(shared.places.available_permits()),
            limits: shared.transport.limits(),
        }
    }

    /// Forwards a request byte for byte. Only silence ends a call, and a retry happens only before
    /// anything of the response has arrived.
    pub async fn forward(&self, request: &ForwardRequest) -> Result<Forwarded, ForwardError> {
        let shared = &self.shared;
        let place = shared.place().await?;
        let call = Call::begin(&request.model, &shared.settings.known_models);
        let deadlines = Deadlines::of_silence(shared.settings.forward_timeouts);
        let attempt = || shared.transport.open(request, deadlines);
        let opened = shared.attempts(&request.model, deadlines, attempt).await;
        let (opened, permit) = opened.map_err(|failure| {
            call.end(None, Some(&failure.error));
            ForwardError::from(failure)
        })?;
        let body = match opened.body {
            OpenedBody::Whole(body) => {
                permit.report(CallResult::Success, Instant::now());
                let json = serde_json::from_slice::<Value>(&body).ok();
                call.end(json.as_ref().and_then(Usage::of), None);
                ForwardedBody::Whole(body)
            }
            OpenedBody::Stream(stream) => {
                let guard = StreamGuard { permit, call, _place: place };
                let frames = Frames::new(*stream, guard, &shared.transport);
                ForwardedBody::Stream(Box::new(frames))
            }
        };
        Ok(Forwarded { status: opened.status, headers: opened.headers, body })
    }
}

impl Model for Client {
    fn chat_raw(&self, mut body: Value) -> Pending<'_, Value> {
        Box::pin(async move {
            check_body(&body, false)?;
            if let Value::Object(fields) = &mut body {
                fields.remove("stream");
                fields.remove("stream_options");
            }
            let shared = &self.shared;
            let _place = shared.place().await?;
            let model = model_of(&body).to_owned();
            let call = Call::begin(&model, &shared.settings.known_models);
            let deadlines = Deadlines::new(shared.settings.timeouts);
            let attempt = || shared.transport.whole(&body, deadlines);
            let answered = shared.attempts(&model, deadlines, attempt).await;
            let answer = answered.map_err(|failure| failure.error).map(|(answer, permit)| {
                permit.report(CallResult::Success, Instant::now());
                answer
            });
            call.end(answer.as_ref().ok().and_then(Usage::of), answer.as_ref().err());
            answer
        })
    }

    fn stream_raw(&self, mut body: Value) -> Pending<'_, Chunks> {
        Box::pin(async move {
            check_body(&body, true)?;
            if let Value::Object(fields) = &mut body {
                fields.insert("stream".to_owned(), Value::Bool(true));
            }
            let shared = &self.shared;
            let place = shared.place().await?;
            let model = model_of(&body).to_owned();
            let call = Call::begin(&model, &shared.settings.known_models);
            let deadlines = Deadlines::new(shared.settings.timeouts);
            let attempt = || shared.transport.streamed(&body, deadlines);
            let opened = shared.attempts(&model, deadlines, attempt).await;
            let ((first, incoming), permit) = opened.map_err(|failure| {
                call.end(None, Some(&failure.error));
                failure.error
            })?;
            let answer = Answer {
                first: Some(first),
                incoming,
                permit,
                call,
                usage: None,
                waits_for_token: true,
                _place: place,
            };
            let chunks = stream::unfold(Some(answer), |answer| async move { answer?.next().await });
            Ok(Box::pin(chunks) as Chunks)
        })
    }
}

impl Shared {
    /// Takes a place among the calls in flight; if all are taken, waits for one for a short time.
    async fn place(&self) -> Result<OwnedSemaphorePermit, ChatError> {
        let places = &self.places;
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(place);
        }
        let full = ChatError::Overloaded { cause: Overload::Calls, retry_after: WAIT_WHEN_FULL };
        let wait = self.settings.queue_wait;
        match tokio::time::timeout(wait, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(full),
        }
    }

    /// Attempts until one succeeds or another one cannot help. The permit of the successful attempt
    /// is still to be reported.
    async fn attempts<T, A>(
        &self,
        model: &str,
        deadlines: Deadlines,
        attempt: impl Fn() -> A,
    ) -> Result<(T, BreakerPermit), Failure>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let retries = &self.settings.retries;
        self.budget.deposit();
        let (mut nth, mut last) = (0, None);
        loop {
            let permit = match self.breakers.admit(model, Instant::now()) {
                Ok(permit) => permit,
                Err(retry_after) => {
                    let open = ChatError::Overloaded { cause: Overload::Breaker, retry_after };
                    return Err(last.unwrap_or_else(|| Failure::of_request(open)));
                }
            };
            let failure = match attempt().await {
                Ok(answer) => return Ok((answer, permit)),
                Err(failure) => failure,
            };
            permit.report(failure.result, Instant::now());
            let wait = pause(retries, failure.retry, nth, (self.jitter)())
                .filter(|wait| nth + 1 < retries.attempts && deadlines.allows(*wait))
                .filter(|_| self.budget.withdraw());
            let Some(wait) = wait else { return Err(failure) };
            tracing::debug!(error = failure.error.label(), ?wait, "retrying the call to the model");
            retried();
            tokio::time::sleep(wait).await;
            last = Some(failure);
            nth += 1;
        }
    }
}

/// A stream of the service's own. It keeps its place among the calls in flight until it ends.
struct Answer {
    first: Option<Value>,
    incoming: Incoming,
    permit: BreakerPermit,
    call: Call,
    usage: Option<Usage>,
    waits_for_token: bool,
    _place: OwnedSemaphorePermit,
}

impl Answer {
    async fn next(mut self) -> Option<(Result<Value, ChatError>, Option<Self>)> {
        let next = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.incoming.next().await,
        };
        match next {
            Some(Ok(chunk)) => {
                if self.waits_for_token && has_token(&chunk) {
                    self.waits_for_token = false;
                    self.call.first_token();
                }
                self.usage = Usage::of(&chunk).or(self.usage);
                Some((Ok(chunk), Some(self)))
            }
            Some(Err(failure)) => {
                self.permit.report(failure.result, Instant::now());
                self.call.end(self.usage, Some(&failure.error));
                Some((Err(failure.error), None))
            }
            None => {
                self.permit.report(CallResult::Success, Instant::now());
                self.call.end(self.usage, None);
                None
            }
        }
    }
}

fn model_of(body: &Value) -> &str {
    body.get("model").and_then(Value::as_str).unwrap_or_default()
}

/// The first four characters of a key that is long enough to spare them.
fn masked(key: &str) -> String {
    let shown = if key.len() >= 16 { key.get(..4).unwrap_or_default() } else { "" };
    format!("{shown}…")
}
