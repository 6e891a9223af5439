//! `GET /memory`, and the act `remember`

use serde_json::{Value, json};

use crate::support::{Setup, TestApp, credentials};

async fn remember(app: &TestApp, agent: &str, text: &str) -> Value {
    let body = json!({"agent_id": agent, "action": "remember", "payload": {"text": text}});
    app.post("/act", &body).await.ok()
}

async fn texts(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app.get(&format!("/memory?{query}")).await.ok();
    let facts = answer["facts"].as_array().unwrap();
    facts.iter().map(|fact| fact["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_remembered_fact_can_be_listed_and_found() {
    let mut app = Setup::new().set("RATE_LIMIT_RPS", "0").start().await;
    app.turn("hero", "untersuche das Tor").await;
    let told = remember(&app, "hero", "The gate opens\n at dawn").await;
    assert_eq!((&told["known"], &told["state_version"]), (&json!(true), &json!(2)));
    remember(&app, "hero", "der Bäcker ist ein Spion").await;
    remember(&app, "other", "the gate is a lie").await;
    let answer = app.get("/memory?agent_id=hero").await.ok();
    assert_eq!(
        answer,
        json!({"agent_id": "hero", "facts": [
            {"version": 2, "turn": 1, "text": "The gate opens at dawn", "uses": 0},
            {"version": 3, "turn": 1, "text": "der Bäcker ist ein Spion", "uses": 0},
        ]})
    );
    assert_eq!(app.state("hero").await["facts"], answer["facts"]);
    // Also after a restart, because the index is durable.
    app.restart().await;
    assert_eq!(
        texts(&app, "agent_id=hero&q=when+does+the+GATE+open").await,
        ["The gate opens at dawn"]
    );
    assert_eq!(texts(&app, "agent_id=hero&q=backer").await, ["der Bäcker ist ein Spion"]);
    assert!(texts(&app, "agent_id=hero&q=dragon").await.is_empty());
    assert!(texts(&app, "agent_id=nobody&q=gate").await.is_empty());
    assert_eq!(texts(&app, "agent_id=hero&limit=1").await.len(), 1);
}

#[tokio::test]
async fn the_oldest_unused_fact_is_removed_and_no_longer_found() {
    let app = Setup::new().set("RATE_LIMIT_RPS", "0").start().await;
    for n in 0..66 {
        remember(&app, "hero", &format!("fact number {n}")).await;
    }
    remember(&app, "hero", "fact number 2").await;
    let kept = texts(&app, "agent_id=hero").await;
    assert_eq!((kept.len(), kept[0].as_str()), (64, "fact number 2"));
    assert!(texts(&app, "agent_id=hero&q=1").await.iter().all(|fact| fact != "fact number 1"));
}

#[tokio::test]
async fn no_credential_is_remembered() {
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrisk: {categories: {secrets: observe}}\n";
    let app = Setup::new().set("RATE_LIMIT_RPS", "0").policy(policy).start().await;
    let credentials = credentials();
    for credential in &credentials {
        remember(&app, "hero", &format!("the key is {}", credential.text)).await;
    }
    let answer = app.get("/memory?agent_id=hero").await.text();
    assert!(answer.contains("[redacted:"), "{answer}");
    for credential in &credentials {
        assert!(!answer.contains(&credential.secret), "{}", credential.shape);
    }
}

#[tokio::test]
async fn an_invalid_query_is_refused_by_name() {
    let app = TestApp::start().await;
    for (query, path) in [
        ("", "agent_id"),
        ("agent_id=a%20b", "agent_id"),
        ("agent_id=a&limit=65", "limit"),
        ("agent_id=a&query=x", "query"),
    ] {
        let answer = app.get(&format!("/memory?{query}")).await;
        assert_eq!(answer.fault_paths("validation_error"), [path], "{query}");
    }
    let long = app.get(&format!("/memory?agent_id=a&q={}", "x".repeat(257))).await;
    assert_eq!(long.fault_paths("validation_error"), ["q"]);
    // Operators of the index's query language are ordinary words.
    for odd in ["%22", "a%22%20OR%20owner:", "NEAR(", "*", "-x", "%00"] {
        assert!(texts(&app, &format!("agent_id=a&q={odd}")).await.is_empty(), "{odd}");
    }
}
