//! `POST /turn` with a model that fails, under `on_failure: fail`: the right code, the state as before, nothing done twice

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Answer as Told, TestApp, model_setup, with_model, with_model_failing};

const SHORT: &str =
    "version: '1'\nallowed_dirs: [plans]\nllm: {turn_seconds: 1, on_failure: fail}\n";

fn body() -> Value {
    json!({"agent_id": "hero", "input": "explore the keep"})
}

/// Asserts that a turn has failed on the record and left no other trace.
async fn left_as_it_was(app: &TestApp, label: &str) {
    let rows = app.journal_of("&agent_id=hero").await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let data = row.json();
    assert_eq!((row.kind.as_str(), &data["outcome"]), ("llm.chat", &json!("failed")), "{data}");
    assert_eq!((&data["endpoint"], &data["error"]), (&json!("/turn"), &json!(label)), "{data}");
    assert_eq!(data["messages"][0]["content"], "explore the keep");
    let state = app.state("hero").await;
    assert_eq!((&state["version"], &state["turns"]), (&json!(0), &json!(0)));
    assert_eq!(app.metric(r#"actions_total{kind="turn",outcome="allowed"}"#).await, Some(0.0));
}

#[tokio::test]
async fn a_provider_that_fails_costs_the_turn_and_nothing_else() {
    let huge = Answer::json(200, &json!({"choices": [], "x": "x".repeat(10 * 1024 * 1024)}));
    let full = |status| Answer::error(status, "full", "come again").header("retry-after", "60");
    for (bad, status, code, label) in [
        (full(429), 503, "overloaded", "overloaded"),
        (full(498), 503, "overloaded", "overloaded"),
        (Answer::error(404, "model_not_found", "no such model"), 502, "llm_failed", "failed"),
        (Answer::error(500, "internal", "out of order"), 502, "llm_failed", "failed"),
        (Answer::new(200, "text/html", "<html>welcome</html>"), 502, "llm_failed", "failed"),
        (Answer::new(200, "application/json", "{\"choices\": [{"), 502, "llm_failed", "failed"),
        (Answer::json(200, &json!({"choices": [{"message": 3}]})), 502, "llm_failed", "failed"),
        (huge, 502, "llm_failed", "failed"),
        (Answer::new(302, "text/plain", "").header("location", "/v2"), 502, "llm_failed", "failed"),
        (Answer::text("The gate").cut_off(), 502, "llm_failed", "cut"),
        (Answer::hang_up(), 502, "llm_failed", "failed"),
    ] {
        let (_provider, app) = with_model_failing(vec![bad]).await;
        app.post("/turn", &body()).await.error(status, code);
        left_as_it_was(&app, label).await;
    }
}

#[tokio::test]
async fn a_provider_that_fails_for_a_moment_costs_nothing() {
    let failing = Answer::error(500, "internal", "out of order");
    let script = vec![failing.clone(), failing, Answer::text("The gate opens.")];
    let (provider, app) = with_model(script).await;
    let turned = app.turn("hero", "explore the keep").await;
    assert_eq!(
        (&turned["response"], &turned["state_version"]),
        (&json!("The gate opens."), &json!(1))
    );
    assert_eq!(provider.seen().len(), 3);
    assert_eq!(app.journal_of("&agent_id=hero").await.len(), 1);
}

#[tokio::test]
async fn what_the_model_did_before_it_failed_is_not_done() {
    let (_provider, app) = with_model_failing(vec![
        Answer::tool_call("act", r#"{"action": "rest"}"#),
        Answer::tool_call("remember", r#"{"text": "the gate is shut"}"#),
        Answer::error(404, "model_not_found", "no such model"),
        Answer::tool_call("act", r#"{"action": "rest"}"#),
        Answer::text("The gate opens."),
    ])
    .await;
    app.post("/turn", &body()).await.error(502, "llm_failed");
    left_as_it_was(&app, "failed").await;
    let db = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    let used: i64 = db.query_row("select count(*) from llm_usage", [], |row| row.get(0)).unwrap();
    assert_eq!(used, 2, "what it cost is on the record");
    let turned = app.turn("hero", "explore the keep").await;
    assert_eq!((&turned["turn"]["number"], &turned["state_version"]), (&json!(1), &json!(2)));
    let state = app.state("hero").await;
    assert_eq!((&state["actions"]["rest"], &state["facts"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn a_turn_that_takes_too_long_ends_in_time_and_is_recorded() {
    let slow = Answer::text("late").slowly(Duration::from_secs(1));
    for never in [Answer::silence(), slow] {
        let script = vec![Answer::tool_call("act", r#"{"action": "rest"}"#), never];
        let provider = StandIn::start(script).await.unwrap();
        let app = model_setup(&provider).policy(SHORT).start().await;
        app.post("/turn", &body()).await.error(504, "timeout");
        left_as_it_was(&app, "timeout").await;
    }
}

#[tokio::test]
async fn a_stop_ends_a_turn_that_waits_for_its_model() {
    let (mut provider, mut app) = with_model(vec![Answer::silence()]).await;
    let turn = tokio::spawn(Told::of(app.request(Method::POST, "/turn").json(&body())));
    provider.until_open(1).await;
    app.signal(Signal::TERM);
    turn.await.unwrap().error(503, "overloaded");
    assert_eq!(app.exit().await.code(), Some(0), "{}", app.complained());
    app.start_again().await;
    left_as_it_was(&app, "stopped").await;
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_lose_the_turn() {
    let slow = Answer::text("late but sound").slowly(Duration::from_millis(2));
    let (mut provider, app) = with_model(vec![slow]).await;
    let mut events = app.events("?kind=obs.turn").await;
    let leaving = tokio::spawn(app.request(Method::POST, "/turn").json(&body()).send());
    provider.until_open(1).await;
    leaving.abort();
    assert_eq!(events.next().await.json()["data"]["response"], "late but sound");
    assert_eq!(app.state("hero").await["turns"], 1);
}

#[tokio::test]
async fn the_kill_switch_stops_a_turn_that_is_being_told() {
    let slow = Answer::text("too late").slowly(Duration::from_millis(5));
    let (mut provider, app) = with_model(vec![slow]).await;
    let turn = tokio::spawn(Told::of(app.request(Method::POST, "/turn").json(&body())));
    provider.until_open(1).await;
    app.post("/kill-switch", &json!({"on": true, "reason": "drill"})).await.ok();
    turn.await.unwrap().error(503, "kill_switch");
    assert_eq!(app.state("hero").await["version"], 0);
    let kinds: Vec<_> = app.journal().await.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["service.started", "kill_switch.on", "gate.denied", "llm.chat"]);
}

#[tokio::test]
async fn other_agents_and_readers_do_not_wait_for_a_turn() {
    let provider = StandIn::answering(|nth, _| match nth {
        0 => Answer::silence(),
        _ => Answer::text("At once."),
    });
    let mut provider = provider.await.unwrap();
    let app = model_setup(&provider).start().await;
    let waiting = tokio::spawn(app.request(Method::POST, "/turn").json(&body()).send());
    provider.until_open(1).await;
    assert_eq!(app.turn("another", "explore").await["response"], "At once.");
    assert_eq!(app.state("hero").await["version"], 0);
    assert!(!waiting.is_finished());
}
