//! The clients: hostile ones, the normal load, and the probes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::kinds::Kind;
use crate::load::server::KEY;

/// The longest wait for a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// The times of a probe.
#[derive(Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(super) fn max(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }

    pub(super) fn quantile(&self, q: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// What became of hostile requests.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) sent: usize,
    by_class: [usize; 4],
}

impl Outcome {
    fn count(&mut self, status: Option<u16>) {
        self.sent += 1;
        let class = match status {
            Some(200..=299) => 0,
            Some(400..=499) => 1,
            Some(_) => 2,
            None => 3,
        };
        self.by_class[class] += 1;
    }

    pub(super) fn describe(&self) -> String {
        self.by_class.map(|count| count.to_string()).join("/")
    }
}

/// Sends a request on a connection of its own; the status of the response, if one came.
fn ask(addr: SocketAddr, request: &[u8], patience: Duration) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&addr, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    // A refused body may not be read to its end; the response is there all the same.
    let _ = stream.write_all(request);
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok();
    let mut rest = [0; 16 * 1024];
    while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
    status
}

/// Sends the requests of a kind until all are sent or the time is up.
pub(super) fn send(
    addr: SocketAddr,
    kind: &Kind,
    requests: usize,
    connections: usize,
    end: Instant,
) -> Outcome {
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let left = end.saturating_duration_since(Instant::now());
                    if number >= requests || left.is_zero() {
                        return;
                    }
                    let status = ask(addr, &(kind.make)(number), PATIENCE.min(left));
                    if let Ok(mut outcome) = outcome.lock() {
                        outcome.count(status);
                    }
                }
            });
        }
    });
    outcome.into_inner().unwrap_or_default()
}

/// Opens connections that request much and read nothing, and keeps them until the time is up or the service has
/// closed them all.
pub(super) fn slow_readers(addr: SocketAddr, requests: usize, end: Instant) -> Outcome {
    let unread = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8);
    let mut outcome = Outcome::default();
    let mut open = Vec::new();
    for _ in 0..requests {
        let Ok(mut stream) = TcpStream::connect_timeout(&addr, Duration::from_secs(2)) else {
            outcome.count(None);
            continue;
        };
        let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
        let _ = stream.write_all(&unread);
        outcome.count(None);
        open.push(stream);
    }
    while Instant::now() < end && !open.is_empty() {
        open.retain(|stream| !is_closed(stream));
        std::thread::sleep(Duration::from_millis(500));
    }
    outcome
}

fn is_closed(stream: &TcpStream) -> bool {
    // What was received stays unread: only the end of the connection shows as an error.
    matches!(stream.take_error(), Ok(Some(_)) | Err(_))
}

/// Health checks, each on a new connection, as probes make them.
pub(super) fn health(addr: SocketAddr, stop: &AtomicBool) -> Latencies {
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    probe(addr, stop, Duration::from_millis(10), |_| request.to_vec())
}

/// The kill switch, turned on and off again.
pub(super) fn kill_switch(addr: SocketAddr, stop: &AtomicBool) -> Latencies {
    probe(addr, stop, Duration::from_millis(100), |nth| {
        let body = format!("{{\"on\":{},\"reason\":\"drill\"}}", nth.is_multiple_of(2));
        format!(
            "POST /kill-switch HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    })
}

/// Sends requests with a pause between them, an even number in all. A request without a response counts with the time
/// that it was waited for.
fn probe(
    addr: SocketAddr,
    stop: &AtomicBool,
    pause: Duration,
    request: impl Fn(usize) -> Vec<u8>,
) -> Latencies {
    let mut latencies = Latencies::default();
    let mut nth = 0_usize;
    while !stop.load(Ordering::Relaxed) || !nth.is_multiple_of(2) {
        let begun = Instant::now();
        let status = ask(addr, &request(nth), PATIENCE);
        let took = begun.elapsed();
        latencies.0.push(if status == Some(200) { took } else { took.max(PATIENCE) });
        nth += 1;
        // The switch goes off right after it went on, so that hostile requests are judged and not stopped.
        if nth.is_multiple_of(2) {
            std::thread::sleep(pause);
        }
    }
    latencies
}

/// Acts at a rate, on one connection that is opened again when it ends.
pub(super) fn acts(addr: SocketAddr, rate: u64, stop: &AtomicBool) {
    let pause = Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1).max(1);
    let body = r#"{"agent_id":"one","action":"rest"}"#;
    let request = format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(addr) else { continue };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            if stream.write_all(request.as_bytes()).is_err() || read_some(&mut stream).is_err() {
                break;
            }
            std::thread::sleep(pause.saturating_sub(begun.elapsed()));
        }
    }
}

fn read_some(stream: &mut TcpStream) -> std::io::Result<()> {
    // A response to an act is small and arrives whole.
    let mut response = [0; 8 * 1024];
    match stream.read(&mut response)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
