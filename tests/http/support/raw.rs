//! A raw socket, for requests that no regular client sends.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::Answer;

/// The longest wait for bytes, beyond the 10 s timeout of an incomplete body.
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

    /// A connection with a small receive buffer.
    pub(crate) async fn narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        Self { stream: socket.connect(addr).await.unwrap(), received: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may respond and close the connection before everything is sent.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// One response with its body; `None` if the connection closes without a response.
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
            // Everything up to the close; chunked streams have another reader.
            None => {
                while self.fill().await > 0 {}
                self.received.len()
            }
        };
        let body = self.received[body_start..end].to_vec();
        self.received.drain(..end);
        Some(Answer { request: "raw bytes".to_owned(), status, headers, body })
    }

    /// Everything up to and including `until`; panics if the connection ends before.
    pub(crate) async fn read_until(&mut self, until: &str) -> String {
        let mut searched = 0;
        while find(&self.received[searched..], until.as_bytes()).is_none() {
            // The text may start in the buffered bytes.
            searched = self.received.len().saturating_sub(until.len());
            assert!(self.fill().await > 0, "`{until}` never came");
        }
        self.text()
    }

    /// Discards the buffered bytes.
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
        // A reset also ends the connection.
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
