//! Claims on idempotency keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use blake3::Hasher;
use life_agent_domain::governance::ids::Principal;
use life_agent_observer::{IdempotencyRecord as Kept, Precondition, Rejection, SideWrite};
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
    pub(super) claim: Arc<Pending>,
    /// Whether other instances may claim the same key.
    pub(super) is_shared: bool,
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
    pub(super) fn mark(&self, principal: &Principal) -> Kept {
        let digest = |purpose: &str, body: Option<&[u8]>| {
            let mut hasher = Hasher::new_derive_key(purpose);
            let call = [principal.as_str(), self.method, self.path, self.key];
            // A new key under an old name must not read responses to the old key.
            let key = principal.digest().map(<[u8; 32]>::as_slice);
            for part in call.map(str::as_bytes).into_iter().chain(key).chain(body) {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            hasher.finalize().to_hex().to_string()
        };
        Kept {
            id: digest("life-agent 2026-11-23 idempotency: call", None),
            digest: digest("life-agent 2026-11-23 idempotency: body", Some(self.body)),
            job: None,
        }
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
