//! An agent during a narrated turn, and the model's tool calls

use life_agent_groq::testing::{Answer as Reply, StandIn};
use serde_json::{Value, json};

use super::audit::run_json;
use crate::support::{Answer, TestApp, model_setup, with_model};

/// A narration that has started and does not end.
async fn under_way(app: &TestApp, provider: &mut StandIn) -> tokio::task::JoinHandle<()> {
    let request = app
        .request(reqwest::Method::POST, "/turn")
        .json(&json!({"agent_id": "hero", "input": "wait for the dawn"}));
    let waiting = tokio::spawn(async move {
        // The server may end before it responds.
        let _ = request.send().await;
    });
    provider.until_open(1).await;
    waiting
}

#[tokio::test]
async fn an_agent_takes_one_narrated_turn_at_a_time_and_others_continue() {
    let mut provider = StandIn::start(vec![Reply::silence()]).await.unwrap();
    let app = model_setup(&provider).set("AGENT_WAIT_SECONDS", "0").start().await;
    app.act("hero", "rest").await;
    let waiting = under_way(&app, &mut provider).await;
    for (path, body) in [
        ("/turn", json!({"agent_id": "hero", "input": "and now?"})),
        ("/act", json!({"agent_id": "hero", "action": "rest"})),
    ] {
        let busy = app.post(path, &body).await;
        busy.error(409, "agent_busy");
        assert_eq!(busy.header("retry-after"), Some("1"), "{path}");
    }
    assert_eq!(app.state("hero").await["version"], 1);
    app.act("other", "rest").await;
    assert_eq!(app.journal_of("&agent_id=hero").await.len(), 1);
    waiting.abort();
}

#[tokio::test]
async fn a_step_waits_for_the_previous_turn() {
    let reply = |nth: usize, _: &life_agent_groq::testing::Seen| {
        let told = Reply::text("The dawn comes.");
        if nth == 0 { told.slowly(std::time::Duration::from_millis(1)) } else { told }
    };
    let mut provider = StandIn::answering(reply).await.unwrap();
    let app = model_setup(&provider).start().await;
    let waiting = under_way(&app, &mut provider).await;
    app.act("hero", "rest").await;
    waiting.await.unwrap();
    let kinds: Vec<_> = app.journal_of("&kind=obs.*").await.into_iter().map(|r| r.kind).collect();
    assert_eq!(kinds, ["obs.turn", "obs.act"]);
}

#[tokio::test]
async fn tool_calls_count_toward_the_callers_rate() {
    let rest = || Reply::tool_call("act", r#"{"action": "rest"}"#);
    let script = vec![rest(), rest(), Reply::text("Enough.")];
    let provider = StandIn::start(script).await.unwrap();
    let mut app = model_setup(&provider).set("RATE_LIMIT_RPS", "1").start().await;
    let turned = app.turn("hero", "sleep for a week").await;
    let codes: Vec<_> =
        turned["steps"].as_array().unwrap().iter().map(|step| &step["code"]).collect();
    assert_eq!(codes, ["rate_limited", "rate_limited"], "{turned}");
    assert_eq!((&turned["response"], &turned["state_version"]), (&json!("Enough."), &json!(1)));
    app.stop().await;
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!((&report["told"], &report["divergence_count"]), (&json!(1), &json!(0)), "{report}");
}

#[tokio::test]
async fn a_recall_finds_a_fact_of_the_same_turn_and_replay_agrees() {
    let script = vec![
        Reply::tool_call("remember", r#"{"text": "the bridge is out"}"#),
        Reply::tool_call("recall", r#"{"query": "which bridge?"}"#),
        Reply::text("There is no way across."),
    ];
    let (_provider, mut app) = with_model(script).await;
    let turned = app.turn("hero", "cross the river").await;
    let facts = &turned["steps"][1]["result"]["facts"];
    assert_eq!(facts, &json!([{"from_turn": 1, "text": "the bridge is out"}]), "{turned}");
    assert_eq!(app.state("hero").await["facts"][0]["uses"], 1);
    assert_eq!(app.metric(r#"actions_total{kind="act",outcome="allowed"}"#).await, Some(2.0));
    app.stop().await;
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!(report["divergence_count"], 0, "{report}");
}

/// A killed turn with tool calls and a key happens once or not at all.
#[tokio::test]
async fn a_killed_narrated_turn_with_a_key_happens_once_or_not_at_all() {
    let reply = |nth: usize, _: &life_agent_groq::testing::Seen| match nth {
        0 | 2 => Reply::tool_call("act", r#"{"action": "rest"}"#),
        1 => Reply::silence(),
        _ => Reply::text("You wake."),
    };
    let provider = StandIn::answering(reply).await.unwrap();
    let mut app = model_setup(&provider).start().await;
    let body = json!({"agent_id": "hero", "input": "sleep"});
    let keyed = |app: &TestApp| {
        let request = app.request(reqwest::Method::POST, "/turn");
        request.header("Idempotency-Key", "night-1").json(&body)
    };
    let first = tokio::spawn(keyed(&app).send());
    provider.until_seen(2).await;
    app.kill_9();
    assert!(first.await.unwrap().is_err());
    app.start_again().await;
    assert_eq!(app.state("hero").await["version"], 0, "nothing of it has happened");
    let turned: Value = Answer::of(keyed(&app)).await.ok();
    assert_eq!((&turned["response"], &turned["state_version"]), (&json!("You wake."), &json!(2)));
    assert_eq!(Answer::of(keyed(&app)).await.ok(), turned);
    assert_eq!(app.state("hero").await["version"], 2);
}
