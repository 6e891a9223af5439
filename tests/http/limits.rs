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

/// Reads by many callers at once.
async fn reads(app: &TestApp, key: &str, count: usize) -> Vec<Answer> {
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..count {
        let request = app.bare(Method::GET, "/kill-switch").header("X-API-Key", key);
        reads.spawn(Answer::of(request));
    }
    reads.join_all().await
}

fn refused(answers: &[Answer]) -> Vec<&Answer> {
    answers.iter().filter(|answer| answer.status == 429).collect()
}

#[tokio::test]
async fn all_requests_of_a_principal_count_together_and_a_refusal_names_the_limit() {
    let app = limited().set("RATE_LIMIT_PRINCIPAL_RPS", "3").start().await;
    let first = reads(&app, "key-of-anna", 1).await;
    assert_eq!(first[0].header("RateLimit-Policy"), Some(r#""principal";q=3;w=1"#));
    let left = first[0].header("RateLimit").unwrap();
    assert!(left.starts_with(r#""principal";r="#) && left.ends_with(";t=1"), "{left}");
    let answers = reads(&app, "key-of-anna", 40).await;
    let refused = refused(&answers);
    assert!(!refused.is_empty());
    for answer in &refused {
        let error = answer.error(429, "rate_limited");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("`anna`") && message.contains("RATE_LIMIT_PRINCIPAL_RPS"),
            "{message}"
        );
        let limit = &error["details"]["limit"];
        assert_eq!(limit["scope"], "principal");
        assert_eq!(limit["setting"], "RATE_LIMIT_PRINCIPAL_RPS");
        assert_eq!((&limit["quota"], &limit["window_seconds"]), (&json!(3), &json!(1)));
        assert_eq!(answer.header("Retry-After"), Some("1"));
        assert_eq!(answer.header("RateLimit-Policy"), Some(r#""principal";q=3;w=1"#));
        assert_eq!(answer.header("RateLimit"), Some(r#""principal";r=0;t=1"#));
    }
    // Another principal is not affected, and a check counts like any other request.
    let check = json!({"kind": "turn", "agent_id": "a", "input": "hello"});
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request =
            app.bare(Method::POST, "/check").header("X-API-Key", "key-of-bob").json(&check);
        checks.spawn(Answer::of(request));
    }
    let checks = checks.join_all().await;
    assert!(checks.iter().any(|answer| answer.status == 200));
    assert!(checks.iter().any(|answer| answer.status == 429));
    let counted = app.metric(r#"policy_denied_total{reason="rate_limited"}"#).await.unwrap();
    let all = refused.len() + checks.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(counted, all as f64);
}

#[tokio::test]
async fn refusals_of_a_principal_are_recorded_in_few_rows() {
    let mut app = limited().set("RATE_LIMIT_PRINCIPAL_RPS", "3").start().await;
    let refused = refused(&reads(&app, "key-of-anna", 60).await).len();
    app.set_for_next_start("RATE_LIMIT_PRINCIPAL_RPS", "0");
    app.set_for_next_start("API_KEY", crate::support::KEY);
    app.restart().await;
    let rows = app.journal_of("&kind=gate.denied").await;
    let rows: Vec<_> = rows.iter().map(|row| row.json()).collect();
    let counted: u64 = rows.iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, refused as u64);
    assert!(rows.len() < refused, "{} rows for {refused} refusals", rows.len());
    assert!(rows.iter().all(|row| row["gate"] == "access" && row["code"] == "rate_limited"));
}

#[tokio::test]
async fn a_key_may_have_a_limit_of_its_own() {
    use sha2::Digest;
    let digest = |key: &str| format!("sha256:{}", hex::encode(sha2::Sha256::digest(key)));
    let file = format!(
        "keys:\n- {{name: slow, digest: '{}', roles: [observer], rate: 2}}\n\
         - {{name: free, digest: '{}', roles: [observer], rate: 0}}\n",
        digest("the-key-of-the-slow-one"),
        digest("the-key-of-the-free-one")
    );
    let setup = Setup::new().set("KEYS_FILE", "keys.yaml").file("keys.yaml", file);
    let app = setup.set("RATE_LIMIT_PRINCIPAL_RPS", "4").start().await;
    let slow = reads(&app, "the-key-of-the-slow-one", 30).await;
    let error = refused(&slow)[0].error(429, "rate_limited");
    assert_eq!(error["details"]["limit"]["setting"], "`rate` in KEYS_FILE");
    assert_eq!(error["details"]["limit"]["quota"], 2);
    let free = reads(&app, "the-key-of-the-free-one", 30).await;
    assert!(refused(&free).is_empty());
    assert_eq!(free[0].header("RateLimit"), None, "no limit applies");
    let who = app.bare(Method::GET, "/whoami").header("X-API-Key", "the-key-of-the-free-one");
    let limits = Answer::of(who).await.ok()["limits"].clone();
    assert_eq!(limits["rate_limit_principal_rps"], 0);
    assert_eq!(app.get("/whoami").await.ok()["limits"]["rate_limit_principal_rps"], 4);
}

#[tokio::test]
async fn a_principal_starts_so_many_agents_a_minute() {
    let app = Setup::new().set("NEW_AGENTS_PER_MINUTE", "3").start().await;
    app.act("a", "rest").await;
    app.turn("b", "hello").await;
    app.act("c", "rest").await;
    for (path, body) in [
        ("/act", json!({"agent_id": "d", "action": "rest"})),
        ("/turn", json!({"agent_id": "e", "input": "hello"})),
    ] {
        let answer = app.post(path, &body).await;
        let error = answer.error(429, "rate_limited");
        assert_eq!(error["details"]["limit"]["setting"], "NEW_AGENTS_PER_MINUTE");
        assert_eq!(error["details"]["limit"]["scope"], "principal");
        assert_eq!(answer.header("RateLimit-Policy"), Some(r#""new-agents";q=3;w=60"#));
        assert!(answer.header("Retry-After").unwrap().parse::<u64>().unwrap() <= 20);
    }
    assert_eq!(app.state("d").await["version"], 0);
    for agent in ["a", "b", "c"] {
        app.act(agent, "rest").await;
    }
    let denied = app.journal_of("&kind=gate.denied").await;
    assert_eq!(denied.len(), 2);
    assert_eq!(denied[0].json()["rule"], "NEW_AGENTS_PER_MINUTE");
}

#[tokio::test]
async fn a_full_journal_refuses_what_acts_and_answers_what_reads() {
    let mut app = TestApp::start().await;
    app.act("a", "rest").await;
    app.set_for_next_start("JOURNAL_MAX_BYTES", "4096");
    app.restart().await;
    let plan = json!({"intent": "say hello", "target_paths": ["plans/hello.txt"]});
    for (path, body) in [
        ("/act", json!({"agent_id": "a", "action": "rest"})),
        ("/turn", json!({"agent_id": "a", "input": "hello"})),
        ("/tool", json!({"agent_id": "a", "tool": "Read", "arguments": {"file_path": "a.txt"}})),
        ("/plan", plan),
    ] {
        let error = app.post(path, &body).await.error(503, "journal_full");
        assert!(error["message"].as_str().unwrap().contains("JOURNAL_MAX_BYTES"), "{path}");
    }
    assert_eq!(app.state("a").await["version"], 1);
    let check = json!({"kind": "act", "agent_id": "a", "action": "rest"});
    assert_eq!(app.post("/check", &check).await.ok()["decision"], "allow");
    // An operator can still stop everything else.
    app.post("/kill-switch", &json!({"on": true, "reason": "archive"})).await.ok();
    app.set_for_next_start("JOURNAL_MAX_BYTES", "0");
    app.restart().await;
    app.post("/kill-switch", &json!({"on": false, "reason": "archived"})).await.ok();
    app.act("a", "rest").await;
}

#[tokio::test]
async fn failed_authentications_are_one_row_a_minute_and_delay_guesses() {
    let mut app = TestApp::start().await;
    let guess =
        |n: usize| app.bare(Method::GET, "/whoami").header("X-API-Key", format!("guess-{n}"));
    let started = std::time::Instant::now();
    for n in 0..16 {
        Answer::of(guess(n)).await.error(401, "invalid_api_key");
    }
    Answer::of(app.bare(Method::GET, "/whoami")).await.error(401, "missing_api_key");
    // Guesses 11 to 16 wait for 50, 100 … ms, less what time forgives.
    assert!(started.elapsed() >= std::time::Duration::from_millis(300), "{:?}", started.elapsed());
    let invalid = app.metric(r#"auth_failures_total{reason="invalid_api_key"}"#).await;
    assert_eq!(invalid, Some(16.0));
    app.restart().await;
    let rows = app.journal_of("&kind=auth.failed").await;
    let counts: Vec<_> = rows.iter().map(|row| row.json()["count"].as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 17);
    assert!(counts.len() <= 2, "a row after the burst, and one when the service ends: {counts:?}");
    for row in &rows {
        assert_eq!(row.principal, "anonymous");
        assert_eq!(row.json()["peer"], "127.0.0.1");
        assert!(!row.data.get().contains("guess-"));
    }
}
