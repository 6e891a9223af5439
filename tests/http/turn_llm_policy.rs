//! `POST /turn` with a model, while another policy becomes active

use std::sync::{Mutex, mpsc};

use life_agent_groq::testing::{Answer, StandIn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer as Told, TestApp, model_setup};

const BEFORE: &str = "version: '1'\nallowed_dirs: [plans]\n";

/// The policy before with one rule more.
fn with_rule(rule: &str) -> String {
    format!("{BEFORE}rules: [{{id: new, effect: deny, match: {{{rule}}}}}]\n")
}

/// Runs a turn whose last model reply arrives once `policy` is active. The reply before it calls `act`.
async fn turn_across(policy: &str) -> (TestApp, Told) {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let provider = StandIn::answering(move |nth, _| {
        if nth == 0 {
            return Answer::tool_call("act", &json!({"action": "rest"}).to_string());
        }
        ask.send(()).unwrap();
        tokio::task::block_in_place(|| released.lock().unwrap().recv()).unwrap();
        Answer::text("The dragon sleeps.")
    });
    let provider = provider.await.unwrap();
    let app = model_setup(&provider).policy(BEFORE).start().await;
    let body = json!({"agent_id": "hero", "input": "explore the keep"});
    let turn = tokio::spawn(Told::of(app.request(Method::POST, "/turn").json(&body)));
    asked.recv().await.unwrap();
    std::fs::write(app.folder().join("policy/policy.yaml"), policy).unwrap();
    app.post("/policy/reload", &json!({})).await.ok();
    release.send(()).unwrap();
    (app, turn.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_turn_commits_nothing_that_the_policy_of_its_end_denies() {
    for rule in ["kinds: [turn]", "actions: ['^rest$']", "inputs: [dragon]"] {
        let (app, told) = turn_across(&with_rule(rule)).await;
        assert!([403, 422].contains(&told.status), "{rule}: {told:?}");
        assert!(!told.text().contains("dragon sleeps"), "{told:?}");
        assert_eq!(app.state("hero").await["version"], 0, "{rule}");
        let rows = app.journal_of("&agent_id=hero").await;
        assert!(rows.iter().all(|row| !row.kind.starts_with("obs.")), "{rows:?}");
        assert_eq!(app.journal_of("&kind=gate.denied").await.len(), 1, "{rule}");
        // The cost of the model's calls is on the record all the same.
        let failed = app.journal_of("&kind=llm.chat").await.remove(0).json();
        assert_eq!(failed["outcome"], "failed", "{failed}");
        let used: Value = app.get("/usage").await.ok();
        assert_ne!(used["usage"], json!([]), "{used}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_turn_that_the_policy_of_its_end_permits_is_committed_and_can_be_replayed() {
    let (app, told) = turn_across(&with_rule("actions: ['^fight']")).await;
    let turned = told.ok();
    assert_eq!(
        (&turned["source"], &turned["response"]),
        (&json!("llm"), &json!("The dragon sleeps."))
    );
    assert_eq!(app.state("hero").await["version"], 2);
}
