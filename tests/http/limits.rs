//! Rate limits

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Setup, TestApp};

/// Many concurrent turns, faster than a limit of a few per second permits.
async fn burst(app: &TestApp, key: &str, agent: &str) -> Vec<Answer> {
    let mut turns = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let body = json!({"agent_id": agent, "input": "hello"});
        turns.spawn(Answer::of(
            app.bare(Method::POST, "/turn").header("X-API-Key", key).json(&body),
        ));
    }
    turns.join_all().await
}

fn limited() -> Setup {
    Setup::new().set("API_TOKENS", "anna=key-of-anna,bob=key-of-bob").set("RATE_LIMIT_RPS", "2")
}

#[tokio::test]
async fn a_caller_over_its_rate_gets_the_waiting_time() {
    let app = limited().start().await;
    let answers = burst(&app, "key-of-anna", "a").await;
    let (fine, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!fine.is_empty() && !refused.is_empty(), "{} and {}", fine.len(), refused.len());
    for answer in &refused {
        answer.error(429, "rate_limited");
        let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(app.state("a").await["version"], fine.len(), "a refused turn is no step");
    let denied = app.journal_of("&kind=gate.denied").await;
    assert_eq!(denied.len(), refused.len(), "denials are facts too");
    let counted = app.metric(r#"policy_denied_total{reason="rate_limited"}"#).await;
    assert_eq!(counted, Some(refused.len() as f64));
}

#[tokio::test]
async fn the_limit_is_per_agent_and_caller() {
    let app = limited().start().await;
    assert!(burst(&app, "key-of-anna", "a").await.iter().any(|answer| answer.status == 429));
    for (key, agent) in [("key-of-anna", "b"), ("key-of-bob", "a")] {
        let body = json!({"agent_id": agent, "input": "hello"});
        let request = app.bare(Method::POST, "/turn").header("X-API-Key", key).json(&body);
        Answer::of(request).await.ok();
    }
}

#[tokio::test]
async fn a_check_does_not_count_toward_the_rate() {
    let app = Setup::new().set("RATE_LIMIT_RPS", "1").start().await;
    let check = json!({"kind": "turn", "agent_id": "a", "input": "hello"});
    for _ in 0..20 {
        assert_eq!(app.post("/check", &check).await.ok()["decision"], "allow");
    }
    app.turn("a", "hello").await;
}

#[tokio::test]
async fn a_limit_of_0_is_none() {
    let app = Setup::new().set("RATE_LIMIT_RPS", "0").start().await;
    let key = crate::support::KEY;
    assert!(burst(&app, key, "a").await.iter().all(|answer| answer.status == 200));
}
