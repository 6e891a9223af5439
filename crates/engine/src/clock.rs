//! The clock for the times that callers and rows show.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use life_agent_observer::store::ClockLead;

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

/// A shared clock that formats the time. Clones share it.
#[derive(Clone)]
pub(crate) struct Timestamps {
    clock: Arc<dyn Clock>,
    lead: Arc<OnceLock<ClockLead>>,
}

impl Timestamps {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lead: Arc::default() }
    }

    /// Goes by the clock that instances of a journal share from here on.
    pub(crate) fn follow(&self, lead: ClockLead) {
        let _ = self.lead.set(lead);
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        let ours = jiff::Timestamp::try_from(self.clock.now()).unwrap_or_default();
        self.lead.get().map_or(ours, |lead| lead.apply(ours))
    }

    /// The current time: RFC 3339, UTC, microseconds.
    pub(crate) fn text(&self) -> String {
        format!("{:.6}", self.now())
    }
}
