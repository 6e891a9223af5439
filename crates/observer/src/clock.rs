//! The clock that instances of a shared journal have in common: that of the store.
//!
//! Each instance knows how far the store's clock is ahead of its own, and adds that to its own time. Expiries, days and
//! minutes are then those of the rows' times, on every instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::journal::Journal;

/// Smaller differences are no reason to correct a clock: they may be those of the measurement.
const STEADY: Duration = Duration::from_millis(250);

/// How far the clock of a store is ahead of the clock of this process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ClockLead(Arc<AtomicI64>);

impl ClockLead {
    /// Notes a measurement: the store's time, and this process's before the question and after the answer, all in
    /// microseconds since 1970.
    pub fn measured(&self, theirs: i64, before: i64, after: i64) {
        let lead = theirs.saturating_sub(before.midpoint(after));
        let error = STEADY.as_micros().max(u128::from(after.abs_diff(before)));
        if u128::from(lead.abs_diff(self.0.load(Ordering::Relaxed))) > error {
            self.0.store(lead, Ordering::Relaxed);
        }
    }

    /// The store's time when this process's is `ours`.
    pub fn apply(&self, ours: Timestamp) -> Timestamp {
        let lead = SignedDuration::from_micros(self.0.load(Ordering::Relaxed));
        ours.checked_add(lead).unwrap_or(ours)
    }
}

impl Journal {
    /// The present time. For a shared journal, this is the time of the store.
    pub fn now(&self) -> Timestamp {
        let ours = Timestamp::now();
        self.sharing().map_or(ours, |sharing| sharing.lead.apply(ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_lead_is_corrected_if_it_differs_by_more_than_the_measurement() {
        let (lead, ours) = (ClockLead::default(), Timestamp::UNIX_EPOCH);
        let seconds = |lead: &ClockLead| lead.apply(ours).as_second();
        lead.measured(100 * SECOND + 200_000, 100 * SECOND, 100 * SECOND);
        assert_eq!(lead.apply(ours), ours);
        lead.measured(40 * SECOND, 100 * SECOND, 100 * SECOND);
        assert_eq!(seconds(&lead), -60);
        // A process that stood still for ten seconds does not know when the store looked at its clock.
        lead.measured(45 * SECOND, 100 * SECOND, 110 * SECOND);
        assert_eq!(seconds(&lead), -60);
        lead.measured(500 * SECOND, 100 * SECOND, 110 * SECOND);
        assert_eq!(seconds(&lead), 395);
        lead.measured(i64::MAX, i64::MIN, i64::MIN);
        assert_eq!(lead.apply(ours), ours, "a time beyond all calendars");
    }
}
