//! The live client: bounds, retries and the breaker around attempts, and figures of all of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use life_agent_domain::governance::redaction::Redact;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::attempt::{Incoming, Line};
use crate::breaker::{Breaker, BreakerState, Health, Pass};
use crate::delta::{Chunks, has_token};
use crate::error::{ChatError, Overload};
use crate::limits::Limits;
use crate::meters::{Call, retried};
use crate::model::{Model, Pending};
use crate::patience::Patience;
use crate::redacting::KeyRedactor;
use crate::retry::{Budget, Failure, pause};
use crate::settings::Settings;
use crate::wire::{Usage, check_body};

/// How long to wait when as many calls as allowed are under way; nobody knows when one ends.
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
    line: Arc<Line>,
    budget: Budget,
    breaker: Arc<Breaker>,
    places: Arc<Semaphore>,
    jitter: Jitter,
    key_prefix: String,
}

/// How the client fares, for `/llm/status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientStatus {
    /// The first characters of the key, the rest masked.
    pub key_prefix: String,
    /// Whether the provider is left alone for now.
    pub breaker: BreakerState,
    /// Calls under way.
    pub under_way: usize,
    /// The limits that the provider told with its last answer.
    pub limits: Option<Limits>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client, without asking the provider anything yet. `redactor` cleans whatever of the
    /// provider's words gets into an error; the key is always taken out.
    pub fn new(settings: Settings, redactor: Arc<dyn Redact>) -> Result<Self, ChatError> {
        Self::with_jitter(settings, redactor, Box::new(rand::random::<f64>))
    }

    /// [`Client::new`] with the source of randomness handed in.
    pub fn with_jitter(
        settings: Settings,
        redactor: Arc<dyn Redact>,
        jitter: Jitter,
    ) -> Result<Self, ChatError> {
        let key = settings.checked_key()?;
        let key_prefix = masked(key);
        let redactor = Arc::new(KeyRedactor::new(key, redactor));
        let breaker = Arc::new(Breaker::new(settings.breaker));
        breaker.show();
        let shared = Shared {
            line: Arc::new(Line::new(&settings, redactor)?),
            budget: Budget::new(&settings.retries),
            breaker,
            places: Arc::new(Semaphore::new(settings.max_concurrent.min(Semaphore::MAX_PERMITS))),
            jitter,
            key_prefix,
            settings,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How it fares.
    pub fn status(&self) -> ClientStatus {
        let shared = &self.shared;
        ClientStatus {
            key_prefix: shared.key_prefix.clone(),
            breaker: shared.breaker.state(),
            under_way: shared
                .settings
                .max_concurrent
                .saturating_sub(shared.places.available_permits()),
            limits: shared.line.limits(),
        }
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
            let _place = shared.place()?;
            let call = Call::begin(&body, &shared.settings.known_models);
            let patience = Patience::new(shared.settings.timeouts);
            let answered = shared.attempts(patience, || shared.line.whole(&body, patience)).await;
            let answer = answered.map(|(answer, pass)| {
                pass.report(Health::Well, Instant::now());
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
            let place = shared.place()?;
            let call = Call::begin(&body, &shared.settings.known_models);
            let patience = Patience::new(shared.settings.timeouts);
            let opened = shared.attempts(patience, || shared.line.streamed(&body, patience)).await;
            let ((first, incoming), pass) =
                opened.inspect_err(|error| call.end(None, Some(error)))?;
            let answer = Answer {
                first: Some(first),
                incoming,
                pass,
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
    fn place(&self) -> Result<OwnedSemaphorePermit, ChatError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| ChatError::Overloaded {
            cause: Overload::Calls,
            retry_after: WAIT_WHEN_FULL,
        })
    }

    /// Attempts until one goes well or nothing speaks for another; the pass of the one that did is
    /// still to be reported.
    async fn attempts<T, A>(
        &self,
        patience: Patience,
        attempt: impl Fn() -> A,
    ) -> Result<(T, Pass), ChatError>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let retries = &self.settings.retries;
        self.budget.deposit();
        let (mut nth, mut last) = (0, None);
        loop {
            let pass = match self.breaker.admit(Instant::now()) {
                Ok(pass) => pass,
                Err(retry_after) => {
                    let open = ChatError::Overloaded { cause: Overload::Breaker, retry_after };
                    return Err(last.unwrap_or(open));
                }
            };
            let failure = match attempt().await {
                Ok(answer) => return Ok((answer, pass)),
                Err(failure) => failure,
            };
            pass.report(failure.health, Instant::now());
            let wait = pause(retries, failure.again, nth, (self.jitter)())
                .filter(|wait| nth + 1 < retries.attempts && patience.allows(*wait))
                .filter(|_| self.budget.withdraw());
            let Some(wait) = wait else { return Err(failure.error) };
            tracing::debug!(error = failure.error.label(), ?wait, "the model is asked again");
            retried();
            tokio::time::sleep(wait).await;
            last = Some(failure.error);
            nth += 1;
        }
    }
}

/// An answer that is being streamed. Holds its place among the calls under way to its end.
struct Answer {
    first: Option<Value>,
    incoming: Incoming,
    pass: Pass,
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
                self.pass.report(failure.health, Instant::now());
                self.call.end(self.usage, Some(&failure.error));
                Some((Err(failure.error), None))
            }
            None => {
                self.pass.report(Health::Well, Instant::now());
                self.call.end(self.usage, None);
                None
            }
        }
    }
}

/// The first four characters of a key that is long enough to spare them.
fn masked(key: &str) -> String {
    let shown = if key.len() >= 16 { key.get(..4).unwrap_or_default() } else { "" };
    format!("{shown}…")
}
