//! The HTTP side of one attempt at one call.
//!
//! Requests of the service's own go through async-openai, which shapes the request and parses the
//! events. On its own it would retry without a budget, read bodies without a bound, hide the headers
//! of responses and log bodies that it cannot parse, so the service that it gets here sends the
//! request and passes on only responses that it can parse. Requests of callers do not go through it:
//! they are sent byte for byte (see [`crate::forward`]).

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

use crate::deadlines::Deadlines;
use crate::error::{ChatError, Phase};
use crate::events::{Ending, Slot, checked, too_long};
use crate::forward::ForwardRequest;
use crate::limits::Limits;
use crate::redacting::KeyRedactor;
use crate::refusal::{refusal, refusal_in_stream};
use crate::rejection::message_of;
use crate::retry::{Failure, Retry};
use crate::settings::{KeyHeader, Settings};

/// Longest error answer that is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Sends requests to one provider.
pub(crate) struct Transport {
    http: reqwest::Client,
    base_url: String,
    /// The key as `Bearer KEY`.
    bearer: HeaderValue,
    /// The key alone.
    plain: HeaderValue,
    key_header: KeyHeader,
    openai: async_openai::Client<Arc<dyn Config>>,
    max_answer_bytes: usize,
    redactor: Arc<KeyRedactor>,
    limits: Mutex<Option<Limits>>,
}

/// Address and key; async-openai's own settings would read the environment.
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

