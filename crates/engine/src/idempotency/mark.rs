//! Claims on idempotency keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use blake3::Hasher;
use life_agent_domain::governance::ids::Principal;
use life_agent_observer::{
    IdempotencyRecord as Kept, Precondition, Rejection, SideWrite, StoredResponse,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A call with an idempotency key.
#[derive(Debug, Clone, Copy)]
pub struct KeyedCall<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path.
    pub path: &'a str,
    /// The key.
    pub key: &'a str,
    /// Its body, byte for byte.
    pub body: &'a [u8],
}

/// The claim of a request on its key. Other requests with the key wait while a clone of it lives.
#[derive(Debug, Clone)]
pub struct Mark {
    pub(super) kept: Kept,
    pub(super) seal: Seal,
    pub(super) claim: Arc<Pending>,
    /// Whether other instances may claim the same key.
    pub(super) is_shared: bool,
}

/// Authenticates the stored response to a call. The table of the responses is not chained. A program that can
/// write it knows neither the key of the call nor the API key of the caller.
#[derive(Clone)]
pub(super) struct Seal(Arc<[u8; 32]>);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// The line of the stored headers with the seal.
const SEAL: &str = "seal: ";

impl Seal {
    fn over(&self, status: u16, headers: &str, body: &[u8]) -> blake3::Hash {
        let mut hasher = Hasher::new_keyed(&self.0);
        for part in [&status.to_le_bytes()[..], headers.as_bytes(), body] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        hasher.finalize()
    }

    /// Adds the seal to a response that is stored.
    pub(super) fn seal(&self, mut response: StoredResponse) -> StoredResponse {
        let seal = self.over(response.status, &response.headers, &response.body);
        response.headers = format!("{SEAL}{}\n{}", seal.to_hex(), response.headers);
        response
    }

    /// The response as it was before it was stored; `None` if somebody else stored or changed it.
    pub(super) fn open(&self, mut stored: StoredResponse) -> Option<StoredResponse> {
        let (seal, headers) = stored.headers.split_once('\n').unwrap_or((&stored.headers, ""));
        let seal = blake3::Hash::from_hex(seal.strip_prefix(SEAL)?).ok()?;
        // A comparison of two hashes takes constant time.
        if self.over(stored.status, headers, &stored.body) != seal {
            return None;
        }
        stored.headers = headers.to_owned();
        Some(stored)
    }
}

/// The pending calls with a key.
#[derive(Debug, Default)]
pub(crate) struct PendingCalls {
    pending: Arc<Mutex<HashMap<String, Call>>>,
}

#[derive(Debug)]
struct Call {
    digest: String,
    /// Closed when the call ends.
    ended: watch::Receiver<()>,
}

/// An entry among the pending calls, removed with the last clone of its claim.
#[derive(Debug)]
pub(crate) struct Pending {
    calls: Arc<Mutex<HashMap<String, Call>>>,
    id: String,
    /// Whether the claim was written with an effect.
    taken: AtomicBool,
    /// Whether a call at another instance took effect.
    lost: AtomicBool,
    _end: watch::Sender<()>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
    }
}

pub(super) enum Entered {
    First(Pending),
    OtherBody,
    Wait(watch::Receiver<()>),
}

impl PendingCalls {
    pub(super) fn enter(&self, mark: &Kept) -> Entered {
        match self.pending.lock().entry(mark.id.clone()) {
            Entry::Vacant(place) => {
                let (end, ended) = watch::channel(());
                place.insert(Call { digest: mark.digest.clone(), ended });
                let (calls, id) = (Arc::clone(&self.pending), mark.id.clone());
                Entered::First(Pending {
                    calls,
                    id,
                    taken: AtomicBool::new(false),
                    lost: AtomicBool::new(false),
                    _end: end,
                })
            }
            Entry::Occupied(call) if call.get().digest != mark.digest => Entered::OtherBody,
            Entry::Occupied(call) => Entered::Wait(call.get().ended.clone()),
        }
    }
}

impl KeyedCall<'_> {
    /// Digests of the call. The digest of the body also covers the key, which is stored nowhere, so that
    /// it cannot be used to guess bodies.
    pub(super) fn mark(&self, principal: &Principal) -> (Kept, Seal) {
        let digest = |purpose: &str, body: Option<&[u8]>| {
            let mut hasher = Hasher::new_derive_key(purpose);
            let call = [principal.as_str(), self.method, self.path, self.key];
            // A new key under an old name must not read responses to the old key.
            let key = principal.digest().map(<[u8; 32]>::as_slice);
            for part in call.map(str::as_bytes).into_iter().chain(key).chain(body) {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            hasher.finalize()
        };
        let text = |hash: blake3::Hash| hash.to_hex().to_string();
        let kept = Kept {
            id: text(digest("life-agent 2026-11-23 idempotency: call", None)),
            digest: text(digest("life-agent 2026-11-23 idempotency: body", Some(self.body))),
            job: None,
        };
        let seal = digest("life-agent 2026-11-29 idempotency: response", Some(self.body));
        (kept, Seal(Arc::new(*seal.as_bytes())))
    }
}

impl Mark {
    /// The write that claims the key for an effect; `job` if the effect is a queued turn.
    pub(crate) fn take(&self, job: Option<String>) -> SideWrite {
        self.claim.taken.store(true, Ordering::Relaxed);
        SideWrite::Idempotency(Kept { job, ..self.kept.clone() })
    }

    /// The condition of the first effect, if other instances may claim the key.
    pub(crate) fn unclaimed(&self) -> Option<Precondition> {
        let first = self.is_shared && !self.is_taken();
        first.then(|| Precondition::KeyUnclaimed { key: self.kept.id.clone() })
    }

    /// The first effect was rejected, so that nothing claims the key for this request.
    pub(crate) fn rejected(&self, rejection: &Rejection) {
        self.claim.taken.store(false, Ordering::Relaxed);
        if matches!(rejection, Rejection::KeyClaimed { key } if *key == self.kept.id) {
            self.claim.lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a call with the key took effect at another instance, so that this one has none.
    pub fn is_lost(&self) -> bool {
        self.claim.lost.load(Ordering::Relaxed)
    }

    /// Whether the request may have had an effect, which must not happen again.
    pub fn is_taken(&self) -> bool {
        self.claim.taken.load(Ordering::Relaxed)
    }
}
