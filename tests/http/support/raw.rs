//! A bare socket, for what no well-behaved client would send.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::Answer;

/// Longest wait for bytes: longer than the 10 s after which an incomplete body is given up.
const DEADLINE: Duration = Duration::from_secs(20);

/// An open connection.
pub(crate) struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RawConnection {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), received: Vec::new() }
    }

    /// A connection whose kernel takes in only so much before its reader reads.
    pub(crate) async fn narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        Self { stream: socket.connect(addr).await.unwrap(), received: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server may answer and hang up before everything is sent; what it answered counts.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// One answer with its body; none if the connection is closed without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            match find(&self.received, b"\r\n\r\n") {
                Some(end) => break end,
                None if self.fill().await == 0 => {
                    assert!(self.received.is_empty(), "half an answer: {:?}", self.text());
                    return None;
                }
                None => {}
            }
        };
        let head = String::from_utf8(self.received[..head_end].to_vec()).unwrap();
        let (status, headers) = parse_head(&head);
        let length: Option<usize> =
            headers.get("content-length").map(|v| v.to_str().unwrap().parse().unwrap());
        let body_start = head_end + 4;
        let end = match length {
            Some(length) => {
                while self.received.len() < body_start + length {
                    assert!(self.fill().await > 0, "the body breaks off: {:?}", self.text());
                }
                body_start + length
            }
            // Chunked streams have a reader of their own; here, everything up to the close counts.
            None => {
                while self.fill().await > 0 {}
                self.received.len()
            }
        };
        let body = self.received[body_start..end].to_vec();
        self.received.drain(..end);
        Some(Answer { request: "raw bytes".to_owned(), status, headers, body })
    }

    /// Everything that comes until `until` has come; panics when the connection ends before.
    pub(crate) async fn read_until(&mut self, until: &str) -> String {
        let mut searched = 0;
        while find(&self.received[searched..], until.as_bytes()).is_none() {
            // The text may begin in what is here already.
            searched = self.received.len().saturating_sub(until.len());
            assert!(self.fill().await > 0, "`{until}` never came");
        }
        self.text()
    }

    /// Throws away what has been read so far.
    pub(crate) fn forget_received(&mut self) {
        self.received.clear();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    async fn fill(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.received);
        let read =
            tokio::time::timeout(DEADLINE, read).await.expect("no bytes before the deadline");
        // A reset is an end as well.
        read.unwrap_or(0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value.trim()).unwrap())
    };
    (status.parse().unwrap(), lines.map(header).collect())
}
