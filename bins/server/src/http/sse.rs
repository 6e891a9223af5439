//! Server-sent events from the journal: every row once and in order, however slow the reader.
//!
//! The format is the HTML standard's (`text/event-stream`): fields end with a line feed, events with
//! an empty line, lines that begin with a colon are comments.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use futures_util::Stream;
use life_agent_engine::domain::governance::event::Row;
use life_agent_engine::observer::{Follower, Gap, JournalError, JournalRow, roots_of};
use metrics::gauge;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::auth::grant::Grant;
use crate::state::AppState;

/// Delay before a client reconnects, in milliseconds.
const RETRY: u64 = 5000;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Most rows read ahead of the socket; they are shared with the journal and other readers.
const BATCH: usize = 64;
/// Bytes handed to the connection at a time, unless a single event is larger.
const CHUNK: usize = 2 * 1024;

/// What the subscriber of a stream may read, for as long as its key works.
pub struct Reader {
    state: web::Data<AppState>,
    grant: Arc<Grant>,
    /// Whether rows hold their texts in place of references.
    expands: bool,
    changes: watch::Receiver<u64>,
}

impl Reader {
    /// A reader with this grant, whose rows may hold their texts in place of references.
    pub fn new(state: web::Data<AppState>, grant: Arc<Grant>, expands: bool) -> Self {
        let changes = state.keys.subscribe();
        Self { state, grant, expands, changes }
    }

    /// The row as this reader gets it. A row whose texts cannot be read, or were removed by now, stays as it is.
    async fn shown(&self, row: Arc<JournalRow>) -> Arc<JournalRow> {
        if !self.expands || roots_of(row.data.get()).is_empty() {
            return row;
        }
        match self.state.engine.expanded_row(Row::clone(&row)).await {
            Ok(expanded) => JournalRow::new(expanded),
            Err(error) => {
                tracing::warn!(%error, row = row.id, "a row is sent without its texts");
                row
            }
        }
    }

    fn is_current(&self) -> bool {
        self.state.keys.is_current(&self.grant)
    }
}

/// The start of a stream, and the data of its event `ready`.
#[derive(Debug, Serialize)]
pub struct Opening {
    /// The row after which the stream continues.
    pub after: u64,
    /// The identity of the journal; none before its first row.
    pub journal_id: Option<String>,
    /// The first row that can be read; 0 for an empty journal.
    pub first: u64,
    /// The last row.
    pub head: u64,
    /// Rows that the client expects and that cannot be sent.
    #[serde(skip)]
    pub gap: Option<Gap>,
}

struct Subscription {
    /// Taken when the stream begins.
    opening: Option<Opening>,
    reader: Reader,
    follower: Follower,
    pending: VecDeque<Arc<JournalRow>>,
    stopping: CancellationToken,
    keep_alive: Interval,
    _counted: Counted,
}

/// One open stream in `sse_subscribers`.
struct Counted;

impl Counted {
    fn new() -> Self {
        gauge!("sse_subscribers").increment(1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!("sse_subscribers").decrement(1);
    }
}

/// The stream of a subscriber. It reads only as fast as the socket accepts; unread rows stay in the journal.
pub fn stream(
    opening: Opening,
    follower: Follower,
    reader: Reader,
    stopping: CancellationToken,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let subscription = Subscription {
        opening: Some(opening),
        reader,
        follower,
        pending: VecDeque::new(),
        stopping,
        keep_alive,
        _counted: Counted::new(),
    };
    futures_util::stream::unfold(subscription, |mut subscription| async move {
        let bytes = subscription.next().await?;
        Some((Ok(bytes), subscription))
    })
}

impl Subscription {
    /// The next bytes; none at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(first_events(&opening).into());
        }
        // The connection writes only while the stream is pending; otherwise it would first buffer 32 KiB per reader.
        tokio::task::yield_now().await;
        while self.pending.is_empty() {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                // A revoked key ends its streams.
                changed = self.reader.changes.changed() => {
                    if changed.is_err() || !self.reader.is_current() {
                        return None;
                    }
                }
                // Polled before the rows, or a busy journal would starve it.
                _ = self.keep_alive.tick() => {
                    // An expired key ends its streams within a keep-alive.
                    let current = self.reader.is_current();
                    return current.then(|| Bytes::from_static(b":keepalive\n\n"));
                }
                batch = self.follower.next_batch(BATCH) => match batch {
                    Ok(rows) => {
                        let grant = &self.reader.grant;
                        let readable = |row: &Arc<JournalRow>| {
                            grant.may_read_row(row.agent_id.as_deref(), &row.principal)
                        };
                        self.pending.extend(rows.into_iter().filter(readable));
                    }
                    Err(JournalError::Closed) => return None,
                    Err(error) => {
                        // The client reconnects after `retry` and misses nothing.
                        tracing::warn!(%error, "an event stream ends early");
                        return None;
                    }
                },
            }
        }
        let chunk = self.chunk().await;
        (!self.stopping.is_cancelled()).then(|| chunk.into())
    }

    /// Takes events from the front until the chunk is full.
    async fn chunk(&mut self) -> String {
        // Room for one event beyond the chunk, so that the text rarely grows.
        let mut text = String::with_capacity(CHUNK + 1024);
        if let Some(gap) = self.follower.take_gap() {
            write_named(&mut text, "gap", &gap);
        }
        while text.len() < CHUNK
            && let Some(row) = self.pending.pop_front()
        {
            write_event(&mut text, &*self.reader.shown(row).await);
        }
        text
    }
}

/// The start of the stream. The ID is in a block without data, which is not an event: a client that is disconnected
/// before its first event resumes from here and not from the time of its return.
fn first_events(opening: &Opening) -> String {
    let mut text = format!("retry: {RETRY}\nid: {}\n\n", opening.after);
    write_named(&mut text, "ready", opening);
    if let Some(gap) = &opening.gap {
        write_named(&mut text, "gap", gap);
    }
    text
}

/// Writes an event that is no row.
fn write_named(text: &mut String, name: &str, data: &impl Serialize) {
    // Serializing numbers and texts cannot fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    let _ = write!(text, "event: {name}\ndata: {data}\n\n");
}

fn write_event(text: &mut String, row: &JournalRow) {
    let line = row.line();
    text.reserve(line.len() + 64);
    // Writing into a String cannot fail. The line holds no line feed, which the journal sees to.
    let _ = write!(text, "id: {}\nevent: {}\ndata: {line}\n\n", row.id, row.kind);
}

#[cfg(test)]
mod tests {
    use life_agent_engine::observer::GapReason;

    use super::*;

    #[test]
    fn a_stream_opens_with_retry_and_ready() {
        let id = Some("9f86".to_owned());
        let opening = Opening { after: 7, journal_id: id, first: 3, head: 9, gap: None };
        let ready = "retry: 5000\nid: 7\n\nevent: ready\n\
            data: {\"after\":7,\"journal_id\":\"9f86\",\"first\":3,\"head\":9}\n\n";
        assert_eq!(first_events(&opening), ready);
        let gap = Some(Gap { from: 2, to: 6, reason: GapReason::Pruned });
        let gap = first_events(&Opening { gap, ..opening });
        assert_eq!(
            gap.strip_prefix(ready),
            Some("event: gap\ndata: {\"from\":2,\"to\":6,\"reason\":\"pruned\"}\n\n")
        );
    }
}
