//! The rate limit on everything that one principal sends, reads and checks included.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use life_agent_engine::LimitReport;
use life_agent_engine::shared_counters::{Bucket, SharedLimits, SharedVerdict, Taken};

/// The limits that apply to a response (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of a limit, and when it is whole again.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The setting of the limit, unless the key has its own.
pub const SETTING: &str = "RATE_LIMIT_PRINCIPAL_RPS";
/// Where a key has its own limit.
pub const OWN: &str = "`rate` in KEYS_FILE";

/// A limit and its state.
pub struct RequestLimit {
    /// Requests per second.
    pub rps: u32,
    setting: &'static str,
    policy: HeaderValue,
    limiter: Local,
    /// This instance's part of the limit while the shared counters do not respond, and by what it is divided.
    part: Mutex<Option<(u32, Arc<Local>)>>,
    clock: DefaultClock,
}

type Local = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Why a request was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It is over the limit.
    Exceeded {
        /// The seconds after which a retry may pass.
        retry_after: u64,
    },
    /// The shared counters do not respond, and the fallback refuses.
    Unavailable,
}

/// What a counted request leaves of its limit; kept with the request for the headers of its response.
#[derive(Debug, Clone)]
pub struct Standing {
    policy: HeaderValue,
    remaining: u32,
    /// Seconds until the limit is whole again.
    reset: u64,
}

impl RequestLimit {
    /// A limit of `rps` requests per second, or of the key's own; none for 0.
    pub fn new(own: Option<u32>, rps: u32) -> Option<Self> {
        let setting = if own.is_some() { OWN } else { SETTING };
        let rps = NonZeroU32::new(own.unwrap_or(rps))?;
        let limiter = local(rps);
        let rps = rps.get();
        let policy = policy("principal", rps.into(), 1)?;
        let (part, clock) = (Mutex::default(), DefaultClock::default());
        Some(Self { rps, setting, policy, limiter, part, clock })
    }

    /// Counts a request in memory.
    ///
    /// # Errors
    /// The request is over the limit.
    pub fn take(&self) -> Result<Standing, NotTaken> {
        self.take_from(&self.limiter)
    }

    /// Counts a request of a principal with all instances together.
    ///
    /// # Errors
    /// The request is over the limit, or cannot be counted.
    pub async fn take_shared(
        &self,
        principal: &str,
        shared: &SharedLimits,
    ) -> Result<Standing, NotTaken> {
        let bucket = Bucket {
            name: format!("principal:{}:{principal}", principal.len()),
            quota: self.rps,
            window: Duration::from_secs(1),
            burst: self.rps,
        };
        match shared.take(&bucket).await {
            SharedVerdict::Counted(Taken::Within { remaining }) => Ok(self.standing(remaining)),
            SharedVerdict::Counted(Taken::Exceeded { retry_after }) => {
                Err(exceeded_for(retry_after))
            }
            SharedVerdict::Local { instances } => self.take_from(&self.part_of(instances)),
            SharedVerdict::Refused => Err(NotTaken::Unavailable),
        }
    }

    fn take_from(&self, limiter: &Local) -> Result<Standing, NotTaken> {
        match limiter.check() {
            Ok(state) => Ok(self.standing(state.remaining_burst_capacity())),
            Err(not_until) => Err(exceeded_for(not_until.wait_time_from(self.clock.now()))),
        }
    }

    fn standing(&self, remaining: u32) -> Standing {
        Standing { policy: self.policy.clone(), remaining, reset: 1 }
    }

    /// The part of one of several instances, rounded up.
    fn part_of(&self, instances: u32) -> Arc<Local> {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        match &*part {
            Some((divisor, limiter)) if *divisor == instances => Arc::clone(limiter),
            _ => {
                let rps = NonZeroU32::new(self.rps.div_ceil(instances.max(1)));
                let limiter = Arc::new(local(rps.unwrap_or(NonZeroU32::MIN)));
                *part = Some((instances, Arc::clone(&limiter)));
                limiter
            }
        }
    }

    /// The limit, for a response.
    pub fn report(&self) -> LimitReport {
        LimitReport {
            name: "principal",
            scope: "principal",
            setting: self.setting,
            quota: self.rps.into(),
            window_seconds: 1,
        }
    }
}

impl std::fmt::Debug for RequestLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestLimit").field("rps", &self.rps).finish_non_exhaustive()
    }
}

impl Standing {
    /// Adds the headers of a response that has none from a limit that it exceeds.
    pub fn insert(&self, headers: &mut HeaderMap) {
        if headers.contains_key(RATELIMIT) {
            return;
        }
        if let Some(left) = left("principal", self.remaining, self.reset) {
            headers.insert(RATELIMIT, left);
            headers.insert(RATELIMIT_POLICY, self.policy.clone());
        }
    }
}

/// Both headers for a request over a limit.
pub fn exceeded(limit: &LimitReport, retry_after: u64) -> [(HeaderName, Option<HeaderValue>); 2] {
    [
        (RATELIMIT_POLICY, policy(limit.name, limit.quota, limit.window_seconds)),
        (RATELIMIT, left(limit.name, 0, retry_after)),
    ]
}

fn local(rps: NonZeroU32) -> Local {
    RateLimiter::direct(Quota::per_second(rps)).with_middleware()
}

/// Rounded up, so that a retry after this time passes.
fn exceeded_for(wait: Duration) -> NotTaken {
    let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    NotTaken::Exceeded { retry_after: seconds.max(1) }
}

fn policy(name: &str, quota: u64, window: u64) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{name}\";q={quota};w={window}")).ok()
}

fn left(name: &str, remaining: u32, reset: u64) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{name}\";r={remaining};t={reset}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_down_and_then_refuses() {
        let limit = RequestLimit::new(Some(2), 50).unwrap();
        let shown = |standing: &Standing| {
            let mut headers = HeaderMap::new();
            standing.insert(&mut headers);
            let text = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
            (text(RATELIMIT_POLICY), text(RATELIMIT))
        };
        let first = limit.take().unwrap();
        assert_eq!(
            shown(&first),
            ("\"principal\";q=2;w=1".to_owned(), "\"principal\";r=1;t=1".to_owned())
        );
        let refused = (0..9).filter_map(|_| limit.take().err()).collect::<Vec<_>>();
        let second = NotTaken::Exceeded { retry_after: 1 };
        assert!(refused.len() >= 7 && refused.iter().all(|not| *not == second), "{refused:?}");
        let part = (0..9).filter(|_| limit.take_from(&limit.part_of(2)).is_ok()).count();
        assert_eq!(part, 1, "the part of one of two instances");
        assert_eq!(limit.report().setting, OWN);
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert!(RequestLimit::new(None, 0).is_none() && RequestLimit::new(Some(0), 50).is_none());
        assert_eq!(RequestLimit::new(None, 50).unwrap().report().setting, SETTING);
    }
}
