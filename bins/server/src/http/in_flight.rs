//! The bound on concurrent requests per path.
//!
//! Each path has its own bound, so that turns waiting for a model do not keep acts out. Health, metrics, the kill
//! switch and event streams have none: an operator needs them most when everything else is busy.

use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Concurrent requests of each bounded path; one value for all workers.
pub struct InFlight {
    paths: Vec<(&'static str, Semaphore, Gauge)>,
    refused: Counter,
}

/// The slot of one request.
pub struct Slot<'a> {
    gauge: &'a Gauge,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.gauge.decrement(1);
    }
}

impl InFlight {
    /// Up to `max` concurrent requests to each of these paths.
    pub fn new(max: usize, paths: impl IntoIterator<Item = &'static str>) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let bound = |path: &'static str| {
            let gauge = gauge!("http_requests_in_flight", "route" => path);
            gauge.set(0);
            (path, Semaphore::new(max), gauge)
        };
        let refused = counter!("overload_refused_total", "reason" => "in_flight");
        Self { paths: paths.into_iter().map(bound).collect(), refused }
    }

    /// A slot for one more request to this path, unless the path is at its bound.
    pub fn slot(&self, path: &'static str) -> Option<Slot<'_>> {
        let (_, semaphore, gauge) = self.paths.iter().find(|(bounded, ..)| *bounded == path)?;
        let permit = semaphore.try_acquire().ok()?;
        gauge.increment(1);
        Some(Slot { gauge, _permit: permit })
    }

    /// Counts a refused request.
    pub fn count_refusal(&self) {
        self.refused.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_own_slots_and_gets_them_back() {
        let bounds = InFlight::new(2, ["/a", "/b"]);
        let held = [bounds.slot("/a"), bounds.slot("/a")];
        assert!(held.iter().all(Option::is_some));
        assert!(bounds.slot("/a").is_none());
        assert!(bounds.slot("/b").is_some());
        drop(held);
        assert!(bounds.slot("/a").is_some());
    }
}
