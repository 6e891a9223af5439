//! Rate limits: of each pair of caller and agent, of the model calls of a caller, and of its new agents.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use life_agent_domain::governance::gate::{Rate, RateLimit};
use life_agent_domain::governance::ids::{AgentId, Principal};

use crate::error::LimitReport;

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
    /// Of new agents.
    new_agents: Option<Buckets>,
    rps: u32,
    new_agents_per_minute: u32,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl Limiter {
    /// `rps` requests per second with a burst of the same size, ten times as large for model calls, and
    /// `new_agents` per minute; 0 disables a limit.
    pub(crate) fn new(rps: u32, new_agents_per_minute: u32) -> Self {
        let limits = (rps, new_agents_per_minute);
        let new_agents = NonZeroU32::new(new_agents_per_minute)
            .map(|agents| RateLimiter::keyed(Quota::per_minute(agents)));
        let rps = NonZeroU32::new(rps);
        let buckets = rps.map(|rps| RateLimiter::keyed(Quota::per_second(rps)));
        let burst = NonZeroU32::MIN.saturating_add(MODEL_BURST - 1);
        let model = rps.map(|rps| {
            RateLimiter::keyed(Quota::per_second(rps).allow_burst(rps.saturating_mul(burst)))
        });
        let (rps, new_agents_per_minute) = limits;
        let (clock, asked) = (DefaultClock::default(), AtomicU32::new(0));
        Self { buckets, model, new_agents, rps, new_agents_per_minute, clock, asked }
    }

    /// Counts a request.
    pub(crate) fn take(&self, principal: &Principal, agent: Option<&AgentId>) -> Rate {
        self.take_from(RateLimit::Agent, principal, agent)
    }

    /// Counts the first step of an agent.
    pub(crate) fn take_new_agent(&self, principal: &Principal) -> Rate {
        self.take_from(RateLimit::NewAgents, principal, None)
    }

    /// The limit that a setting configures, as responses describe it.
    pub(crate) fn report(&self, setting: &str, of_model: bool) -> Option<LimitReport> {
        let limit = match setting {
            "NEW_AGENTS_PER_MINUTE" => RateLimit::NewAgents,
            _ if of_model => RateLimit::Model,
            _ => RateLimit::Agent,
        };
        let (quota, window_seconds) = match limit {
            RateLimit::NewAgents => (self.new_agents_per_minute, 60),
            RateLimit::Agent | RateLimit::Model => (self.rps, 1),
        };
        let report = LimitReport {
            name: limit.as_str(),
            scope: limit.scope(),
            setting: limit.setting(),
            quota: quota.into(),
            window_seconds,
        };
        (limit.setting() == setting).then_some(report)
    }

    /// Counts a model call.
    pub(crate) fn take_model(&self, principal: &Principal) -> Rate {
        self.take_from(RateLimit::Model, principal, None)
    }

    fn take_from(&self, limit: RateLimit, principal: &Principal, agent: Option<&AgentId>) -> Rate {
        let buckets = match limit {
            RateLimit::Agent => &self.buckets,
            RateLimit::Model => &self.model,
            RateLimit::NewAgents => &self.new_agents,
        };
        let Some(buckets) = buckets else { return Rate::Within };
        if self.asked.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            buckets.retain_recent();
        }
        match buckets.check_key(&(principal.clone(), agent.cloned())) {
            Ok(()) => Rate::Within,
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                // Rounded up, so that a retry after this time passes.
                let retry_after = wait.as_millis().div_ceil(1000).max(1) as u64;
                Rate::Exceeded { limit, retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_caller_and_agent_has_a_bucket_of_its_own() {
        let limiter = Limiter::new(2, 3);
        let (me, you) = (Principal::new("me"), Principal::new("you"));
        let agent = AgentId::new("a").unwrap();
        assert_eq!(limiter.take(&me, Some(&agent)), Rate::Within);
        assert_eq!(limiter.take(&me, Some(&agent)), Rate::Within);
        let exceeded = Rate::Exceeded { limit: RateLimit::Agent, retry_after: 1 };
        assert_eq!(limiter.take(&me, Some(&agent)), exceeded);
        assert_eq!(limiter.take(&me, None), Rate::Within);
        let burst = (0..21).filter(|_| limiter.take_model(&me) == Rate::Within).count();
        assert_eq!(burst, 20, "model calls come in bursts");
        assert_eq!(limiter.take(&you, Some(&agent)), Rate::Within);
        let new = (0..9).filter(|_| limiter.take_new_agent(&me) == Rate::Within).count();
        assert_eq!(new, 3);
        let report = limiter.report("NEW_AGENTS_PER_MINUTE", false).unwrap();
        assert_eq!((report.quota, report.window_seconds), (3, 60));
        assert_eq!(limiter.report("RATE_LIMIT_RPS", true).unwrap().name, "model");
    }

    #[test]
    fn a_limit_of_zero_is_no_limit() {
        let (limiter, me) = (Limiter::new(0, 0), Principal::new("me"));
        assert!((0..1000).all(|_| limiter.take(&me, None) == Rate::Within));
        assert!((0..1000).all(|_| limiter.take_new_agent(&me) == Rate::Within));
    }
}
