//! The circuit breaker: leaves a provider alone that fails again and again, and probes it later.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::patience::after;
use crate::settings::BreakerSettings;

/// What an attempt says about the provider's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It works, whatever it thought of the request.
    Well,
    /// It does not.
    Ill,
}

/// Whether calls pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// They do.
    Closed,
    /// One at a time does, to see whether the provider is well again.
    HalfOpen,
    /// They do not.
    Open,
}

impl BreakerState {
    /// 0 closed, 1 half-open, 2 open; what the gauge `llm_breaker_state` shows.
    pub fn as_number(self) -> u8 {
        match self {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        }
    }
}

#[derive(Debug)]
enum Inner {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
}

/// Leave to make one attempt. Dropped without a report (a caller left), it says nothing about the
/// provider, and makes room for another probe.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
    reported: bool,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, inner: Mutex::new(Inner::Closed { failures: 0 }) }
    }

    /// Leave for one attempt, or how long to stay away.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Result<Pass, Duration> {
        let mut inner = self.inner.lock();
        let probe = match &mut *inner {
            Inner::Closed { .. } => false,
            Inner::Open { until } if now < *until => return Err(*until - now),
            Inner::HalfOpen { probing: true } => return Err(Duration::from_secs(1)),
            Inner::Open { .. } | Inner::HalfOpen { .. } => {
                *inner = Inner::HalfOpen { probing: true };
                true
            }
        };
        drop(inner);
        self.show();
        Ok(Pass { breaker: Arc::clone(self), probe, reported: false })
    }

    pub(crate) fn state(&self) -> BreakerState {
        match *self.inner.lock() {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::HalfOpen { .. } => BreakerState::HalfOpen,
            Inner::Open { .. } => BreakerState::Open,
        }
    }

    pub(crate) fn show(&self) {
        metrics::gauge!("llm_breaker_state").set(f64::from(self.state().as_number()));
    }
}

impl Pass {
    /// What the attempt came to.
    pub(crate) fn report(mut self, health: Health, now: Instant) {
        self.reported = true;
        let settings = self.breaker.settings;
        let open = Inner::Open { until: after(now, settings.open_for) };
        let mut inner = self.breaker.inner.lock();
        match (&mut *inner, health) {
            (Inner::Closed { failures }, Health::Well) => *failures = 0,
            (Inner::Closed { failures }, Health::Ill) => {
                *failures += 1;
                if *failures >= settings.failures {
                    *inner = open;
                }
            }
            (Inner::HalfOpen { .. }, health) if self.probe => {
                *inner = match health {
                    Health::Well => Inner::Closed { failures: 0 },
                    Health::Ill => open,
                };
            }
            // An attempt from before it opened: only a probe may close it.
            _ => {}
        }
        drop(inner);
        self.breaker.show();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe && !self.reported {
            let mut inner = self.breaker.inner.lock();
            if let Inner::HalfOpen { probing } = &mut *inner {
                *probing = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn opened(now: Instant) -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::new(BreakerSettings { failures: 3, open_for: OPEN_FOR }));
        for _ in 0..3 {
            breaker.admit(now).unwrap().report(Health::Ill, now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let now = Instant::now();
        let breaker = Arc::new(Breaker::new(BreakerSettings { failures: 3, open_for: OPEN_FOR }));
        for health in [Health::Ill, Health::Ill, Health::Well, Health::Ill, Health::Ill] {
            breaker.admit(now).unwrap().report(health, now);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn while_open_nothing_passes_and_the_wait_is_told() {
        let now = Instant::now();
        let breaker = opened(now);
        let wait = breaker.admit(now + Duration::from_secs(4)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + OPEN_FOR;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err());
        probe.report(Health::Ill, later);
        assert_eq!(breaker.state(), BreakerState::Open);

        let later = later + OPEN_FOR;
        breaker.admit(later).unwrap().report(Health::Well, later);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_whose_caller_left_makes_room_for_the_next() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.admit(now + OPEN_FOR).unwrap());
        assert!(breaker.admit(now + OPEN_FOR).is_ok());
    }

    #[test]
    fn an_old_attempt_that_ends_well_does_not_close_it() {
        let now = Instant::now();
        let breaker = Arc::new(Breaker::new(BreakerSettings { failures: 1, open_for: OPEN_FOR }));
        let old = breaker.admit(now).unwrap();
        breaker.admit(now).unwrap().report(Health::Ill, now);
        old.report(Health::Well, now);
        assert_eq!(breaker.state(), BreakerState::Open);
    }
}
