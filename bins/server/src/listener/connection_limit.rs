//! How many connections may be open, and what one too many is told before it is closed.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::parser_errors;

/// Descriptors kept back for the journal, the log, the listener and connections that are being refused.
const KEPT_BACK: u64 = 128;
/// The most that is taken without being asked: an idle connection costs some 16 KB.
const USUAL: u64 = 10_000;
/// The most descriptors that are asked of the system.
const WANTED: u64 = 65_536;
/// Connections that are being told that there is no room; more than these are closed without a word.
const REFUSED_AT_ONCE: usize = 32;
/// How long the telling may take.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);

/// `MAX_CONNECTIONS` is more than the system lets the process open.
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

/// How many connections to take: as many as asked, else what the limit on open files leaves room for.
/// Raises that limit as far as the system lets anyone.
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

/// Sockets are no files here.
#[cfg(not(unix))]
fn descriptors() -> u64 {
    WANTED
}

/// Half of the descriptors: a request that waits for the model or an OPA server needs a second one.
fn room_for(asked: Option<u64>, descriptors: u64) -> Result<u64, TooManyConnections> {
    let free = descriptors.saturating_sub(KEPT_BACK).max(1);
    match asked {
        Some(asked) if asked > free => Err(TooManyConnections { asked, descriptors, room: free }),
        Some(asked) => Ok(asked),
        None => Ok((free / 2).clamp(1, USUAL)),
    }
}

/// All open connections; clones share the count.
#[derive(Clone)]
pub(super) struct ConnectionLimit {
    slots: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    open: Gauge,
    refused: Counter,
}

/// One open connection.
pub(super) struct Slot {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

impl ConnectionLimit {
    pub(super) fn new(max: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSED_AT_ONCE)),
            open: gauge!("http_connections"),
            refused: counter!("overload_refused_total", "reason" => "connections"),
        }
    }

    /// A place for one more, if there is one.
    pub(super) fn slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        self.open.increment(1);
        Some(Slot { open: self.open.clone(), _permit: permit })
    }

    /// Answers the first request of a connection that there is no place for, and closes it.
    pub(super) async fn refuse(&self, stream: TcpStream) {
        self.refused.increment(1);
        let Ok(_permit) = self.refusals.try_acquire() else { return };
        // Whoever is too slow for it is closed without it.
        let _ = timeout(REFUSAL_DEADLINE, tell(stream)).await;
    }
}

async fn tell(mut stream: TcpStream) -> std::io::Result<()> {
    let mut read = [0; 4096];
    // Clients take an answer that comes before their request for a fault of the connection.
    if stream.read(&mut read).await? == 0 {
        return Ok(());
    }
    stream.write_all(&parser_errors::no_slot()).await?;
    stream.shutdown().await?;
    // Closing on unread bytes would reset the connection, and the answer with it.
    while stream.read(&mut read).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
