//! One attempt at one call, through async-openai with a transport of ours below it.
//!
//! async-openai shapes the request and parses the events. Left to itself it would also try again
//! without a budget, read bodies without a bound, hide the answer's head and log bodies that it
//! cannot read; the service that it is given here does the sending instead and hands it only what it
//! will understand.

use std::sync::Arc;

use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures_util::StreamExt;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use parking_lot::Mutex;
use reqwest::Response;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{ChatError, Phase};
use crate::events::{Ending, Slot, checked, too_long};
use crate::limits::Limits;
use crate::patience::Patience;
use crate::redacting::KeyRedactor;
use crate::refusal::{message_of, refusal};
use crate::retry::{Again, Failure};
use crate::settings::Settings;

/// Longest error answer that is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The way to the provider.
pub(crate) struct Line {
    http: reqwest::Client,
    openai: async_openai::Client<Arc<dyn Config>>,
    max_answer_bytes: usize,
    redactor: Arc<KeyRedactor>,
    limits: Mutex<Option<Limits>>,
}

/// Address and key; async-openai's own settings would look into the environment.
struct Provider {
    base_url: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Config for Provider {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }
    fn api_base(&self) -> &str {
        &self.base_url
    }
    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

impl Line {
    pub(crate) fn new(settings: &Settings, redactor: Arc<KeyRedactor>) -> Result<Self, ChatError> {
        let key = settings.checked_key()?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| ChatError::refused("`GROQ_API_KEY` holds a character that no key has"))?;
        bearer.set_sensitive(true);
        let provider = Provider {
            base_url: settings.checked_base_url()?,
            key: key.into(),
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
        };
        // Whichever of the process's crates comes first installs it; a second attempt changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.timeouts.connect)
            .build()
            .map_err(|_| ChatError::refused("this system cannot make TLS connections"))?;
        Ok(Self {
            openai: async_openai::Client::build(http.clone(), Arc::new(provider)),
            http,
            max_answer_bytes: settings.max_answer_bytes,
            redactor,
            limits: Mutex::new(None),
        })
    }

    /// The limits that the last answer told.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.limits.lock().clone()
    }

    /// A whole answer.
    pub(crate) async fn whole(
        self: &Arc<Self>,
        body: &Value,
        patience: Patience,
    ) -> Result<Value, Failure> {
        let line = Arc::clone(self);
        let service = tower::service_fn(move |request: HttpRequestFactory| {
            let line = Arc::clone(&line);
            async move {
                let mut response = line.send(request, patience).await.map_err(boxed)?;
                let body = line.body(&mut response, patience).await.map_err(boxed)?;
                Ok::<_, OpenAIError>(Response::from(http::Response::new(body)))
            }
        });
        let openai = self.openai.clone().with_http_service(service);
        let raw: Box<RawValue> = openai.chat().create_byot(body).await.map_err(unboxed)?;
        let answer: Value = serde_json::from_str(raw.get()).map_err(|_| not_json(None))?;
        if answer.get("choices").is_some_and(Value::is_array) {
            return Ok(answer);
        }
        let said = answer.get("error").and_then(message_of).map(|text| self.redactor.message(text));
        let what = "the model provider sent JSON that is no chat answer";
        let message = said.map_or_else(|| what.to_owned(), |said| format!("{what}: {said}"));
        Err(Failure::ill(ChatError::failed(200, message)))
    }

    /// An answer in pieces, the first of which has come: until then another attempt does no harm.
    pub(crate) async fn streamed(
        self: &Arc<Self>,
        body: &Value,
        patience: Patience,
    ) -> Result<(Value, Incoming), Failure> {
        let slot = Slot::default();
        let (line, ending) = (Arc::clone(self), Arc::clone(&slot));
        let service = tower::service_fn(move |request: HttpRequestFactory| {
            let (line, ending) = (Arc::clone(&line), Arc::clone(&ending));
            async move {
                let response = line.send(request, patience).await.map_err(boxed)?;
                if !has_type(&response, "text/event-stream") {
                    return Err(boxed(not_json(Some(&response))));
                }
                let events = checked(response, patience, line.max_answer_bytes, ending);
                let body = reqwest::Body::wrap_stream(events);
                Ok::<_, OpenAIError>(Response::from(http::Response::new(body)))
            }
        });
        let openai = self.openai.clone().with_http_service(service);
        let events = openai.chat().create_stream_byot(body).await.map_err(unboxed)?;
        let redactor = Arc::clone(&self.redactor);
        let mut incoming = Incoming { events, slot, redactor, finished: false };
        match incoming.next().await {
            Some(first) => Ok((first?, incoming)),
            None => Err(ended_early()),
        }
    }

    async fn send(
        &self,
        request: HttpRequestFactory,
        patience: Patience,
    ) -> Result<Response, Failure> {
        let unusable =
            |_| Failure::unwanted(ChatError::refused("the request cannot be sent as it is"));
        let request = request.build().await.map_err(unusable)?;
        let sent = patience.first_byte(self.http.execute(request)).await?;
        let mut response = sent.map_err(|error| unreachable(&error))?;
        if let Some(limits) = Limits::from_headers(response.headers()) {
            *self.limits.lock() = Some(limits);
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BYTES
            && let Ok(Some(bytes)) = patience.read(&mut response).await
        {
            body.extend_from_slice(&bytes);
        }
        Err(refusal(status, &headers, &body, &self.redactor))
    }

    /// The body of a success, which is JSON and not too long.
    async fn body(&self, response: &mut Response, patience: Patience) -> Result<Vec<u8>, Failure> {
        let max = self.max_answer_bytes;
        if response.content_length().is_some_and(|length| length > max as u64) {
            return Err(Failure::ill(too_long(max)));
        }
        let mut body = Vec::new();
        while let Some(bytes) = patience.read(response).await? {
            if body.len() + bytes.len() > max {
                return Err(Failure::ill(too_long(max)));
            }
            body.extend_from_slice(&bytes);
        }
        // The same check that async-openai makes, which would log the body if it failed there.
        match serde_json::from_slice::<&RawValue>(&body) {
            Ok(_) => Ok(body),
            Err(_) => Err(not_json(Some(response))),
        }
    }
}

