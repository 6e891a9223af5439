//! Approvals: a person permits one exact request, once, for a limited time.
//!
//! [`Inbox`] is a pure state machine over recorded facts. The service records every transition in the
//! journal and rebuilds the inbox from those rows at start, so a decision that is not in the hash chain
//! does not exist. An approval is bound to a [`RequestDigest`] over the exact arguments, the caller, the
//! agent and the policy: a request that differs in any of them needs an approval of its own.

mod digest;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use digest::{ApprovalKey, BoundTo, ContentDigest, RequestDigest};

/// Most approvals that may be open at a time.
pub const MAX_OPEN: usize = 10_000;

/// Most open approvals of one caller, so that a loop of asking calls cannot bury the requests that people
/// should see.
pub const MAX_OPEN_OF_CALLER: usize = 200;

/// A request that waits for a person, or was decided and not yet used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The number of the row that records the request.
    pub id: u64,
    /// The caller that asked.
    pub principal: String,
    /// The person accountable for that caller, where known.
    pub person: Option<String>,
    /// Fingerprint of the caller's key, where it has one: two names for one key are one caller.
    pub key: Option<String>,
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ApprovalStatus))]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// The caller may repeat the request once.
    Approved,
    /// A person refused it.
    Denied,
    /// The request was repeated and passed.
    Used,
    /// It was not decided, or not used, in time.
    Expired,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Approved, Status::Denied, Status::Used, Status::Expired];

    /// The name in requests and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Approved => "approved",
            Status::Denied => "denied",
            Status::Used => "used",
            Status::Expired => "expired",
        }
    }

    /// Whether the approval can still be decided or used.
    pub fn is_open(self) -> bool {
        matches!(self, Status::Pending | Status::Approved)
    }
}

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    /// The deciding caller.
    pub principal: &'a str,
    /// The person accountable for it, where known.
    pub person: Option<&'a str>,
    /// Fingerprint of its key, where it has one.
    pub key: Option<&'a str>,
}

/// An approval that its request is about to use. Only [`Inbox::take`] makes one, and it cannot be copied:
/// it turns the denial of exactly one request into a permit.
#[derive(Debug)]
pub struct Granted {
    approval: Approval,
    content: ContentDigest,
}

impl Granted {
    /// The approval.
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The content of the approved request.
    pub(crate) fn content(&self) -> &ContentDigest {
        &self.content
    }
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
pub enum InboxFull {
    /// Too many approvals of all callers.
    #[error("{MAX_OPEN} approvals are open; have some of them decided first")]
    Whole,
    /// Too many approvals of this caller.
    #[error(
        "{MAX_OPEN_OF_CALLER} approvals of this caller are open; have some of them decided first"
    )]
    OfCaller,
}

/// All approvals that are not final yet.
#[derive(Debug, Default)]
pub struct Inbox {
    open: BTreeMap<u64, Approval>,
    by_digest: BTreeMap<RequestDigest, u64>,
}

impl Inbox {
    /// The open approval of a request at this time: the same request asked again does not ask twice.
    pub fn open_for(&self, digest: &RequestDigest, now: u64) -> Option<&Approval> {
        let approval = self.open.get(self.by_digest.get(digest)?)?;
        (now < approval.expires).then_some(approval)
    }

    /// Whether this caller may ask for one more approval.
    ///
    /// # Errors
    /// [`InboxFull`] if too many approvals are open.
    pub fn has_room(&self, principal: &str) -> Result<(), InboxFull> {
        let own = |open: &&Approval| open.principal == principal;
        if self.open.len() >= MAX_OPEN {
            Err(InboxFull::Whole)
        } else if self.open.values().filter(own).count() >= MAX_OPEN_OF_CALLER {
            Err(InboxFull::OfCaller)
        } else {
            Ok(())
        }
    }

    /// Adds an approval after its row was recorded. An older one for the same request can no longer be
    /// used, and expires. The bounds do not apply: what is recorded exists.
    pub fn add(&mut self, approval: Approval) {
        self.by_digest.insert(approval.digest.clone(), approval.id);
        self.open.insert(approval.id, approval);
    }

    /// An open approval.
    pub fn get(&self, id: u64) -> Option<&Approval> {
        self.open.get(&id)
    }

    /// Whether this caller may decide this approval now. Changes nothing: the decision counts once it is
    /// recorded and passed to [`Inbox::decided`].
    pub fn may_decide(
        &self,
        id: u64,
        by: &Decider<'_>,
        now: u64,
    ) -> Result<&Approval, DecisionError> {
        let approval = self.open.get(&id).ok_or(DecisionError::NotFound)?;
        let same = |a: Option<&str>, b: Option<&str>| a.is_some() && a == b;
        if approval.principal == by.principal
            || same(approval.person.as_deref(), by.person)
            || same(approval.key.as_deref(), by.key)
        {
            return Err(DecisionError::OwnRequest);
        }
        if approval.status != Status::Pending {
            return Err(DecisionError::AlreadyDecided);
        }
        if now >= approval.expires { Err(DecisionError::Expired) } else { Ok(approval) }
    }

    /// Applies a recorded decision. A denied approval is no longer open.
    pub fn decided(&mut self, id: u64, approved: bool) {
        if !approved {
            self.close(id);
        } else if let Some(approval) = self.open.get_mut(&id) {
            approval.status = Status::Approved;
        }
    }

    /// Whether a person has approved this request and it has not been used.
    pub fn is_approved(&self, digest: &RequestDigest, now: u64) -> bool {
        self.open_for(digest, now).is_some_and(|open| open.status == Status::Approved)
    }

    /// Takes the approved approval of a request out of the inbox, so that it can pass once. The caller
    /// records the use, and puts the approval back with [`Inbox::restore`] if recording fails.
    pub fn take(&mut self, key: &ApprovalKey, bound: &BoundTo<'_>, now: u64) -> Option<Granted> {
        let digest = RequestDigest::of(key, bound);
        if !self.is_approved(&digest, now) {
            return None;
        }
        let id = *self.by_digest.get(&digest)?;
        let approval = self.close(id)?;
        Some(Granted { approval, content: bound.content.clone() })
    }

    /// Puts back an approval whose use could not be recorded.
    pub fn restore(&mut self, granted: Granted) {
        let approval = granted.approval;
        // A newer request for the same digest wins: it is what people see.
        self.by_digest.entry(approval.digest.clone()).or_insert(approval.id);
        self.open.insert(approval.id, approval);
    }

    /// Removes an approval that is final.
    pub fn close(&mut self, id: u64) -> Option<Approval> {
        let closed = self.open.remove(&id)?;
        if self.by_digest.get(&closed.digest) == Some(&id) {
            self.by_digest.remove(&closed.digest);
        }
        Some(closed)
    }

    /// Approvals whose time is over, in the order of their ids. They stay until [`Inbox::close`], after
    /// the expiry is recorded; until then they can be neither decided nor used.
    pub fn overdue(&self, now: u64) -> Vec<u64> {
        self.open.values().filter(|open| now >= open.expires).map(|open| open.id).collect()
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
