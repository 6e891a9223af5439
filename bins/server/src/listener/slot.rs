//! The slot of one open connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use metrics::Gauge;
use tokio::sync::OwnedSemaphorePermit;

/// One open connection.
pub(crate) struct Slot {
    open: Gauge,
    /// Given back once a key was presented; none from the beginning for a connection on probation.
    anonymous: Mutex<Option<OwnedSemaphorePermit>>,
    on_probation: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

impl Slot {
    /// Counts a connection; one without a slot for anybody is on probation.
    pub(super) fn new(
        open: Gauge,
        permit: OwnedSemaphorePermit,
        anonymous: Option<OwnedSemaphorePermit>,
    ) -> Self {
        open.increment(1);
        let on_probation = AtomicBool::new(anonymous.is_none());
        Self { open, on_probation, anonymous: Mutex::new(anonymous), _permit: permit }
    }

    /// Whether the connection must present a key to go on.
    pub(crate) fn is_on_probation(&self) -> bool {
        self.on_probation.load(Ordering::Relaxed)
    }

    /// A request of the connection presented a valid key.
    pub(crate) fn prove(&self) {
        self.on_probation.store(false, Ordering::Relaxed);
        self.anonymous.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
