//! The clock for the times that callers and rows show.

use std::sync::Arc;
use std::time::SystemTime;

/// Tells the time. The default is the system's clock; tests and simulations can supply their own. Rate
/// limits, deadlines and the times of journal rows do not use it.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A shared clock that formats the time.
#[derive(Clone)]
pub(crate) struct Timestamps(Arc<dyn Clock>);

impl Timestamps {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::try_from(self.0.now()).unwrap_or_default()
    }

    /// The current time: RFC 3339, UTC, microseconds.
    pub(crate) fn text(&self) -> String {
        format!("{:.6}", self.now())
    }
}
