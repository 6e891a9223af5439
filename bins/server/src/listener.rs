//! Guards the HTTP/1 parser: rejects bare line feeds, enforces deadlines, wraps the parser's errors in the envelope.
//!
//! actix's parser accepts a bare line feed as a line end, which a proxy in front may interpret differently. It
//! answers unparsable requests itself, without body and headers and before any middleware. It also waits forever for
//! the rest of an unread body, and of every head except the first of a connection. Only this layer can fix that.

mod connection_limit;
mod framing;
mod parser_errors;
mod server;
pub(crate) mod slot;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

pub use connection_limit::{TooManyConnections, max_connections};
use framing::Framing;
pub use server::listen;
use slot::Slot;

/// How long a head or body may take to arrive before the connection ends. The body extractors, and the parser for the
/// first head of a connection, respond with an error after 10 s; this deadline covers all other cases.
const DEADLINE: Duration = Duration::from_secs(12);
/// How long a peer may take for [`LEAST_TAKEN`] while more is ready to be sent to it. Event streams only lose time
/// by it: the client resumes.
const STALL_DEADLINE: Duration = Duration::from_secs(15);
/// Bytes that count as progress.
const LEAST_TAKEN: usize = 16 * 1024;
/// How long a connection on probation may take to present a key.
const PROBATION: Duration = Duration::from_secs(3);

/// A connection that inspects each byte in passing.
pub struct Connection<S = TcpStream> {
    io: S,
    framing: Framing,
    /// The deadline of the head or body that is arriving, with its number.
    deadline: Option<(u64, Pin<Box<Sleep>>)>,
    /// The replacement of a bare parser error.
    answer: Option<Replacement>,
    /// The slot among all open connections.
    slot: Option<Arc<Slot>>,
    /// The end of the wait for a key, for a connection on probation.
    probation: Option<Pin<Box<Sleep>>>,
    /// The deadline of a peer that does not read, and the bytes it has taken since that began.
    stalled: Option<(Pin<Box<Sleep>>, usize)>,
}

struct Replacement {
    bytes: Vec<u8>,
    written: usize,
    stands_for: usize,
}

impl<S> Connection<S> {
    /// Inspects a connection from its first byte.
    pub fn new(io: S) -> Self {
        let framing = Framing::default();
        let (deadline, answer, slot, probation, stalled) = (None, None, None, None, None);
        Self { io, framing, deadline, answer, slot, probation, stalled }
    }

    /// A connection that holds a slot until it ends.
    fn in_slot(io: S, slot: Slot) -> Self {
        let probation = slot.is_on_probation().then(|| Box::pin(sleep(PROBATION)));
        Self { slot: Some(Arc::new(slot)), probation, ..Self::new(io) }
    }

    /// The slot, for the requests of the connection.
    fn slot(&self) -> Option<Arc<Slot>> {
        self.slot.clone()
    }

