//! One request to the running service, without a runtime: a hook must start fast.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use life_agent_hooks::Failure;
use serde_json::Value;

use super::tls::Connection;

/// Seconds for the whole request. Hosts wait for at least 30.
const TIMEOUT: u64 = 20;
/// Largest response, in bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// The JSON of a response with status 200 to a `POST`.
pub(super) fn post(path: &str, body: &[u8]) -> Result<Value, Failure> {
    match request("POST", path, body)? {
        (200, value @ Value::Object(_)) => Ok(value),
        (status, value) => Err(Failure::NoDecision(message(status, &value))),
    }
}

/// What a response other than a success says.
pub(super) fn message(status: u16, value: &Value) -> String {
    format!("status {status}, {}", value["error"]["message"].as_str().unwrap_or("no message"))
}

/// The status and the JSON of a response; `null` for a body that is not JSON.
pub(super) fn request(method: &str, path: &str, body: &[u8]) -> Result<(u16, Value), Failure> {
    let url = std::env::var("LIFE_AGENT_URL").unwrap_or_default();
    let url = if url.is_empty() { DEFAULT_URL } else { url.as_str() };
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let is_secured = match scheme {
        "http" => false,
        "https" => true,
        _ => {
            let why = "LIFE_AGENT_URL must start with http:// or https://";
            return Err(Failure::Unreachable(why.to_owned()));
        }
    };
    let (host, base) = rest.split_once('/').map_or((rest, ""), |(host, base)| (host, base));
    let path = format!(
        "{}{path}",
        if base.is_empty() { String::new() } else { format!("/{}", base.trim_end_matches('/')) }
    );
    let key = std::env::var("LIFE_AGENT_KEY").unwrap_or_default();
    if key.chars().chain(host.chars()).any(|c| c.is_control() || c == ' ') {
        let why = "LIFE_AGENT_URL or LIFE_AGENT_KEY has a blank or a control character";
        return Err(Failure::Unreachable(why.to_owned()));
    }
    let (status, answer) =
        exchange((is_secured, host), (method, &path), &key, body).map_err(|error| {
            match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Timeout(TIMEOUT),
                ErrorKind::InvalidData => Failure::NoDecision(error.to_string()),
                _ => Failure::Unreachable(format!("{scheme}://{host}: {error}")),
            }
        })?;
    Ok((status, serde_json::from_slice(&answer).unwrap_or_default()))
}

fn exchange(
    (is_secured, host): (bool, &str),
    (method, path): (&str, &str),
    key: &str,
    body: &[u8],
) -> std::io::Result<(u16, Vec<u8>)> {
    let until = Instant::now() + Duration::from_secs(TIMEOUT);
    let left = || {
        let left = until.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut);
        left.map(|left| left.max(Duration::from_millis(1)))
    };
    let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let named = match has_port {
        true => host.to_owned(),
        false => format!("{host}:{}", if is_secured { 443 } else { 80 }),
    };
    let address = named.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| Error::new(ErrorKind::NotFound, "no address"))?;
    let stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.set_read_timeout(Some(left()?))?;
    let name = if has_port { named.rsplit_once(':').map_or(host, |(name, _)| name) } else { host };
    let mut stream = match is_secured {
        true => Connection::secured(stream, name)?,
        false => Connection::Plain(stream),
    };
    let authorization =
        if key.is_empty() { String::new() } else { format!("X-API-Key: {key}\r\n") };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n{authorization}\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        stream.socket().set_read_timeout(Some(left()?))?;
        let read = stream.read(&mut piece)?;
        answer.extend(piece.iter().take(read));
        if read == 0 {
            break;
        }
        if answer.len() > MAX_ANSWER {
            return Err(Error::new(ErrorKind::InvalidData, "the response is too large"));
        }
    }
    let invalid = || Error::new(ErrorKind::InvalidData, "the response is not HTTP");
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or_else(invalid)?;
    let head = std::str::from_utf8(answer.get(..end).unwrap_or_default()).map_err(|_| invalid())?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    if chunked {
        return Err(Error::new(ErrorKind::InvalidData, "the response is chunked"));
    }
    Ok((status.ok_or_else(invalid)?, answer.get(end + 4..).unwrap_or_default().to_vec()))
}
