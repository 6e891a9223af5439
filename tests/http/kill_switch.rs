//! `POST /kill-switch` and `GET /kill-switch`

use serde_json::{Value, json};

use crate::support::{Setup, TestApp};

fn acting() -> Vec<(&'static str, Value)> {
    vec![
        ("/act", json!({"agent_id": "a", "action": "rest"})),
        ("/turn", json!({"agent_id": "a", "input": "hello"})),
        ("/plan", json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]})),
    ]
}

async fn flip(app: &TestApp, on: bool, reason: &str) -> Value {
    app.post("/kill-switch", &json!({"on": on, "reason": reason})).await.ok()
}

#[tokio::test]
async fn it_denies_everything_that_acts_and_nothing_else() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/kill-switch").await.ok()["on"], false);
    assert_eq!(flip(&app, true, "fire drill").await["on"], true);
    for (path, body) in acting() {
        app.post(path, &body).await.error(503, "kill_switch");
        let denied = app.journal().await.pop().unwrap();
        assert_eq!(
            (denied.kind.as_str(), &denied.json()["reason"]),
            ("gate.denied", &json!("kill_switch"))
        );
    }
    for path in
        ["/state", "/state?agent_id=a", "/meta", "/policy", "/plans", "/journal", "/healthz"]
    {
        app.get(path).await.ok();
    }
    let check = json!({"kind": "turn", "agent_id": "a", "input": "hello"});
    assert_eq!(app.post("/check", &check).await.ok()["code"], "kill_switch");
    assert_eq!(app.state("a").await["version"], 0);
    assert_eq!(app.metric(r#"policy_denied_total{reason="kill_switch"}"#).await, Some(3.0));
    assert_eq!(flip(&app, false, "over").await["on"], false);
    for (path, body) in acting() {
        app.post(path, &body).await.ok();
    }
}

#[tokio::test]
async fn its_reason_is_shown_and_recorded() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/kill-switch").await.ok()["by"], Value::Null);
    flip(&app, true, "fire drill").await;
    let now = app.get("/kill-switch").await.ok();
    assert_eq!((&now["reason"], &now["by"]), (&json!("fire drill"), &json!("default")));
    let row = app.journal().await.pop().unwrap();
    assert_eq!((row.kind.as_str(), row.principal.as_str()), ("kill_switch.on", "default"));
    assert_eq!(row.json()["reason"], "fire drill");
    flip(&app, false, "over").await;
    assert_eq!(app.journal().await.pop().unwrap().kind, "kill_switch.off");
}

#[tokio::test]
async fn it_survives_a_restart_and_a_kill() {
    let mut app = TestApp::start().await;
    flip(&app, true, "fire drill").await;
    app.restart().await;
    let status = app.get("/kill-switch").await.ok();
    assert_eq!((&status["on"], &status["reason"]), (&json!(true), &json!("fire drill")));
    assert_eq!(status["by"], "default");
    app.post("/turn", &acting()[1].1).await.error(503, "kill_switch");
    app.kill_9();
    app.start_again().await;
    assert_eq!(app.get("/kill-switch").await.ok()["on"], true);
    flip(&app, false, "over").await;
    app.restart().await;
    assert_eq!(app.get("/kill-switch").await.ok()["on"], false);
}

#[tokio::test]
async fn the_setting_overrides_the_endpoint() {
    let mut app = Setup::new().set("KILL_SWITCH", "on").start().await;
    assert_eq!(app.get("/kill-switch").await.ok()["on"], true);
    app.post("/turn", &acting()[1].1).await.error(503, "kill_switch");
    let answer = app.post("/kill-switch", &json!({"on": false, "reason": "please"})).await;
    let code = answer.json()["error"]["code"].clone();
    answer.error(409, code.as_str().unwrap());
    assert_eq!(app.get("/kill-switch").await.ok()["on"], true);
    app.set_for_next_start("KILL_SWITCH", "off");
    app.restart().await;
    assert_eq!(app.get("/kill-switch").await.ok()["on"], false, "it was never flipped by a call");
}

#[tokio::test]
async fn its_body_is_read_strictly() {
    let app = TestApp::start().await;
    for (body, path) in [
        (json!({"reason": "x"}), "on"),
        (json!({"on": "yes", "reason": "x"}), "on"),
        (json!({"on": true, "reason": 1}), "reason"),
    ] {
        let answer = app.post("/kill-switch", &body).await;
        assert_eq!(answer.fault_paths("validation_error"), [path]);
    }
    assert_eq!(app.get("/kill-switch").await.ok()["on"], false);
}
