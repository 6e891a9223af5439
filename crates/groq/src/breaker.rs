//! Circuit breakers, one per model: after repeated failures of a model, calls to it fail immediately
//! for a while, and one call at a time probes whether it responds again.
//!
//! The breaker is per model because providers fail per model: a stall of one says nothing about the
//! others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::deadlines::after;
use crate::settings::BreakerSettings;

/// Models with a breaker of their own; all further models share one.
const MAX_MODELS: usize = 1024;
/// The name under which further models share a breaker.
const OTHERS: &str = "";

/// What an attempt says about the provider's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// The provider responded, even if it rejected the request.
    Success,
    /// It did not.
    Failure,
}

/// Whether calls pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BreakerState {
    /// All calls pass.
    Closed,
    /// One call at a time passes, to probe the provider.
    HalfOpen,
    /// No call passes.
    Open,
}

impl BreakerState {
    /// 0 closed, 1 half-open, 2 open: the value of the gauge `llm_breaker_state`.
    pub fn as_number(self) -> u8 {
        match self {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        }
    }
}

/// The breakers of one provider.
#[derive(Debug)]
pub(crate) struct Breakers {
    settings: BreakerSettings,
    by_model: Mutex<HashMap<String, Arc<Breaker>>>,
}

impl Breakers {
    pub(crate) fn new(settings: BreakerSettings) -> Arc<Self> {
        Arc::new(Self { settings, by_model: Mutex::default() })
    }

    /// Admits one attempt at a call to this model, or returns how long to wait.
    pub(crate) fn admit(
        self: &Arc<Self>,
        model: &str,
        now: Instant,
    ) -> Result<BreakerPermit, Duration> {
        let breaker = self.of(model);
        let probe = breaker.admit(now)?;
        self.show();
        Ok(BreakerPermit { breakers: Arc::clone(self), breaker, probe, reported: false })
    }

    /// The worst state of all models.
    pub(crate) fn state(&self) -> BreakerState {
        let breakers = self.by_model.lock();
        breakers.values().map(|breaker| breaker.state()).max().unwrap_or(BreakerState::Closed)
    }

    pub(crate) fn show(&self) {
        metrics::gauge!("llm_breaker_state").set(f64::from(self.state().as_number()));
    }

    fn of(&self, model: &str) -> Arc<Breaker> {
        let mut breakers = self.by_model.lock();
        if let Some(breaker) = breakers.get(model) {
            return Arc::clone(breaker);
        }
        if breakers.len() >= MAX_MODELS {
            // Callers choose the names, so breakers without failures make room for others.
            breakers.retain(|_, breaker| !breaker.is_fresh());
        }
        let name = if breakers.len() < MAX_MODELS { model } else { OTHERS };
        let new = || Arc::new(Breaker::new(self.settings));
        Arc::clone(breakers.entry(name.to_owned()).or_insert_with(new))
    }
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// The breaker of one model.
#[derive(Debug)]
struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

/// Permits one attempt. Dropped without a report (its caller disconnected), it says nothing about the
/// provider and makes room for another probe.
#[derive(Debug)]
pub(crate) struct BreakerPermit {
    breakers: Arc<Breakers>,
    breaker: Arc<Breaker>,
    probe: bool,
    reported: bool,
}

impl Breaker {
    fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether the attempt is a probe; an error is the time to wait.
    fn admit(&self, now: Instant) -> Result<bool, Duration> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed { .. } => Ok(false),
            State::Open { until } if now < *until => Err(*until - now),
            State::HalfOpen { probing: true } => Err(Duration::from_secs(1)),
            State::Open { .. } | State::HalfOpen { .. } => {
                *state = State::HalfOpen { probing: true };
                Ok(true)
            }
        }
    }

    fn state(&self) -> BreakerState {
        match *self.state.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    fn is_fresh(&self) -> bool {
        matches!(*self.state.lock(), State::Closed { failures: 0 })
    }
}

impl BreakerPermit {
    /// Reports the result of the attempt.
    pub(crate) fn report(mut self, result: CallResult, now: Instant) {
        self.reported = true;
        let settings = self.breaker.settings;
        let open = State::Open { until: after(now, settings.open_for) };
        let mut state = self.breaker.state.lock();
        match (&mut *state, result) {
            (State::Closed { failures }, CallResult::Success) => *failures = 0,
            (State::Closed { failures }, CallResult::Failure) => {
                *failures += 1;
                if *failures >= settings.failures {
                    *state = open;
                }
            }
            (State::HalfOpen { .. }, result) if self.probe => {
                *state = match result {
                    CallResult::Success => State::Closed { failures: 0 },
                    CallResult::Failure => open,
                };
            }
            // An attempt from before the breaker opened: only a probe may close it.
            _ => {}
        }
        drop(state);
        self.breakers.show();
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if self.probe && !self.reported {
            let mut state = self.breaker.state.lock();
            if let State::HalfOpen { probing } = &mut *state {
                *probing = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn opened(now: Instant) -> Arc<Breakers> {
        let breaker = Breakers::new(BreakerSettings { failures: 3, open_for: OPEN_FOR });
        for _ in 0..3 {
            breaker.admit("m", now).unwrap().report(CallResult::Failure, now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn only_consecutive_failures_open_it() {
        let now = Instant::now();
        let breaker = Breakers::new(BreakerSettings { failures: 3, open_for: OPEN_FOR });
        for result in [
            CallResult::Failure,
            CallResult::Failure,
            CallResult::Success,
            CallResult::Failure,
            CallResult::Failure,
        ] {
            breaker.admit("m", now).unwrap().report(result, now);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn while_open_nothing_passes_and_the_wait_is_returned() {
        let now = Instant::now();
        let breaker = opened(now);
        let wait = breaker.admit("m", now + Duration::from_secs(4)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + OPEN_FOR;
        let probe = breaker.admit("m", later).unwrap();
        assert!(breaker.admit("m", later).is_err());
        probe.report(CallResult::Failure, later);
        assert_eq!(breaker.state(), BreakerState::Open);

        let later = later + OPEN_FOR;
        breaker.admit("m", later).unwrap().report(CallResult::Success, later);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_whose_caller_disconnected_makes_room_for_the_next() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.admit("m", now + OPEN_FOR).unwrap());
        assert!(breaker.admit("m", now + OPEN_FOR).is_ok());
    }

    #[test]
    fn a_success_from_before_it_opened_does_not_close_it() {
        let now = Instant::now();
        let breaker = Breakers::new(BreakerSettings { failures: 1, open_for: OPEN_FOR });
        let old = breaker.admit("m", now).unwrap();
        breaker.admit("m", now).unwrap().report(CallResult::Failure, now);
        old.report(CallResult::Success, now);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn the_failures_of_one_model_leave_the_others_alone() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(breaker.admit("m", now).is_err());
        assert!(breaker.admit("n", now).is_ok());
        for n in 0..2 * MAX_MODELS {
            assert!(breaker.admit(&format!("model-{n}"), now).is_ok());
        }
        assert!(breaker.by_model.lock().len() <= MAX_MODELS);
        assert!(breaker.admit("m", now).is_err());
    }
}
