//! The rate limit of each pair of caller and agent.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use life_agent_domain::governance::gate::Rate;
use life_agent_domain::governance::ids::{AgentId, Principal};

/// Requests between two removals of idle pairs, so that memory follows the current traffic.
const PRUNE_EVERY: u32 = 4096;

/// Model calls that may come at once, in seconds of the rate: clients make several at a time, and those
/// of all agents of a key count together.
const MODEL_BURST: u32 = 10;

type Buckets = DefaultKeyedRateLimiter<(Principal, Option<AgentId>)>;

pub(crate) struct Limiter {
    buckets: Option<Buckets>,
    /// Of model calls.
    model: Option<Buckets>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl Limiter {
    /// `rps` requests per second with a burst of the same size, ten times as large for model calls; 0
    /// disables the limit.
    pub(crate) fn new(rps: u32) -> Self {
        let rps = NonZeroU32::new(rps);
        let buckets = rps.map(|rps| RateLimiter::keyed(Quota::per_second(rps)));
        let burst = NonZeroU32::MIN.saturating_add(MODEL_BURST - 1);
        let model = rps.map(|rps| {
            RateLimiter::keyed(Quota::per_second(rps).allow_burst(rps.saturating_mul(burst)))
        });
        Self { buckets, model, clock: DefaultClock::default(), asked: AtomicU32::new(0) }
    }

    /// Counts a request.
    pub(crate) fn take(&self, principal: &Principal, agent: Option<&AgentId>) -> Rate {
        self.take_from(self.buckets.as_ref(), principal, agent)
    }

    /// Counts a model call.
    pub(crate) fn take_model(&self, principal: &Principal) -> Rate {
        self.take_from(self.model.as_ref(), principal, None)
    }

    fn take_from(
        &self,
        buckets: Option<&Buckets>,
        principal: &Principal,
        agent: Option<&AgentId>,
    ) -> Rate {
        let Some(buckets) = buckets else { return Rate::Within };
        if self.asked.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            buckets.retain_recent();
        }
        match buckets.check_key(&(principal.clone(), agent.cloned())) {
            Ok(()) => Rate::Within,
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                // Rounded up, so that a retry after this time passes.
                Rate::Exceeded { retry_after: wait.as_millis().div_ceil(1000).max(1) as u64 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_caller_and_agent_has_a_bucket_of_its_own() {
        let limiter = Limiter::new(2);
        let (me, you) = (Principal::new("me"), Principal::new("you"));
        let agent = AgentId::new("a").unwrap();
        assert_eq!(limiter.take(&me, Some(&agent)), Rate::Within);
        assert_eq!(limiter.take(&me, Some(&agent)), Rate::Within);
        assert_eq!(limiter.take(&me, Some(&agent)), Rate::Exceeded { retry_after: 1 });
        assert_eq!(limiter.take(&me, None), Rate::Within);
        let burst = (0..21).filter(|_| limiter.take_model(&me) == Rate::Within).count();
        assert_eq!(burst, 20, "model calls come in bursts");
        assert_eq!(limiter.take(&you, Some(&agent)), Rate::Within);
    }

    #[test]
    fn a_limit_of_zero_is_no_limit() {
        let limiter = Limiter::new(0);
        assert!((0..1000).all(|_| limiter.take(&Principal::new("me"), None) == Rate::Within));
    }
}
