//! Failed authentications: one row per minute and peer, and a delay that grows with the number of guesses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_domain::governance::event::AuthFailedRecord;
use life_agent_domain::governance::ids::Principal;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::context::RequestContext;
use crate::policy::PolicyCell;
use crate::recorder::Recorder;

/// A peer gets at most one row in this time.
const WINDOW: Duration = Duration::from_secs(60);
/// The first row of a peer waits this long, so that it counts a whole burst.
const BURST: Duration = Duration::from_secs(2);
/// Peers that have an entry; the rest share one.
const MAX_PEERS: usize = 1024;
/// Guesses without a delay. One is forgiven every second.
const FREE: f64 = 10.0;
/// The delay of each further guess.
const STEP: Duration = Duration::from_millis(50);
/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Records the failures.
pub(crate) struct AuthFailures {
    policy: Arc<PolicyCell>,
    recorder: Recorder,
    peers: Mutex<Peers>,
    /// The runtime in which the engine was opened; a caller's runtime may end earlier.
    runtime: Handle,
}

/// A host, an IPv6 network of one site, or the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    Host(IpAddr),
    Site(Ipv6Addr),
    Others,
}

#[derive(Default)]
struct Peers(HashMap<Peer, Failures>);

struct Failures {
    /// When the last row was written.
    recorded: Option<Instant>,
    /// Failures since.
    unrecorded: u64,
    /// Guesses that are not forgiven yet.
    guesses: f64,
    at: Instant,
}

impl Peer {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) if !address.is_loopback() => {
                // One site has 2^64 addresses to choose from.
                Self::Site(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
            }
            Some(address) => Self::Host(address),
            None => Self::Others,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Host(address) => address.to_string(),
            Self::Site(network) => format!("{network}/64"),
            Self::Others => "others".to_owned(),
        }
    }
}

impl Peers {
    /// Counts a failure. Returns the peer's entry, the time until its row if this is the first failure that the
    /// row will count, and the delay of the response.
    fn enter(
        &mut self,
        peer: Peer,
        guess: bool,
        now: Instant,
    ) -> (Peer, Option<Duration>, Duration) {
        let age = |since: Instant| now.saturating_duration_since(since);
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            self.0.retain(|_, known| {
                let forgiven = known.guesses <= age(known.at).as_secs_f64();
                let recent = known.recorded.is_some_and(|at| age(at) < WINDOW);
                known.unrecorded > 0 || recent || !forgiven
            });
        }
        let full = self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer);
        let peer = if full { Peer::Others } else { peer };
        let known = self.0.entry(peer).or_insert(Failures {
            recorded: None,
            unrecorded: 0,
            guesses: 0.0,
            at: now,
        });
        let forgiven = age(known.at).as_secs_f64();
        known.guesses = (known.guesses - forgiven).max(0.0) + f64::from(u8::from(guess));
        known.at = now;
        let over = if guess { (known.guesses - FREE).max(0.0) } else { 0.0 };
        let delay = STEP.mul_f64(over.min(1_000.0)).min(MAX_DELAY);
        known.unrecorded += 1;
        let due = known.recorded.map_or(BURST, |at| WINDOW.saturating_sub(age(at)).max(BURST));
        (peer, (known.unrecorded == 1).then_some(due), delay)
    }

    /// The failures without a row, which the caller records now.
    fn take(&mut self, peer: Peer, now: Instant) -> u64 {
        let Some(known) = self.0.get_mut(&peer) else { return 0 };
        if known.unrecorded > 0 {
            known.recorded = Some(now);
        }
        std::mem::take(&mut known.unrecorded)
    }
}

impl AuthFailures {
    pub(crate) fn new(policy: Arc<PolicyCell>, recorder: Recorder) -> Self {
        Self { policy, recorder, peers: Mutex::default(), runtime: Handle::current() }
    }

    /// Counts and records a failure, and returns how long its response should wait. The request fails
    /// whether or not the journal records it.
    pub(crate) fn failed(self: &Arc<Self>, address: Option<IpAddr>, guess: bool) -> Duration {
        let (peer, due, delay) = self.peers.lock().enter(Peer::of(address), guess, Instant::now());
        if let Some(due) = due {
            let failures = Arc::clone(self);
            self.runtime.spawn(async move {
                tokio::time::sleep(due).await;
                failures.flush(peer).await;
            });
        }
        delay
    }

    /// Records the failures that are not recorded yet.
    pub(crate) async fn flush_all(&self) {
        let peers: Vec<_> = self.peers.lock().0.keys().copied().collect();
        for peer in peers {
            self.flush(peer).await;
        }
    }

    async fn flush(&self, peer: Peer) {
        let count = self.peers.lock().take(peer, Instant::now());
        if count > 0 {
            self.record(peer, count).await;
        }
    }

    async fn record(&self, peer: Peer, count: u64) {
        let record = AuthFailedRecord { peer: peer.text().into(), count };
        let context = RequestContext::new(Principal::new("anonymous"), String::new());
        let hash = self.policy.active().snapshot.hash.clone();
        if let Err(error) = self.recorder.record(&context, &hash, None, &record, Vec::new()).await {
            tracing::warn!(%error, "a failed authentication could not be recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> Peer {
        Peer::of(Some(IpAddr::V4(n.into())))
    }

    #[test]
    fn a_peer_has_one_row_a_minute() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(peers.enter(host(1), true, now).1, Some(BURST));
        assert_eq!(peers.enter(host(1), false, now + second).1, None);
        assert_eq!(peers.enter(host(2), true, now).1, Some(BURST), "each peer has its own row");
        assert_eq!(peers.take(host(1), now + BURST), 2);
        let next = peers.enter(host(1), true, now + BURST + second).1;
        assert_eq!(next, Some(WINDOW - second), "a minute after the last row");
        assert_eq!(peers.take(host(1), now + BURST + WINDOW), 1);
        assert_eq!(peers.take(host(1), now + BURST + WINDOW), 0);
        assert_eq!(peers.enter(host(1), true, now + 3 * WINDOW).1, Some(BURST));
    }

    #[test]
    fn the_delay_grows_with_guesses_and_ends_with_time() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let delays: Vec<_> = (0..100).map(|_| peers.enter(host(1), true, now).2).collect();
        assert!(delays[..10].iter().all(Duration::is_zero), "{delays:?}");
        assert!(delays.is_sorted() && delays[10] > Duration::ZERO && delays[99] == MAX_DELAY);
        assert_eq!(peers.enter(host(1), false, now).2, Duration::ZERO, "no key is no guess");
        assert_eq!(peers.enter(host(2), true, now).2, Duration::ZERO, "each peer has its own");
        let later = now + Duration::from_secs(120);
        assert_eq!(peers.enter(host(1), true, later).2, Duration::ZERO);
    }

    #[test]
    fn the_number_of_peers_is_bounded() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        for n in 0..3_000 {
            peers.enter(host(n), true, now);
        }
        assert!(peers.0.len() <= MAX_PEERS + 1, "{}", peers.0.len());
        assert_eq!(peers.enter(host(9_999), true, now).0, Peer::Others);
        for n in 0..3_000 {
            peers.take(host(n), now);
        }
        assert_eq!(peers.enter(host(9_999), true, now + 2 * WINDOW).0, host(9_999));
    }

    #[test]
    fn an_ipv6_site_is_one_peer() {
        let of = |text: &str| Peer::of(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("2001:db8:1:2::1").text(), "2001:db8:1:2::/64");
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_eq!(of("::1").text(), "::1");
    }
}