/// The rest of an answer in pieces.
pub(crate) struct Incoming {
    events: futures_util::stream::BoxStream<'static, Result<Box<RawValue>, OpenAIError>>,
    slot: Slot,
    redactor: Arc<KeyRedactor>,
    finished: bool,
}

impl Incoming {
    /// The next chunk; `None` once the answer is whole.
    pub(crate) async fn next(&mut self) -> Option<Result<Value, Failure>> {
        let Some(event) = self.events.next().await else {
            return match self.slot.lock().take() {
                // Some servers send no end mark, but all say why they stopped.
                Some(Ending::Unmarked) if !self.finished => Some(Err(ended_early())),
                Some(Ending::Failed(failure)) => Some(Err(failure)),
                None | Some(Ending::Unmarked) => None,
            };
        };
        let chunk = event.ok().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        let Some(chunk) = chunk else {
            let error = ChatError::cut("the model provider sent an event that cannot be read");
            return Some(Err(Failure::ill(error)));
        };
        if let Some(said) = error_in(&chunk) {
            let error = ChatError::cut(self.redactor.message(said));
            return Some(Err(Failure::ill(error).again(Again::Soon)));
        }
        self.finished |= crate::delta::is_last(&chunk);
        Some(Ok(chunk))
    }
}

/// The words of a chunk that says that the stream has failed, as Groq does in `x_groq.error`.
fn error_in(chunk: &Value) -> Option<&str> {
    let error = chunk.pointer("/x_groq/error").or_else(|| chunk.get("error"))?;
    (!error.is_null()).then(|| message_of(error).unwrap_or("the model provider gave up"))
}

fn ended_early() -> Failure {
    let error = ChatError::cut("the model provider ended the stream before the answer was whole");
    Failure::ill(error).again(Again::Soon)
}

/// Texts are ours: reqwest's name the address.
fn unreachable(error: &reqwest::Error) -> Failure {
    let error = if error.is_connect() && error.is_timeout() {
        ChatError::Timeout { phase: Phase::Connect }
    } else {
        let message = if error.is_connect() {
            "the model provider cannot be reached; check `GROQ_BASE_URL` and the network"
        } else {
            "the connection to the model provider broke before it answered"
        };
        ChatError::Failed { status: None, code: None, message: message.to_owned() }
    };
    Failure::ill(error).again(Again::Soon)
}

fn has_type(response: &Response, wanted: &str) -> bool {
    let sent = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    sent.is_some_and(|sent| sent.trim_start().to_ascii_lowercase().starts_with(wanted))
}

fn not_json(response: Option<&Response>) -> Failure {
    let html = response.is_some_and(|response| has_type(response, "text/html"));
    let what = if html { "a web page" } else { "something unreadable" };
    let message =
        format!("the model provider sent {what} instead of an answer; check `GROQ_BASE_URL`");
    Failure::ill(ChatError::failed(200, message))
}

fn boxed(failure: Failure) -> OpenAIError {
    OpenAIError::Boxed(Box::new(failure))
}

/// Our failure back out of async-openai's error; none of its own should get here.
fn unboxed(error: OpenAIError) -> Failure {
    let OpenAIError::Boxed(inner) = error else {
        return not_json(None);
    };
    inner.downcast::<Failure>().map_or_else(|_| not_json(None), |failure| *failure)
}
