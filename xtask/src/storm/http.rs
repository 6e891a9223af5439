//! Requests over a connection of their own, so that a killed server costs one request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// The key with every right.
pub(super) const KEY: &str = "storm-key-with-every-right-0001";
/// The key that decides about approvals of the first.
pub(super) const REVIEWER: &str = "storm-key-of-the-reviewer-0002";

/// Longer than any outage that the service allows itself.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A complete response.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) key: &'a str,
    /// `Idempotency-Key` and `X-Request-Id`
    pub(super) once: Option<&'a str>,
    /// `Prefer: respond-async`
    pub(super) queued: bool,
    pub(super) body: Option<&'a Value>,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, key: KEY, once: None, queued: false, body: None }
    }

    pub(super) fn post(path: &'a str, body: &'a Value) -> Self {
        Self { method: "POST", path, key: KEY, once: None, queued: false, body: Some(body) }
    }

    pub(super) fn send(&self, to: SocketAddr) -> anyhow::Result<Response> {
        let mut stream = connect(to)?;
        let body = self.body.map(Value::to_string).unwrap_or_default();
        let once = self
            .once
            .map(|key| format!("Idempotency-Key: {key}\r\nX-Request-Id: {key}\r\n"))
            .unwrap_or_default();
        let prefer = if self.queued { "Prefer: respond-async\r\n" } else { "" };
        write!(
            stream,
            "{} {} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Type: application/json\r\n{once}{prefer}\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.method,
            self.path,
            self.key,
            body.len()
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no body")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        // A connection that is cut in the middle leaves no JSON.
        Ok(Response { status: status.context("no status")?, body: serde_json::from_str(body)? })
    }
}

/// The body of a successful read.
pub(super) fn request(to: SocketAddr, path: &str) -> anyhow::Result<Value> {
    let answer = Request::get(path).send(to)?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

/// The events after a row, line by line, until `each` returns false or the connection ends.
pub(super) fn events(
    to: SocketAddr,
    after: u64,
    mut each: impl FnMut(&str) -> bool,
) -> anyhow::Result<()> {
    let mut stream = connect(to)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    write!(
        stream,
        "GET /events HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nLast-Event-ID: {after}\r\n\r\n"
    )?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    loop {
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                if !each(line.trim_end()) {
                    return Ok(());
                }
                line.clear();
            }
            // Half a line stays until the rest comes.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if !each("") {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
