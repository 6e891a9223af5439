//! Falsifications of a history. The checker must find each of them.

use std::collections::BTreeSet;

use clap::ValueEnum;
use jiff::SignedDuration;

use super::{Call, Followed, History, Kind, Promise, Row};

/// A falsification that the checker must detect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// An answered row is missing.
    LostRow,
    /// A row does not continue the one before it.
    BrokenLink,
    /// A key has two effects.
    DoubleEffect,
    /// A request was refused and is a row.
    FalseRefusal,
    /// An agent goes back to a version.
    ForkedAgent,
    /// An act follows the row that turned the kill switch on.
    ActWhileStopped,
    /// An approval is used twice.
    ApprovalUsedTwice,
    /// A stream leaves out a row.
    SkippedEvent,
    /// A stream has a row twice.
    RepeatedEvent,
    /// A state is older than an answer before the request.
    StaleRead,
    /// More calls are made than the budget has.
    BudgetExceeded,
    /// A call is made without a reservation.
    UnreservedCall,
    /// A row has the time of an instance whose clock differs.
    WrongClock,
    /// An approval expires at the time of an instance whose clock differs.
    WrongExpiry,
}

impl Fault {
    /// What the falsified history breaks.
    pub(crate) fn breaks(self) -> Promise {
        match self {
            Fault::LostRow => Promise::Answers,
            Fault::BrokenLink => Promise::Chain,
            Fault::DoubleEffect => Promise::Effects,
            Fault::FalseRefusal => Promise::Honesty,
            Fault::ForkedAgent => Promise::Agents,
            Fault::ActWhileStopped => Promise::Controls,
            Fault::ApprovalUsedTwice => Promise::Approvals,
            Fault::SkippedEvent | Fault::RepeatedEvent => Promise::Streams,
            Fault::StaleRead => Promise::RealTime,
            Fault::BudgetExceeded | Fault::UnreservedCall => Promise::Budgets,
            Fault::WrongClock | Fault::WrongExpiry => Promise::Times,
        }
    }
}

impl History {
    /// Falsifies what was seen; `None` if there is nothing to falsify.
    pub(in crate::storm) fn falsify(&mut self, fault: Fault) -> Option<()> {
        let a_day = SignedDuration::from_hours(26);
        match fault {
            Fault::LostRow => {
                let answered: BTreeSet<_> = self.calls.iter().filter_map(Call::event_id).collect();
                let is_answered = |row: &Row| row.marker().is_some() && answered.contains(&row.id);
                let lost = self.rows.iter().rposition(is_answered)?;
                self.rows.remove(lost);
            }
            Fault::BrokenLink => {
                let middle = self.rows.len() / 2;
                self.rows.get_mut(middle)?.prev_hash = "0".repeat(64);
            }
            Fault::DoubleEffect => {
                let is_act = |row: &Row| row.kind == "obs.act" && row.marker().is_some();
                let one = self.rows.iter().find(|row| is_act(row))?.data.clone();
                self.rows.iter_mut().rfind(|row| is_act(row))?.data = one;
            }
            Fault::FalseRefusal => {
                let is_bare = |call: &&mut Call| matches!(call.kind, Kind::Bare { .. });
                let mut bare = self.calls.iter_mut().filter(is_bare);
                bare.find(|call| call.is_answered())?.status = 503;
            }
            Fault::ForkedAgent => {
                let mut acts = self.rows.iter_mut().filter(|row| row.marker().is_some());
                acts.find(|row| row.data["state_version"] == 2)?.data["state_version"] = 1.into();
            }
            Fault::ActWhileStopped => {
                let on = self.rows.iter().position(|row| row.kind == "kill_switch.on")?;
                let later = self.rows[on..].iter_mut().find(|row| row.kind == "kill_switch.off")?;
                later.kind = "obs.act".to_owned();
            }
            Fault::ApprovalUsedTwice => {
                let mut used = self.rows.iter_mut().filter(|row| row.kind == "approval.used");
                let data = used.next()?.data.clone();
                used.next()?.data = data;
            }
            Fault::SkippedEvent => {
                let followed = self.followed.first_mut()?;
                (!followed.is_empty()).then(|| followed.remove(followed.len() / 2))?;
            }
            Fault::RepeatedEvent => {
                let followed = self.followed.last_mut()?;
                let middle = followed.len() / 2;
                let again: Followed = followed.get(middle)?.clone();
                followed.insert(middle, again);
            }
            Fault::StaleRead => {
                let is_read = |call: &&mut Call| {
                    let version = call.body["state"]["version"].as_u64();
                    matches!(call.kind, Kind::Read { .. }) && version > Some(1)
                };
                let read = self.calls.iter_mut().filter(is_read).last()?;
                read.body["state"]["version"] = 0.into();
            }
            Fault::BudgetExceeded => {
                let call = self.modeled.first()?.clone();
                let limit = usize::try_from(crate::storm::model::REQUESTS).ok()?;
                self.modeled = vec![call; limit + 1];
            }
            Fault::UnreservedCall => {
                self.modeled.first()?;
                self.modeled[0] = "chat-without-a-reservation".to_owned();
            }
            Fault::WrongClock => {
                let row = self.rows.last_mut()?;
                row.ts += a_day;
            }
            Fault::WrongExpiry => {
                let mut asked = self.rows.iter_mut().filter(|row| row.kind == "approval.requested");
                let row = asked.next()?;
                row.data["expires_at"] = (row.ts + a_day).to_string().into();
            }
        }
        Some(())
    }
}
