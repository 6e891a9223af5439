//! `GET /state`

use serde_json::json;

use crate::support::{TestApp, hash_of_state};

#[tokio::test]
async fn an_unused_agent_has_its_initial_state_and_leaves_no_trace() {
    let app = TestApp::start().await;
    let before = app.last_id().await;
    let answer = app.get("/state?agent_id=nobody").await.ok();
    assert_eq!(answer["agent_id"], "nobody");
    let state = &answer["state"];
    assert_eq!((&state["version"], &state["turns"]), (&json!(0), &json!(0)));
    assert_eq!((&state["seed"], &state["actions"]), (&json!(42), &json!({})));
    for vital in ["energy", "focus", "knowledge", "stability"] {
        let points = state["vitals"][vital].as_u64().unwrap();
        assert!(points <= 100, "{vital} {points}");
    }
    assert_eq!(app.last_id().await, before);
    assert_eq!(app.get("/state").await.ok()["agents"], json!([]));
}

#[tokio::test]
async fn the_hash_of_a_step_is_the_hash_of_the_shown_state() {
    let app = TestApp::start().await;
    app.act("hero", "rest").await;
    let turned = app.turn("hero", "untersuche das Tor").await;
    let shown = app.get("/state?agent_id=hero").await;
    assert_eq!(turned["state_hash"], hash_of_state(&shown.body));
}

#[tokio::test]
async fn without_an_agent_it_lists_the_agents() {
    let app = TestApp::start().await;
    app.turn("b", "hello").await;
    app.act("a", "rest").await;
    app.act("a", "rest").await;
    let answer = app.get("/state").await.ok();
    assert!(answer["meta"]["version"].is_string() && answer["meta"]["start"].is_string());
    let mut agents = answer["agents"].as_array().unwrap().clone();
    agents.sort_by_key(|agent| agent["agent_id"].as_str().unwrap().to_owned());
    let seen: Vec<_> = agents
        .iter()
        .map(|agent| json!([agent["agent_id"], agent["state_version"], agent["turns"]]))
        .collect();
    assert_eq!(seen, [json!(["a", 2, 0]), json!(["b", 1, 1])]);
    assert!(agents.iter().all(|agent| agent["last_seen"].as_str().unwrap().ends_with('Z')));
}

#[tokio::test]
async fn an_invalid_name_is_refused() {
    let app = TestApp::start().await;
    for query in ["agent_id=a%20b", "agent_id=a%2Fb", "agent_id=%00"] {
        let answer = app.get(&format!("/state?{query}")).await;
        assert_eq!(answer.fault_paths("validation_error"), ["agent_id"], "{query}");
    }
    let answer = app.get(&format!("/state?agent_id={}", "x".repeat(65))).await;
    assert_eq!(answer.fault_paths("validation_error"), ["agent_id"]);
}

#[tokio::test]
async fn a_memory_is_bounded_and_keeps_the_latest() {
    let app = TestApp::start().await;
    for n in 0..20 {
        app.turn("hero", &format!("remember number {n}")).await;
    }
    let state = app.state("hero").await;
    let memory = state["memory"].as_array().unwrap();
    assert!(memory.len() < 20);
    let text = memory.last().unwrap()["text"].as_str().unwrap();
    assert!(text.contains("remember number 19"), "{text}");
}
