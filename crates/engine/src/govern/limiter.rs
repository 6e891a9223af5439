//! Rate limits: of each pair of caller and agent, of the model calls of a caller, and of its new agents.

mod local;

use std::sync::Arc;
use std::time::Duration;

use life_agent_domain::governance::gate::{Rate, RateLimit};
use life_agent_domain::governance::ids::{AgentId, Principal};
use parking_lot::Mutex;

use crate::error::{EngineError, LimitReport};
use crate::shared_counters::{Bucket, SharedLimits, SharedVerdict, Taken};
use local::LocalLimits;

/// Model calls that may come at once, in seconds of the rate: clients make several at a time, and those
/// of all agents of a key count together.
const MODEL_BURST: u32 = 10;

pub(crate) struct Limiter {
    rates: Rates,
    local: LocalLimits,
    shared: Option<Shared>,
}

/// The configured rates; 0 for no limit.
#[derive(Debug, Clone, Copy)]
struct Rates {
    rps: u32,
    new_agents_per_minute: u32,
}

/// Counters of several instances.
struct Shared {
    limits: SharedLimits,
    /// This instance's part of the rates while the counters do not respond, and by what they are divided.
    part: Mutex<(u32, Arc<LocalLimits>)>,
}

impl Limiter {
    /// `rps` requests per second with a burst of the same size, ten times as large for model calls, and
    /// `new_agents` per minute; 0 disables a limit.
    pub(crate) fn new(rps: u32, new_agents_per_minute: u32, shared: Option<SharedLimits>) -> Self {
        let rates = Rates { rps, new_agents_per_minute };
        let shared = shared.map(|limits| {
            let part = Mutex::new((1, Arc::new(LocalLimits::new(rates))));
            Shared { limits, part }
        });
        Self { rates, local: LocalLimits::new(rates), shared }
    }

    /// Counts a request.
    pub(crate) async fn take(
        &self,
        limit: RateLimit,
        principal: &Principal,
        agent: Option<&AgentId>,
    ) -> Result<Rate, EngineError> {
        let agent = agent.filter(|_| limit == RateLimit::Agent);
        match &self.shared {
            Some(shared) if self.rates.quota(limit) > 0 => {
                shared.take(self.rates, limit, principal, agent).await
            }
            _ => Ok(self.local.take(limit, principal, agent)),
        }
    }

    /// The limit that a setting configures, as responses describe it.
    pub(crate) fn report(&self, setting: &str, of_model: bool) -> Option<LimitReport> {
        let limit = match setting {
            "NEW_AGENTS_PER_MINUTE" => RateLimit::NewAgents,
            _ if of_model => RateLimit::Model,
            _ => RateLimit::Agent,
        };
        let report = LimitReport {
            name: limit.as_str(),
            scope: limit.scope(),
            setting: limit.setting(),
            quota: self.rates.quota(limit).into(),
            window_seconds: window(limit).as_secs(),
        };
        (limit.setting() == setting).then_some(report)
    }
}

impl Rates {
    fn quota(self, limit: RateLimit) -> u32 {
        match limit {
            RateLimit::NewAgents => self.new_agents_per_minute,
            RateLimit::Agent | RateLimit::Model => self.rps,
        }
    }

    fn burst(self, limit: RateLimit) -> u32 {
        let factor = if limit == RateLimit::Model { MODEL_BURST } else { 1 };
        self.quota(limit).saturating_mul(factor)
    }

    /// The part of one of several instances, rounded up: a limit of 1 stays one.
    fn divided(self, instances: u32) -> Self {
        let part = |rate: u32| rate.div_ceil(instances.max(1));
        Self { rps: part(self.rps), new_agents_per_minute: part(self.new_agents_per_minute) }
    }
}

fn window(limit: RateLimit) -> Duration {
    Duration::from_secs(if limit == RateLimit::NewAgents { 60 } else { 1 })
}

impl Shared {
    async fn take(
        &self,
        rates: Rates,
        limit: RateLimit,
        principal: &Principal,
        agent: Option<&AgentId>,
    ) -> Result<Rate, EngineError> {
        let (principal_name, agent_name) =
            (principal.as_str(), agent.map_or("", |agent| agent.as_str()));
        let bucket = Bucket {
            // The length keeps apart names that contain colons.
            name: format!(
                "{}:{}:{principal_name}:{agent_name}",
                limit.as_str(),
                principal_name.len()
            ),
            quota: rates.quota(limit),
            window: window(limit),
            burst: rates.burst(limit),
        };
        match self.limits.take(&bucket).await {
            SharedVerdict::Counted(Taken::Within { .. }) => Ok(Rate::Within),
            SharedVerdict::Counted(Taken::Exceeded { retry_after }) => {
                Ok(Rate::Exceeded { limit, retry_after: seconds(retry_after) })
            }
            SharedVerdict::Local { instances } => {
                Ok(self.part(rates, instances).take(limit, principal, agent))
            }
            SharedVerdict::Refused => Err(EngineError::LimitsUnavailable),
        }
    }

    fn part(&self, rates: Rates, instances: u32) -> Arc<LocalLimits> {
        let mut part = self.part.lock();
        if part.0 != instances {
            *part = (instances, Arc::new(LocalLimits::new(rates.divided(instances))));
        }
        Arc::clone(&part.1)
    }
}

/// Rounded up, so that a retry after this time passes.
fn seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
