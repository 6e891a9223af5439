//! The limits of one instance, and of several that lose their counters.

use super::*;
use crate::shared_counters::RateFallback;
use crate::shared_counters::testing::Unreachable;

async fn allowed(limiter: &Limiter, limit: RateLimit, times: usize) -> usize {
    let (me, mut within) = (Principal::new("me"), 0);
    for _ in 0..times {
        within += usize::from(limiter.take(limit, &me, None).await.unwrap() == Rate::Within);
    }
    within
}

#[tokio::test]
async fn each_pair_of_caller_and_agent_has_a_bucket_of_its_own() {
    let limiter = Limiter::new(2, 3, None);
    let (me, you) = (Principal::new("me"), Principal::new("you"));
    let agent = AgentId::new("a").unwrap();
    let take = async |who: &Principal, agent: Option<&AgentId>| {
        limiter.take(RateLimit::Agent, who, agent).await.unwrap()
    };
    assert_eq!(take(&me, Some(&agent)).await, Rate::Within);
    assert_eq!(take(&me, Some(&agent)).await, Rate::Within);
    let exceeded = Rate::Exceeded { limit: RateLimit::Agent, retry_after: 1 };
    assert_eq!(take(&me, Some(&agent)).await, exceeded);
    assert_eq!(take(&me, None).await, Rate::Within);
    assert_eq!(allowed(&limiter, RateLimit::Model, 21).await, 20, "model calls come in bursts");
    assert_eq!(take(&you, Some(&agent)).await, Rate::Within);
    assert_eq!(allowed(&limiter, RateLimit::NewAgents, 9).await, 3);
    let report = limiter.report("NEW_AGENTS_PER_MINUTE", false).unwrap();
    assert_eq!((report.quota, report.window_seconds), (3, 60));
    assert_eq!(limiter.report("RATE_LIMIT_RPS", true).unwrap().name, "model");
}

#[tokio::test]
async fn a_limit_of_zero_is_no_limit() {
    let limiter = Limiter::new(0, 0, None);
    assert_eq!(allowed(&limiter, RateLimit::Agent, 1000).await, 1000);
    assert_eq!(allowed(&limiter, RateLimit::NewAgents, 1000).await, 1000);
}

#[tokio::test]
async fn without_the_counters_each_instance_takes_its_part() {
    for (instances, part) in [(1, 30), (3, 10), (4, 8), (100, 1)] {
        let counters = Arc::new(Unreachable { instances });
        let shared = SharedLimits::new(counters, RateFallback::Local);
        let limiter = Limiter::new(0, 30, Some(shared));
        assert_eq!(allowed(&limiter, RateLimit::NewAgents, 50).await, part, "{instances}");
    }
}

#[tokio::test]
async fn without_the_counters_the_fallback_may_refuse() {
    let counters = Arc::new(Unreachable { instances: 2 });
    let shared = SharedLimits::new(counters, RateFallback::Deny);
    let limiter = Limiter::new(5, 0, Some(shared));
    let refused = limiter.take(RateLimit::Agent, &Principal::new("me"), None).await;
    assert!(matches!(refused, Err(EngineError::LimitsUnavailable)));
    assert_eq!(allowed(&limiter, RateLimit::NewAgents, 9).await, 9, "no limit needs no counter");
}
