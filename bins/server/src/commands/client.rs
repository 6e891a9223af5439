//! Requests to the running service. Each client has a small runtime of its own, because a hook must start fast.

use std::error::Error;
use std::io::{self, BufRead, Read};
use std::time::Duration;

use actix_web::web::Bytes;
use life_agent_hooks::Failure;
use reqwest::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Time for a whole request. Hosts wait for at least 30 s.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Largest response, in bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
const DEFAULT_URL: &str = "http://127.0.0.1:8000";
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The service to call, and the key to call it with.
pub(super) struct Service {
    runtime: Runtime,
    client: Client,
    /// The address, without a slash at its end.
    base: String,
    key: Option<HeaderValue>,
}

impl Service {
    /// The service at `LIFE_AGENT_URL`, called with `LIFE_AGENT_KEY`.
    pub(super) fn from_environment() -> Result<Self, Failure> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let (url, key) = (variable("LIFE_AGENT_URL"), variable("LIFE_AGENT_KEY"));
        Self::new(if url.is_empty() { DEFAULT_URL } else { url.as_str() }, &key)
    }

    /// The service at an address, called with a key.
    pub(super) fn new(url: &str, key: &str) -> Result<Self, Failure> {
        let unreachable = |why: String| Failure::Unreachable(why);
        let address = Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        if address.is_none_or(|address| address.query().is_some()) {
            let why = "LIFE_AGENT_URL must be an address that starts with http:// or https://";
            return Err(unreachable(why.to_owned()));
        }
        let mut key = match key {
            "" => None,
            key => Some(HeaderValue::from_str(key).map_err(|_| {
                unreachable("LIFE_AGENT_KEY has a character that no key has".to_owned())
            })?),
        };
        if let Some(key) = &mut key {
            key.set_sensitive(true);
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
        let client = client(url).map_err(|error| unreachable(cause(&error)))?;
        Ok(Self { runtime, client, base: url.trim_end_matches('/').to_owned(), key })
    }

    /// The status and the body of a response.
    pub(super) fn request(
        &self,
        (method, path): (&str, &str),
        body: &[u8],
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| Failure::Unreachable(error.to_string()))?;
        let request = self.prepared(method, path).timeout(timeout);
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_vec());
        self.runtime.block_on(async {
            let failed = |error| failure(&error, timeout);
            let mut response = request.send().await.map_err(failed)?;
            let mut answer = Vec::new();
            while let Some(part) = response.chunk().await.map_err(failed)? {
                if answer.len() + part.len() > MAX_ANSWER {
                    return Err(Failure::NoDecision("the response is too large".to_owned()));
                }
                answer.extend_from_slice(&part);
            }
            Ok((response.status().as_u16(), answer))
        })
    }

    /// A response whose body is read as it arrives, each part within `silence`.
    pub(super) fn stream(
        self,
        path: &str,
        headers: &[(&str, &str)],
        silence: Duration,
    ) -> Result<Stream, Failure> {
        let request = self.prepared(Method::GET, path);
        let request = headers.iter().fold(request, |all, (name, value)| all.header(*name, *value));
        let sent = self.runtime.block_on(async { timeout(silence, request.send()).await });
        let response = sent
            .map_err(|_| Failure::Timeout(silence.as_secs()))?
            .map_err(|error| failure(&error, silence))?;
        Ok(Stream { runtime: self.runtime, response, silence, part: Bytes::new() })
    }

    fn prepared(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        // Most commands send one request.
        let request = request.header(CONNECTION, "close");
        match &self.key {
            Some(key) => request.header(X_API_KEY, key),
            None => request,
        }
    }
}

/// A client for an address. A redirect or a proxy would pass the key on.
fn client(address: &str) -> reqwest::Result<Client> {
    // Whichever part of the process comes first installs it; a second attempt changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    match Url::parse(address).is_ok_and(|address| address.scheme() == "https") {
        true => builder.build(),
        // Reading the system's certificates takes time, and a container may have none.
        false => builder.tls_certs_only([]).build(),
    }
}

fn failure(error: &reqwest::Error, timeout: Duration) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout(timeout.as_secs());
    }
    let place = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    match error.is_body() || error.is_decode() {
        true => Failure::NoDecision(cause(error)),
        false => Failure::Unreachable(format!("{place}: {}", cause(error))),
    }
}

/// The first cause of an error: the outer ones only say that a request failed.
fn cause(error: &reqwest::Error) -> String {
    let mut first: &dyn Error = error;
    while let Some(source) = first.source() {
        first = source;
    }
    first.to_string()
}

/// A response whose body is read as it arrives.
pub(super) struct Stream {
    runtime: Runtime,
    response: reqwest::Response,
    /// The longest wait for a part.
    silence: Duration,
    /// What has arrived and was not read.
    part: Bytes,
}

impl Stream {
    /// The status.
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.part.is_empty() {
            let chunk = async { timeout(self.silence, self.response.chunk()).await };
            let next = self.runtime.block_on(chunk).map_err(|_| io::ErrorKind::TimedOut)?;
            match next.map_err(|error| io::Error::other(cause(&error)))? {
                Some(part) => self.part = part,
                None => break,
            }
        }
        Ok(&self.part)
    }

    fn consume(&mut self, amount: usize) {
        self.part = self.part.split_off(amount.min(self.part.len()));
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// The JSON of a response with status 200 to a `POST`.
pub(super) fn post(path: &str, body: &[u8]) -> Result<Value, Failure> {
    match request("POST", path, body)? {
        (200, value @ Value::Object(_)) => Ok(value),
        (status, value) => {
            let message = value["error"]["message"].as_str().unwrap_or("no message");
            Err(Failure::NoDecision(format!("status {status}, {message}")))
        }
    }
}

/// The status and the JSON of a response; `null` for a body that is not JSON.
pub(super) fn request(method: &str, path: &str, body: &[u8]) -> Result<(u16, Value), Failure> {
    let (status, body) = Service::from_environment()?.request((method, path), body, TIMEOUT)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}