    /// Whether the connection had to present a key by now and has not.
    fn fails_probation(&mut self, context: &mut Context<'_>) -> bool {
        let Some(end) = &mut self.probation else { return false };
        if self.slot.as_ref().is_none_or(|slot| !slot.is_on_probation()) {
            self.probation = None;
            return false;
        }
        end.as_mut().poll(context).is_ready()
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Writes, and ends the connection of a peer that takes too little for too long: what waits for it takes
    /// memory and a slot.
    fn write_in_time(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(context, bytes) {
            Poll::Ready(Ok(written)) if written == bytes.len() => {
                self.stalled = None;
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Ok(written)) => {
                if let Some((_, taken)) = &mut self.stalled {
                    *taken += written;
                    if *taken >= LEAST_TAKEN {
                        self.stalled = None;
                    }
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let (deadline, _) =
                    self.stalled.get_or_insert_with(|| (Box::pin(sleep(STALL_DEADLINE)), 0));
                ready!(deadline.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(context, buffer) else {
            if self.fails_probation(context) {
                return Poll::Ready(Ok(()));
            }
            // After the deadline, act as if the caller had disconnected.
            return match &mut self.deadline {
                Some((_, deadline)) => deadline.as_mut().poll(context).map(Ok),
                None => Poll::Pending,
            };
        };
        read?;
        if let Some(arrived) = buffer.filled_mut().get_mut(before..) {
            self.framing.spoil_bare_line_feeds(arrived);
        }
        match (self.framing.unfinished(), &self.deadline) {
            // A head has to arrive in time; a body may take as long as it keeps arriving.
            (Some(part), Some((timed, _))) if part == *timed && !self.framing.in_body() => {}
            (Some(part), _) => self.deadline = Some((part, Box::pin(sleep(DEADLINE)))),
            (None, _) => self.deadline = None,
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.answer.is_none() {
            match parser_errors::bare_error(buffer) {
                None => return this.write_in_time(context, buffer),
                Some(0) => {
                    let bytes = parser_errors::enveloped(buffer);
                    let stands_for = buffer.len();
                    this.answer = Some(Replacement { bytes, written: 0, stands_for });
                }
                // Earlier bytes are written first.
                Some(start) => {
                    let earlier = buffer.get(..start).unwrap_or(buffer);
                    return this.write_in_time(context, earlier);
                }
            }
        }
        while let Some(mut answer) = this.answer.take() {
            let left = answer.bytes.get(answer.written..).unwrap_or_default();
            if left.is_empty() {
                return Poll::Ready(Ok(answer.stands_for));
            }
            let written = this.write_in_time(context, left);
            if let Poll::Ready(Ok(written @ 1..)) = written {
                answer.written += written;
            }
            this.answer = Some(answer);
            if ready!(written)? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
        Poll::Ready(Ok(0))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[actix_web::test]
    async fn an_error_that_the_parser_answers_gets_its_envelope_behind_what_came_before() {
        let (client, mut server) = tokio::io::duplex(16);
        let mut connection = Connection::new(client);
        let writing = actix_web::rt::spawn(async move {
            let bare = "HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 2\r\n\r\n{}\
                        HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            connection.write_all(bare.as_bytes()).await.unwrap();
        });
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        writing.await.unwrap();
        let (first, second) = text.split_once("{}HTTP/1.1 400 Bad Request\r\n").unwrap();
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        let (head, body) = second.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = body["error"]["request_id"].as_str().unwrap();
        assert!(head.contains(&format!("x-request-id: {id}")), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_ends_the_connection_and_one_that_reads_slowly_does_not() {
        let body = vec![b'x'; 200 * 1024];
        let (peer, server) = tokio::io::duplex(1024);
        let mut connection = Connection::new(server);
        let stalled = connection.write_all(&body).await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
        drop(peer);

        let (mut peer, server) = tokio::io::duplex(1024);
        let mut connection = Connection::new(server);
        let reading = tokio::spawn(async move {
            let (mut taken, mut part) = (0, [0; 1024]);
            while let Ok(n @ 1..) = peer.read(&mut part).await {
                taken += n;
                // 2 KiB a second: 30 in the time for 16.
                sleep(Duration::from_millis(500)).await;
            }
            taken
        });
        connection.write_all(&body).await.unwrap();
        drop(connection);
        assert_eq!(reading.await.unwrap(), body.len());

        // A byte now and then is no progress.
        let (mut peer, server) = tokio::io::duplex(1024);
        let mut connection = Connection::new(server);
        tokio::spawn(async move {
            while peer.read_u8().await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert!(connection.write_all(&body).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_ends_the_connection() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut connection = Connection::new(server);
        client.write_all(b"GET / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        let mut read = Vec::new();
        connection.read_to_end(&mut read).await.unwrap();
        assert!(read.ends_with(b"abc"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_ends_the_connection_whichever_it_is() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut connection = Connection::new(server);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let trickle = tokio::spawn(async move {
            let mut sent = 0;
            while client.write_all(b"x").await.is_ok() {
                sent += 1;
                sleep(Duration::from_secs(1)).await;
            }
            sent
        });
        let mut read = Vec::new();
        connection.read_to_end(&mut read).await.unwrap();
        drop(connection);
        let sent = trickle.await.unwrap();
        assert!((11..=14).contains(&sent), "{sent} bytes in as many seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_overlap_each_have_their_own_time() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut connection = Connection::new(server);
        // Each write ends one request and starts the next, so that a request is always arriving.
        let pipeline = tokio::spawn(async move {
            client.write_all(b"GET").await.unwrap();
            for _ in 0..30 {
                client.write_all(b" / HTTP/1.1\r\n\r\nGET").await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
            client.write_all(b" / HTTP/1.1\r\n\r\n").await.unwrap();
        });
        let mut read = String::new();
        connection.read_to_string(&mut read).await.unwrap();
        pipeline.await.unwrap();
        assert_eq!(read.matches("GET /").count(), 31);
    }

    #[actix_web::test]
    async fn a_bare_line_feed_in_a_head_does_not_reach_the_parser() {
        let mut read = String::new();
        let sent = "GET / HTTP/1.1\nHost: x\r\n\r\n".as_bytes();
        Connection::new(sent).read_to_string(&mut read).await.unwrap();
        assert!(read.starts_with("GET / HTTP/1.1\0"), "{read:?}");
    }
}
