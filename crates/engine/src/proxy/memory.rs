//! Remembers which messages were refused under which policy.
//!
//! Clients resend the whole history with every call, so without a memory one refused message would
//! end a conversation for good.

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::ids::Principal;
use quick_cache::sync::Cache;

/// Messages that are remembered; the least used are forgotten first.
const CAPACITY: usize = 8192;

type Digest = [u8; 32];

/// The refused messages.
pub(crate) struct RefusedTexts {
    digests: Cache<Digest, ()>,
}

impl RefusedTexts {
    pub(crate) fn new() -> Self {
        Self { digests: Cache::new(CAPACITY) }
    }

    /// Whether nothing was refused yet, so that nothing has to be hashed.
    pub(super) fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    pub(super) fn contains(&self, principal: &Principal, policy: &str, message: &Message) -> bool {
        self.digests.get(&digest(principal, policy, message)).is_some()
    }

    pub(super) fn insert(&self, principal: &Principal, policy: &str, message: &Message) {
        self.digests.insert(digest(principal, policy, message), ());
    }
}

fn digest(principal: &Principal, policy: &str, message: &Message) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("life-agent 2026 refused message v1");
    for part in [principal.as_str(), policy, &message.role, &message.content] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}