impl Transport {
    pub(crate) fn new(settings: &Settings, redactor: Arc<KeyRedactor>) -> Result<Self, ChatError> {
        let key = settings.checked_key()?;
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                ChatError::refused("the provider's key holds a character that no key has")
            })?;
            value.set_sensitive(true);
            Ok::<_, ChatError>(value)
        };
        let (bearer, plain) = (secret(&format!("Bearer {key}"))?, secret(key)?);
        let base_url = settings.checked_base_url()?;
        let provider = Provider {
            base_url: base_url.clone(),
            key: key.into(),
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer.clone())]),
        };
        // Whichever of the process's crates comes first installs it; a second attempt changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.timeouts.connect);
        // `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` apply, except to this machine itself.
        if is_loopback(&base_url) {
            http = http.no_proxy();
        }
        if let Some(pem) = &settings.extra_ca {
            let unusable =
                |_| ChatError::refused("the additional CA is not a PEM file of certificates");
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(unusable)?;
            if certificates.is_empty() {
                return Err(ChatError::refused("the additional CA holds no certificate"));
            }
            http = http.tls_certs_merge(certificates);
        }
        let http = http
            .build()
            .map_err(|_| ChatError::refused("this system cannot make TLS connections"))?;
        Ok(Self {
            base_url,
            bearer,
            plain,
            key_header: settings.key_header,
            openai: async_openai::Client::build(http.clone(), Arc::new(provider)),
            http,
            max_answer_bytes: settings.max_answer_bytes,
            redactor,
            limits: Mutex::new(None),
        })
    }

    pub(crate) fn redactor(&self) -> &Arc<KeyRedactor> {
        &self.redactor
    }

    pub(crate) fn max_answer_bytes(&self) -> usize {
        self.max_answer_bytes
    }

    /// The limits in the last response.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.limits.lock().clone()
    }

    /// Reads a whole answer.
    pub(crate) async fn whole(
        self: &Arc<Self>,
        body: &Value,
        deadlines: Deadlines,
    ) -> Result<Value, Failure> {
        let transport = Arc::clone(self);
        let service = tower::service_fn(move |request: HttpRequestFactory| {
            let transport = Arc::clone(&transport);
            async move {
                let mut response = transport.send(request, deadlines).await.map_err(boxed)?;
                let body = transport.body(&mut response, deadlines).await.map_err(boxed)?;
                Ok::<_, OpenAIError>(Response::from(http::Response::new(body)))
            }
        });
        let openai = self.openai.clone().with_http_service(service);
        let raw: Box<RawValue> = openai.chat().create_byot(body).await.map_err(unboxed)?;
        let answer: Value = serde_json::from_str(raw.get()).map_err(|_| not_json(None))?;
        if answer.get("choices").is_some_and(Value::is_array) {
            return Ok(answer);
        }
        let said =
            answer.get("error").and_then(message_of).map(|text| self.redactor.message(&text));
        let what = "the model provider sent JSON that is no chat answer";
        let message = said.map_or_else(|| what.to_owned(), |said| format!("{what}: {said}"));
        Err(Failure::of_provider(ChatError::failed(200, message)))
    }

    /// Reads a stream up to its first chunk: until then a retry does no harm.
    pub(crate) async fn streamed(
        self: &Arc<Self>,
        body: &Value,
        deadlines: Deadlines,
    ) -> Result<(Value, Incoming), Failure> {
        let slot = Slot::default();
        let (transport, ending) = (Arc::clone(self), Arc::clone(&slot));
        let service = tower::service_fn(move |request: HttpRequestFactory| {
            let (transport, ending) = (Arc::clone(&transport), Arc::clone(&ending));
            async move {
                let response = transport.send(request, deadlines).await.map_err(boxed)?;
                if !has_type(&response, "text/event-stream") {
                    return Err(boxed(not_json(Some(&response))));
                }
                let events = checked(response, deadlines, transport.max_answer_bytes, ending);
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
        deadlines: Deadlines,
    ) -> Result<Response, Failure> {
        let unusable =
            |_| Failure::of_request(ChatError::refused("the request cannot be sent as it is"));
        let request = request.build().await.map_err(unusable)?;
        self.execute(request, deadlines).await
    }

    /// Sends a request of a caller as it is.
    pub(crate) async fn send_raw(
        &self,
        request: &ForwardRequest,
        deadlines: Deadlines,
    ) -> Result<Response, Failure> {
        let url = format!("{}{}", self.base_url, request.path);
        let mut builder = match &request.body {
            Some(body) => self.http.post(url).body(body.clone()),
            None => self.http.get(url),
        };
        if request.body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        let messages = request.path.starts_with("/messages");
        if self.key_header == KeyHeader::Bearer {
            builder = builder.header(AUTHORIZATION, self.bearer.clone());
        }
        // Servers that offer Anthropic's API next to OpenAI's expect its header there.
        if messages || self.key_header == KeyHeader::XApiKey {
            builder = builder.header("x-api-key", self.plain.clone());
            if !request.headers.iter().any(|(name, _)| name == "anthropic-version") {
                builder = builder.header("anthropic-version", "2023-06-01");
            }
        }
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let unusable =
            |_| Failure::of_request(ChatError::refused("the request cannot be sent as it is"));
        self.execute(builder.build().map_err(unusable)?, deadlines).await
    }

    async fn execute(
        &self,
        mut request: reqwest::Request,
        deadlines: Deadlines,
    ) -> Result<Response, Failure> {
        crate::propagation::add_to(request.headers_mut());
        let sent = deadlines.first_byte(self.http.execute(request)).await?;
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
            && let Ok(Some(bytes)) = deadlines.read(&mut response).await
        {
            body.extend_from_slice(&bytes);
        }
        Err(refusal(status, &headers, &body, &self.redactor))
    }

    /// The body of a response, within the bound.
    pub(crate) async fn bounded_body(
        &self,
        response: &mut Response,
        deadlines: Deadlines,
    ) -> Result<Vec<u8>, Failure> {
        let max = self.max_answer_bytes;
        if response.content_length().is_some_and(|length| length > max as u64) {
            return Err(Failure::of_request(too_long(max)));
        }
        let mut body = Vec::new();
        let mut next = deadlines.read_first(response).await?;
        while let Some(bytes) = next {
            if body.len() + bytes.len() > max {
                return Err(Failure::of_request(too_long(max)));
            }
            body.extend_from_slice(&bytes);
            next = deadlines.read(response).await?;
        }
        Ok(body)
    }

    /// The body of a success, which is JSON and not too long.
    async fn body(
        &self,
        response: &mut Response,
        deadlines: Deadlines,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = self.bounded_body(response, deadlines).await?;
        if let Ok(text) = std::str::from_utf8(&body)
            && let std::borrow::Cow::Owned(repaired) = crate::raw_json::repair_surrogates(text)
        {
            body = repaired.into_bytes();
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
            return Some(Err(Failure::of_provider(error)));
        };
        if let Some(error) = error_in(&chunk) {
            let failure = refusal_in_stream(&chunk, error, &self.redactor);
            return Some(Err(failure));
        }
        self.finished |= crate::delta::is_last(&chunk);
        Some(Ok(chunk))
    }
}

/// The error of a chunk that says that the stream has failed, as Groq does in `x_groq.error`.
pub(crate) fn error_in(chunk: &Value) -> Option<&Value> {
    let error = chunk.pointer("/x_groq/error").or_else(|| chunk.get("error"))?;
    (!error.is_null()).then_some(error)
}

/// Whether an address is on this machine.
fn is_loopback(base_url: &str) -> bool {
    let host = reqwest::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

pub(crate) fn ended_early() -> Failure {
    let error = ChatError::cut("the model provider ended the stream before the answer was whole");
    Failure::of_provider(error).retry(Retry::Soon)
}

/// The texts are our own, because those of reqwest contain the address.
fn unreachable(error: &reqwest::Error) -> Failure {
    let error = if error.is_connect() && error.is_timeout() {
        ChatError::Timeout { phase: Phase::Connect }
    } else {
        let message = if error.is_connect() {
            "the model provider cannot be reached; check its base URL and the network"
        } else {
            "the connection to the model provider broke before it answered"
        };
        ChatError::Failed { status: None, code: None, message: message.to_owned() }
    };
    Failure::of_provider(error).retry(Retry::Soon)
}

pub(crate) fn has_type(response: &Response, wanted: &str) -> bool {
    let sent = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    sent.is_some_and(|sent| sent.trim_start().to_ascii_lowercase().starts_with(wanted))
}

pub(crate) fn not_json(response: Option<&Response>) -> Failure {
    let html = response.is_some_and(|response| has_type(response, "text/html"));
    let what = if html { "a web page" } else { "something unreadable" };
    let message =
        format!("the model provider sent {what} instead of an answer; check its base URL");
    Failure::of_provider(ChatError::failed(200, message))
}

fn boxed(failure: Failure) -> OpenAIError {
    OpenAIError::Boxed(Box::new(failure))
}

/// The failure inside async-openai's error; none of its own errors should reach this.
fn unboxed(error: OpenAIError) -> Failure {
    let OpenAIError::Boxed(inner) = error else {
        return not_json(None);
    };
    inner.downcast::<Failure>().map_or_else(|_| not_json(None), |failure| *failure)
}
