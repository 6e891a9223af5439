//! The approvals in memory: the inbox, and what lists show.

use std::collections::{BTreeMap, BTreeSet};

use life_agent_domain::governance::approval::{Approval, Inbox, Status};
use life_agent_domain::governance::command::Kind;
use life_agent_domain::governance::event::ApprovalDecision;
use life_agent_domain::governance::ids::AgentId;

use super::views::ApprovalDecided;

/// Closed approvals that lists show.
const MAX_CLOSED: usize = 1000;

/// The approvals in memory.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) inbox: Inbox,
    shown: BTreeMap<u64, Shown>,
    closed: BTreeSet<u64>,
}

/// What lists show of an approval.
pub(super) struct Shown {
    pub(super) principal: String,
    pub(super) person: Option<String>,
    pub(super) agent: Option<AgentId>,
    pub(super) kind: Kind,
    pub(super) summary: String,
    /// The time of its row.
    pub(super) created: String,
    /// In milliseconds since 1970.
    pub(super) expires: u64,
    pub(super) status: Status,
    pub(super) decided: Option<ApprovalDecided>,
}

impl Shown {
    /// The status at a time: an approval is expired before its row says so.
    pub(super) fn status_at(&self, now: u64) -> Status {
        if self.status.is_open() && now >= self.expires { Status::Expired } else { self.status }
    }
}

impl Desk {
    pub(super) fn add(&mut self, approval: Approval, shown: Shown) {
        self.shown.insert(approval.id, shown);
        self.inbox.add(approval);
    }

    pub(super) fn shown(&self, id: u64) -> Option<&Shown> {
        self.shown.get(&id)
    }

    /// Newest first, older than `before`.
    pub(super) fn newest(&self, before: Option<u64>) -> impl Iterator<Item = (u64, &Shown)> {
        let end = before.unwrap_or(u64::MAX);
        self.shown.range(..end).rev().map(|(id, shown)| (*id, shown))
    }

    /// Applies a recorded decision.
    pub(super) fn decided(&mut self, id: u64, decided: ApprovalDecided) {
        let approved = decided.decision == ApprovalDecision::Approve;
        self.inbox.decided(id, approved);
        if let Some(shown) = self.shown.get_mut(&id) {
            shown.decided = Some(decided);
            shown.status = Status::Approved;
        }
        if !approved {
            self.close(id, Status::Denied);
        }
    }

    /// Removes an approval from the inbox for good.
    pub(super) fn close(&mut self, id: u64, status: Status) {
        self.inbox.close(id);
        let Some(shown) = self.shown.get_mut(&id) else { return };
        shown.status = status;
        self.closed.insert(id);
        while self.closed.len() > MAX_CLOSED {
            if let Some(oldest) = self.closed.pop_first() {
                self.shown.remove(&oldest);
            }
        }
    }
}
