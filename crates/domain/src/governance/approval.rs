//! Approvals: a person permits one exact request, once, for a limited time.
//!
//! [`Inbox`] is a pure state machine over recorded facts. The service records every transition in the
//! journal and rebuilds the inbox from those rows at start, so a decision that is not in the hash chain
//! does not exist. An approval is bound to a [`RequestDigest`] over the exact arguments, the caller, the
//! agent and the policy: a request that differs in any of them needs an approval of its own.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most approvals that may be open at a time. A caller that asks for more is refused, so that a loop of
/// asking calls cannot bury the requests that people should see.
pub const MAX_OPEN: usize = 10_000;

/// SHA-256 over everything that an approval is bound to, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestDigest(String);

/// What an approval is bound to.
#[derive(Debug, Clone, Copy)]
pub struct BoundTo<'a> {
    /// The caller that may repeat the request.
    pub principal: &'a str,
    /// The agent that the request is for; empty where it has none.
    pub agent: &'a str,
    /// The kind of the request.
    pub kind: &'a str,
    /// Hash of the policy that asked.
    pub policy_hash: &'a str,
    /// The request as the caller sent it.
    pub request: &'a Value,
}

impl RequestDigest {
    /// The digest of a request. Object keys are ordered first, so two spellings of the same JSON value
    /// have one digest; everything else that differs gives another one.
    pub fn of(bound: &BoundTo<'_>) -> Self {
        let mut hasher = Sha256::new();
        for part in [bound.principal, bound.agent, bound.kind, bound.policy_hash] {
            // The length first: no two different sequences of parts feed the hash the same bytes.
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        feed(&mut hasher, bound.request);
        Self(hex::encode(hasher.finalize()))
    }

    /// A digest that was recorded.
    pub fn recorded(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Feeds a JSON value in a canonical form: a tag and a length before each part.
fn feed(hasher: &mut Sha256, value: &Value) {
    let mut part = |tag: u8, bytes: &[u8]| {
        hasher.update([tag]);
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    match value {
        Value::Null => part(b'n', b""),
        Value::Bool(flag) => part(b'b', &[u8::from(*flag)]),
        // The digits as sent: 1 and 1.0 are different arguments to some tools.
        Value::Number(number) => part(b'd', number.to_string().as_bytes()),
        Value::String(text) => part(b's', text.as_bytes()),
        Value::Array(items) => {
            part(b'a', &(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Object(members) => {
            part(b'o', &(members.len() as u64).to_be_bytes());
            let ordered: BTreeMap<_, _> = members.iter().collect();
            for (key, member) in ordered {
                hasher.update((key.len() as u64).to_be_bytes());
                hasher.update(key.as_bytes());
                feed(hasher, member);
            }
        }
    }
}

/// A request that waits for a person, or was decided and not yet used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Chosen by the service, unique in its journal.
    pub id: String,
    /// The caller that asked.
    pub principal: String,
    /// The person accountable for that caller, where known.
    pub person: Option<String>,
    /// Digest of the caller's key, where it has one: two names for one key are one caller.
    pub key_digest: Option<String>,
    /// What the approval is bound to.
    pub digest: RequestDigest,
    /// The first moment at which it can no longer be decided or used, in milliseconds since 1970.
    pub expires: u64,
    /// How far it has got.
    pub status: Status,
}

/// How far an approval has got. `Used`, `Denied` and `Expired` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// The caller may repeat the request once.
    Approved,
    /// A person refused it.
    Denied,
    /// The request was repeated and passed.
    Used,
    /// Nobody decided, or the caller did not use it, in time.
    Expired,
}

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    /// The deciding caller.
    pub principal: &'a str,
    /// The person accountable for it, where known.
    pub person: Option<&'a str>,
    /// Digest of its key, where it has one.
    pub key_digest: Option<&'a str>,
}

/// Why an approval cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// No approval has this id.
    #[error("no approval has this id")]
    NotFound,
    /// Principal, person or key of the decider and of the requester are the same.
    #[error("a caller cannot decide its own request; ask another person")]
    OwnRequest,
    /// It was decided before.
    #[error("the approval is already decided")]
    AlreadyDecided,
    /// Its time is over.
    #[error("the approval has expired")]
    Expired,
}

/// No further approval may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_OPEN} approvals are open; decide some of them first")]
pub struct InboxFull;

/// All approvals that are not final yet.
#[derive(Debug, Default)]
pub struct Inbox {
    open: BTreeMap<String, Approval>,
    by_digest: BTreeMap<RequestDigest, String>,
}

impl Inbox {
    /// The open approval of a request at this time: the same request asked again does not ask twice.
    pub fn open_for(&self, digest: &RequestDigest, now: u64) -> Option<&Approval> {
        let approval = self.open.get(self.by_digest.get(digest)?)?;
        (now < approval.expires).then_some(approval)
    }

    /// Adds a pending approval after its row was recorded. One for the same request replaces it.
    pub fn add(&mut self, approval: Approval) -> Result<(), InboxFull> {
        if self.open.len() >= MAX_OPEN && !self.by_digest.contains_key(&approval.digest) {
            return Err(InboxFull);
        }
        if let Some(replaced) = self.by_digest.insert(approval.digest.clone(), approval.id.clone())
        {
            self.open.remove(&replaced);
        }
        self.open.insert(approval.id.clone(), approval);
        Ok(())
    }

    /// Whether this caller may decide this approval now. Changes nothing: the decision counts once it is
    /// recorded and passed to [`Inbox::decided`].
    pub fn may_decide(
        &self,
        id: &str,
        by: &Decider<'_>,
        now: u64,
    ) -> Result<&Approval, DecisionError> {
        let approval = self.open.get(id).ok_or(DecisionError::NotFound)?;
        let same = |a: Option<&str>, b: Option<&str>| a.is_some() && a == b;
        if approval.principal == by.principal
            || same(approval.person.as_deref(), by.person)
            || same(approval.key_digest.as_deref(), by.key_digest)
        {
            return Err(DecisionError::OwnRequest);
        }
        if approval.status != Status::Pending {
            return Err(DecisionError::AlreadyDecided);
        }
        if now >= approval.expires { Err(DecisionError::Expired) } else { Ok(approval) }
    }

    /// Applies a recorded decision. A denied approval is no longer open.
    pub fn decided(&mut self, id: &str, approved: bool) {
        if !approved {
            self.close(id);
        } else if let Some(approval) = self.open.get_mut(id) {
            approval.status = Status::Approved;
        }
    }

    /// Takes the approved approval of a request out of the inbox, so that it can pass once. The caller
    /// holds the inbox until the use is recorded, and puts it back with [`Inbox::restore`] if recording
    /// fails.
    pub fn take(&mut self, digest: &RequestDigest, now: u64) -> Option<Approval> {
        let approved = self.open_for(digest, now)?.status == Status::Approved;
        let id = self.by_digest.get(digest)?.clone();
        approved.then(|| self.close(&id)).flatten()
    }

    /// Puts back an approval whose use could not be recorded.
    pub fn restore(&mut self, approval: Approval) {
        // A newer request for the same digest wins: it is what people see.
        if !self.by_digest.contains_key(&approval.digest) {
            self.by_digest.insert(approval.digest.clone(), approval.id.clone());
            self.open.insert(approval.id.clone(), approval);
        }
    }

    /// Removes an approval that is final.
    pub fn close(&mut self, id: &str) -> Option<Approval> {
        let closed = self.open.remove(id)?;
        if self.by_digest.get(&closed.digest).is_some_and(|open| open == id) {
            self.by_digest.remove(&closed.digest);
        }
        Some(closed)
    }

    /// Approvals whose time is over, in the order of their ids. They stay until [`Inbox::close`], after
    /// the expiry is recorded; until then they can be neither decided nor used.
    pub fn overdue(&self, now: u64) -> Vec<String> {
        self.open.values().filter(|open| now >= open.expires).map(|open| open.id.clone()).collect()
    }

    /// When the next approval expires.
    pub fn next_expiry(&self) -> Option<u64> {
        self.open.values().map(|open| open.expires).min()
    }

    /// Every open approval, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.open.values()
    }
}

#[cfg(test)]
mod tests;
