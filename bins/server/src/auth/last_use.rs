//! When a key was last used, since this start: to the second, and without a look at the clock of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The last use of a key.
#[derive(Debug)]
pub struct LastUse {
    since: Instant,
    /// Whole seconds from `since` to the last use, plus one; 0 without a use.
    seconds: AtomicU64,
}

impl Default for LastUse {
    fn default() -> Self {
        Self { since: Instant::now(), seconds: AtomicU64::new(0) }
    }
}

impl LastUse {
    /// Notes a use at this time, which the request has read anyway.
    pub fn note(&self, now: Instant) {
        let seconds = now.saturating_duration_since(self.since).as_secs().saturating_add(1);
        // Within a second, threads only read the number.
        if self.seconds.load(Ordering::Relaxed) != seconds {
            self.seconds.store(seconds, Ordering::Relaxed);
        }
    }

    /// The time of the last use; none since the start.
    pub fn time(&self) -> Option<Timestamp> {
        let seconds = self.seconds.load(Ordering::Relaxed).checked_sub(1)?;
        let ago = self.since.elapsed().saturating_sub(Duration::from_secs(seconds));
        let now = Timestamp::now();
        now.checked_sub(SignedDuration::try_from(ago).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_last_use_to_the_second() {
        let used = LastUse::default();
        assert_eq!(used.time(), None);
        let first = used.since + Duration::from_secs(10);
        used.note(first);
        used.note(first + Duration::from_millis(300));
        assert_eq!(used.seconds.load(Ordering::Relaxed), 11);
        used.note(used.since);
        let ago = Timestamp::now().duration_since(used.time().unwrap());
        assert!((0..60).contains(&ago.as_secs()), "{ago}");
    }
}
