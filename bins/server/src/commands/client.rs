//! Requests to the running service, without a runtime: a hook must start fast.

mod response;

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use life_agent_hooks::Failure;
use serde_json::Value;

pub(super) use response::Response;

use super::tls::Connection;

/// Time for a whole request. Hosts wait for at least 30 s.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Largest response, in bytes.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;
const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// The service to call, and the key to call it with.
pub(super) struct Service {
    is_secured: bool,
    host: String,
    /// The path before every path of the service; empty, or with a leading slash.
    base: String,
    key: String,
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
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let is_secured = match scheme {
            "http" => false,
            "https" => true,
            _ => {
                let why = "LIFE_AGENT_URL must start with http:// or https://";
                return Err(Failure::Unreachable(why.to_owned()));
            }
        };
        let (host, base) = rest.split_once('/').unwrap_or((rest, ""));
        if key.chars().chain(rest.chars()).any(|c| c.is_control() || c == ' ') {
            let why = "LIFE_AGENT_URL or LIFE_AGENT_KEY has a blank or a control character";
            return Err(Failure::Unreachable(why.to_owned()));
        }
        let base = base.trim_end_matches('/');
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        Ok(Self { is_secured, host: host.to_owned(), base, key: key.to_owned() })
    }

    /// The status and the body of a response.
    pub(super) fn request(
        &self,
        (method, path): (&str, &str),
        body: &[u8],
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let exchanged = || -> std::io::Result<(u16, Vec<u8>)> {
            let limit = Limit::Until(Instant::now() + timeout);
            let mut response = self.send((method, path), &[], body, limit)?;
            let mut answer = Vec::new();
            (&mut response.body).take(MAX_ANSWER + 1).read_to_end(&mut answer)?;
            if answer.len() as u64 > MAX_ANSWER {
                return Err(Error::new(ErrorKind::InvalidData, "the response is too large"));
            }
            Ok((response.status, answer))
        };
        exchanged().map_err(|error| self.failure(&error, timeout))
    }

    /// A response whose body is read as it arrives, each part within `silence`.
    pub(super) fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        silence: Duration,
    ) -> Result<Response, Failure> {
        self.send(("GET", path), headers, &[], Limit::Silence(silence))
            .map_err(|error| self.failure(&error, silence))
    }

    fn send(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
        limit: Limit,
    ) -> std::io::Result<Response> {
        let Self { is_secured, host, base, key } = self;
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        let named = match name.len() < host.len() {
            true => host.clone(),
            false => format!("{host}:{}", if *is_secured { 443 } else { 80 }),
        };
        let address = named.to_socket_addrs()?.next();
        let address = address.ok_or_else(|| Error::new(ErrorKind::NotFound, "no address"))?;
        let stream = TcpStream::connect_timeout(&address, limit.left()?)?;
        stream.set_write_timeout(Some(limit.left()?))?;
        stream.set_read_timeout(Some(limit.left()?))?;
        let mut stream = match is_secured {
            true => Connection::secured(stream, name)?,
            false => Connection::Plain(stream),
        };
        let length = body.len();
        let mut head = format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: \
             application/json\r\nContent-Length: {length}\r\n"
        );
        if !key.is_empty() {
            head += &format!("X-API-Key: {key}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        stream.write_all(body)?;
        Response::read(Socket { stream, limit })
    }

    fn failure(&self, error: &Error, timeout: Duration) -> Failure {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Timeout(timeout.as_secs()),
            ErrorKind::InvalidData => Failure::NoDecision(error.to_string()),
            _ => {
                let scheme = if self.is_secured { "https" } else { "http" };
                Failure::Unreachable(format!("{scheme}://{}: {error}", self.host))
            }
        }
    }
}

/// How long reads may take.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// All of them together.
    Until(Instant),
    /// Each of them.
    Silence(Duration),
}

impl Limit {
    fn left(self) -> std::io::Result<Duration> {
        match self {
            Limit::Silence(silence) => Ok(silence),
            Limit::Until(until) => {
                let left = until.checked_duration_since(Instant::now());
                // Zero would mean no limit.
                Ok(left.ok_or(ErrorKind::TimedOut)?.max(Duration::from_millis(1)))
            }
        }
    }
}

/// A connection whose reads are limited in time.
pub(super) struct Socket {
    stream: Connection,
    limit: Limit,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.socket().set_read_timeout(Some(self.limit.left()?))?;
        self.stream.read(buffer)
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
