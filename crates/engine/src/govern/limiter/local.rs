//! Rates that one instance counts in memory.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use life_agent_domain::governance::gate::{Rate, RateLimit};
use life_agent_domain::governance::ids::{AgentId, Principal};

use super::{Rates, seconds};

/// Requests between two removals of idle pairs, so that memory follows the current traffic.
const PRUNE_EVERY: u32 = 4096;

type Buckets = DefaultKeyedRateLimiter<(Principal, Option<AgentId>)>;

pub(super) struct LocalLimits {
    /// Of requests for an agent.
    agent: Option<Buckets>,
    /// Of model calls.
    model: Option<Buckets>,
    /// Of new agents.
    new_agents: Option<Buckets>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl LocalLimits {
    pub(super) fn new(rates: Rates) -> Self {
        let buckets = |limit| {
            let quota = NonZeroU32::new(rates.quota(limit))?;
            let burst = NonZeroU32::new(rates.burst(limit))?;
            let quota = match limit {
                RateLimit::NewAgents => Quota::per_minute(quota),
                RateLimit::Agent | RateLimit::Model => Quota::per_second(quota),
            };
            Some(RateLimiter::keyed(quota.allow_burst(burst)))
        };
        Self {
            agent: buckets(RateLimit::Agent),
            model: buckets(RateLimit::Model),
            new_agents: buckets(RateLimit::NewAgents),
            clock: DefaultClock::default(),
            asked: AtomicU32::new(0),
        }
    }

    pub(super) fn take(
        &self,
        limit: RateLimit,
        principal: &Principal,
        agent: Option<&AgentId>,
    ) -> Rate {
        let buckets = match limit {
            RateLimit::Agent => &self.agent,
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
                Rate::Exceeded { limit, retry_after: seconds(wait) }
            }
        }
    }
}
