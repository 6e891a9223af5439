//! A reader of server-sent events that also returns comments.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// The longest wait for a block.
const DEADLINE: Duration = Duration::from_secs(20);

/// An open stream.
pub(crate) struct Events {
    response: Response,
    buffer: Vec<u8>,
}

/// A block between two blank lines.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: Option<String>,
    pub(crate) data: Vec<String>,
    pub(crate) retry: Option<String>,
    pub(crate) comments: Vec<String>,
}

impl Event {
    /// The data of an event that has one line of JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let [line] = self.data.as_slice() else { panic!("not one line: {self:?}") };
        serde_json::from_str(line).unwrap()
    }

    pub(crate) fn parse(block: &str) -> Self {
        let mut event = Self::default();
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => event.comments.push(line.to_owned()),
                "id" => event.id = Some(value.parse().unwrap()),
                "event" => event.name = Some(value.to_owned()),
                "data" => event.data.push(value.to_owned()),
                "retry" => event.retry = Some(value.to_owned()),
                other => panic!("`{other}` is no field of an event: {block}"),
            }
        }
        event
    }
}

impl Events {
    /// Opens a stream and reads up to its `ready`, so that no later row is missed.
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let mut events = Self::open_unready(request).await;
        loop {
            let event = events.block().await.expect("the stream ended before it was ready");
            if event.name.as_deref() == Some("ready") {
                return events;
            }
            assert!(event.name.is_none(), "before ready: {event:?}");
        }
    }

    /// Opens a stream and reads nothing.
    pub(crate) async fn open_unready(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self { response, buffer: Vec::new() }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next block, including comments; `None` after a clean end.
    pub(crate) async fn block(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(Event::parse(std::str::from_utf8(&block[..end]).unwrap()));
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await;
            match chunk.expect("nothing came before the deadline").expect("the stream broke off") {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => {
                    assert!(self.buffer.is_empty(), "the stream ended within a block");
                    return None;
                }
            }
        }
    }

    /// The next event, without comments.
    pub(crate) async fn next(&mut self) -> Event {
        let named = async {
            loop {
                let event = self.block().await.expect("the stream ended");
                if event.name.is_some() {
                    return event;
                }
            }
        };
        // A stream with keep-alives only would block the test forever.
        tokio::time::timeout(2 * DEADLINE, named).await.expect("no event came, only keepalives")
    }

    /// The next `count` events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await);
        }
        events
    }

    /// Reads up to a clean end; panics if the connection breaks.
    pub(crate) async fn ends_cleanly(mut self) {
        while self.block().await.is_some() {}
    }
}
