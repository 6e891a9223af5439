//! The limit on open connections, and the response to a connection beyond it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::parser_errors;
use super::slot::Slot;

/// Descriptors reserved for the journal, the log, the listener and connections that are being refused.
const KEPT_BACK: u64 = 128;
/// The default limit: an idle connection costs about 16 KB.
const USUAL: u64 = 10_000;
/// The most descriptors requested from the system.
const WANTED: u64 = 65_536;
/// Connections that receive a refusal at the same time; further ones are closed without a response.
const REFUSED_AT_ONCE: usize = 32;
/// How long a refusal may take.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);

/// `MAX_CONNECTIONS` exceeds the number of files that the process may open.
#[derive(Debug, thiserror::Error)]
#[error(
    "MAX_CONNECTIONS is {asked}, and with {descriptors} open files the system allows at most {room}; \
     raise the limit on open files (`ulimit -n`) or set less"
)]
pub struct TooManyConnections {
    asked: u64,
    descriptors: u64,
    room: u64,
}

/// The number of connections to accept: the configured number, else as many as the limit on open files allows.
/// Raises that limit as far as the system permits.
pub fn max_connections(asked: Option<usize>) -> Result<usize, TooManyConnections> {
    room_for(asked.map(|asked| asked as u64), descriptors())
        .map(|room| usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(unix)]
fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let now = limit.current.unwrap_or(WANTED);
    let most = limit.maximum.unwrap_or(WANTED).min(WANTED);
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    if now < most && setrlimit(Resource::Nofile, raised).is_ok() { most } else { now }
}

/// Sockets are not files on this system.
#[cfg(not(unix))]
fn descriptors() -> u64 {
    WANTED
}

/// By default half of the descriptors: a request that waits for the model or an OPA server needs a second one.
fn room_for(asked: Option<u64>, descriptors: u64) -> Result<u64, TooManyConnections> {
    let free = descriptors.saturating_sub(KEPT_BACK).max(1);
    match asked {
        Some(asked) if asked > free => Err(TooManyConnections { asked, descriptors, room: free }),
        Some(asked) => Ok(asked),
        None => Ok((free / 2).clamp(1, USUAL)),
    }
}

/// The most connections that are held back for callers with a key.
const MOST_RESERVED: usize = 64;

/// All open connections; clones share the count.
///
/// Some of them are reserved for callers that have presented a valid key, so that no caller without one can take the
/// last connection from an operator. Beyond the others, a new connection is on probation: its first request has
/// to present a key.
#[derive(Clone)]
pub(super) struct ConnectionLimit {
    slots: Arc<Semaphore>,
    /// Slots for connections that have not presented a key.
    anonymous: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    open: Gauge,
    refused: Counter,
}

impl ConnectionLimit {
    pub(super) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let reserved = (max / 10).min(MOST_RESERVED);
        Self {
            slots: Arc::new(Semaphore::new(max)),
            anonymous: Arc::new(Semaphore::new(max - reserved)),
            refusals: Arc::new(Semaphore::new(REFUSED_AT_ONCE)),
            open: gauge!("http_connections"),
            refused: counter!("overload_refused_total", "reason" => "connections"),
        }
    }

    /// A slot for one more connection, if one is free.
    pub(super) fn slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let anonymous = Arc::clone(&self.anonymous).try_acquire_owned().ok();
        Some(Slot::new(self.open.clone(), permit, anonymous))
    }

    /// Responds to the first request of a connection without a slot, and closes it.
    pub(super) async fn refuse(&self, stream: TcpStream) {
        self.refused.increment(1);
        let Ok(_permit) = self.refusals.try_acquire() else { return };
        // A client that is too slow is closed without the response.
        let _ = timeout(REFUSAL_DEADLINE, send_refusal(stream)).await;
    }
}

async fn send_refusal(mut stream: TcpStream) -> std::io::Result<()> {
    let mut read = [0; 4096];
    // Clients treat a response that arrives before their request as a connection error.
    if stream.read(&mut read).await? == 0 {
        return Ok(());
    }
    stream.write_all(&parser_errors::no_slot()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection and lose the response.
    while stream.read(&mut read).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_connections_are_for_callers_with_a_key() {
        let limit = ConnectionLimit::new(20);
        let anonymous: Vec<_> = (0..18).map(|_| limit.slot().unwrap()).collect();
        assert!(anonymous.iter().all(|slot| !slot.is_on_probation()));
        let (operator, other) = (limit.slot().unwrap(), limit.slot().unwrap());
        assert!(operator.is_on_probation() && other.is_on_probation());
        assert!(limit.slot().is_none());
        operator.prove();
        assert!(!operator.is_on_probation());
        // A caller that shows a key leaves its place to another without one.
        drop(other);
        anonymous[0].prove();
        assert!(!limit.slot().unwrap().is_on_probation());
    }

    #[test]
    fn there_is_always_room_for_files_beside_the_connections() {
        assert_eq!(room_for(None, 1024).ok(), Some(448));
        assert_eq!(room_for(None, 1_000_000).ok(), Some(USUAL));
        assert_eq!(room_for(None, 64).ok(), Some(1));
        assert_eq!(room_for(Some(896), 1024).ok(), Some(896));
        let refused = room_for(Some(897), 1024).unwrap_err().to_string();
        assert!(refused.contains("at most 896") && refused.contains("ulimit -n"), "{refused}");
    }
}
