//! When to retry: which failures, after which pause, and a budget for all calls together.

use std::time::Duration;

use parking_lot::Mutex;

use crate::breaker::CallResult;
use crate::error::ChatError;
use crate::rejection::Rejection;
use crate::settings::Retries;

/// A failed attempt.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Failure {
    /// The error that the caller gets if there is no further attempt.
    pub(crate) error: ChatError,
    /// What the provider said, if it rejected the request.
    pub(crate) rejection: Option<Box<Rejection>>,
    /// Whether another attempt can succeed.
    pub(crate) retry: Retry,
    /// What the attempt says about the provider's health.
    pub(crate) result: CallResult,
}

/// Whether another attempt can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No.
    Never,
    /// Yes, after a pause of our choice.
    Soon,
    /// Yes, after the pause that the provider asks for.
    After(Duration),
}

impl Failure {
    /// A failure of the provider that a retry does not help.
    pub(crate) fn of_provider(error: ChatError) -> Self {
        Self { error, rejection: None, retry: Retry::Never, result: CallResult::Failure }
    }

    /// A request that the provider does not accept. It says nothing about the provider's health.
    pub(crate) fn of_request(error: ChatError) -> Self {
        Self { result: CallResult::Success, ..Self::of_provider(error) }
    }

    pub(crate) fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    pub(crate) fn with(self, rejection: Rejection) -> Self {
        Self { rejection: Some(Box::new(rejection)), ..self }
    }
}

/// No pause is longer, whatever the settings say.
const LONGEST: Duration = Duration::from_secs(3600);

/// The pause before retry `nth` (0 is the first), or none if there should be no further attempt.
/// Full jitter: `draw` (0 to 1) times a bound that doubles with each retry, so that callers that
/// failed together do not return together. A pause that the provider asks for gets jitter of at most
/// the first bound, for the same reason.
pub(crate) fn pause(settings: &Retries, retry: Retry, nth: u32, draw: f64) -> Option<Duration> {
    let draw = if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 1.0 };
    let bound = |nth: u32| {
        let doubled = settings.base.saturating_mul(2_u32.saturating_pow(nth));
        doubled.min(settings.cap).min(LONGEST).mul_f64(draw)
    };
    match retry {
        Retry::Never => None,
        Retry::Soon => Some(bound(nth)),
        Retry::After(asked) => {
            (asked <= settings.retry_after_max).then(|| asked.saturating_add(bound(0)))
        }
    }
}

/// Bounds the retries of all calls together, so that they cannot multiply the load on a provider that
/// is down: a bucket that each call fills a little and that each retry takes one from.
#[derive(Debug)]
pub(crate) struct Budget {
    ratio: f64,
    reserve: f64,
    left: Mutex<f64>,
}

impl Budget {
    pub(crate) fn new(settings: &Retries) -> Self {
        let reserve = settings.budget_reserve.max(0.0);
        Self { ratio: settings.budget_ratio.max(0.0), reserve, left: Mutex::new(reserve) }
    }

    /// A call begins.
    pub(crate) fn deposit(&self) {
        let mut left = self.left.lock();
        *left = (*left + self.ratio).min(self.reserve);
    }

    /// Takes one retry out of the budget, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        let mut left = self.left.lock();
        // Ten tenths are a little less than one in binary.
        let enough = *left >= 1.0 - 1e-9;
        if enough {
            *left = (*left - 1.0).max(0.0);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Settings;

    fn retries() -> Retries {
        Settings::new("k".into()).retries
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let longest = |nth| pause(&retries(), Retry::Soon, nth, 1.0).unwrap().as_millis();
        let pauses: Vec<_> = (0..6).map(longest).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 4000]);
    }

    #[test]
    fn the_providers_wish_is_honoured_up_to_a_bound() {
        let asked = |secs| pause(&retries(), Retry::After(Duration::from_secs(secs)), 0, 0.0);
        assert_eq!(asked(10), Some(Duration::from_secs(10)));
        assert_eq!(asked(11), None);
        assert_eq!(pause(&retries(), Retry::Never, 0, 0.5), None);
    }

    #[test]
    fn the_budget_allows_its_reserve_and_then_one_retry_in_ten_calls() {
        let budget = Budget::new(&Retries { budget_reserve: 2.0, ..retries() });
        assert_eq!([budget.withdraw(), budget.withdraw(), budget.withdraw()], [true, true, false]);
        (0..9).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!([budget.withdraw(), budget.withdraw(), budget.withdraw()], [true, true, false]);
    }

    #[test]
    fn absurd_settings_do_not_break_it() {
        let absurd = Retries { base: Duration::MAX, cap: Duration::MAX, ..retries() };
        for draw in [1.0, f64::NAN, f64::INFINITY, -1.0] {
            assert!(pause(&absurd, Retry::Soon, 3, draw).unwrap() <= LONGEST);
        }
    }

    proptest! {
        #[test]
        fn no_pause_leaves_its_bounds(nth in any::<u32>(), draw in any::<f64>(), asked in 0..20_u64) {
            let cap = retries().cap;
            if let Some(pause) = pause(&retries(), Retry::Soon, nth, draw) {
                prop_assert!(pause <= cap);
            }
            let asked = Duration::from_secs(asked);
            if let Some(pause) = pause(&retries(), Retry::After(asked), nth, draw) {
                prop_assert!(pause >= asked && pause <= asked + retries().base);
            }
        }
    }
}
