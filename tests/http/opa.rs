//! The OPA gate: embedded, or a server elsewhere; whatever is not a clear `true` denies

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::{Answer, Setup, TestApp};

fn embedded(module: &str) -> Setup {
    Setup::new().set("OPA_ENABLE", "true").file("policies/agent.rego", module)
}

async fn act(app: &TestApp, action: &str) -> Answer {
    app.post("/act", &json!({"agent_id": "a", "action": action})).await
}

#[tokio::test]
async fn the_shipped_module_lets_ordinary_work_through() {
    let app = Setup::new().set("OPA_ENABLE", "true").start().await;
    act(&app, "rest").await.ok();
    app.turn("a", "explore the keep").await;
    let plan = json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]});
    app.post("/plan", &plan).await.ok();
}

#[tokio::test]
async fn a_module_decides_by_what_is_asked() {
    let module = r#"
package agent
import rego.v1
default allow := false
allow if { input.kind == "act"; input.action == "rest"; input.principal == "default" }
allow if { input.kind == "turn"; contains(input.input, "please") }
"#;
    let app = embedded(module).start().await;
    act(&app, "rest").await.ok();
    act(&app, "dance").await.error(403, "opa_deny");
    app.turn("a", "please explore").await;
    let rude = json!({"agent_id": "a", "input": "explore"});
    app.post("/turn", &rude).await.error(403, "opa_deny");
    let denied = app.journal().await.pop().unwrap();
    assert_eq!(
        (denied.kind.as_str(), &denied.json()["reason"]),
        ("gate.denied", &json!("opa_deny"))
    );
    assert_eq!(app.metric(r#"policy_denied_total{reason="opa_deny"}"#).await, Some(2.0));
    let check = json!({"kind": "act", "agent_id": "a", "action": "dance"});
    assert_eq!(app.post("/check", &check).await.ok()["code"], "opa_deny");
}

#[tokio::test]
async fn whatever_is_not_a_clear_true_denies() {
    let rules = [
        ("undefined", "other := true"),
        ("a text", "allow := \"true\""),
        ("a number", "allow := 1"),
        ("a list", "allow := [true]"),
        ("false", "allow := false"),
        ("two values", "allow := x if { some x in [true, false] }"),
        ("an error", "allow := 1 / 0 == 1"),
        ("no end", "allow if { some i in numbers.range(1, 100000000); i < 0 }"),
        ("no module at all", ""),
    ];
    for (what, rule) in rules {
        let app = embedded(&format!("package agent\nimport rego.v1\n{rule}\n")).start().await;
        let answer = act(&app, "rest").await;
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        answer.error(403, "opa_deny");
    }
    let app = embedded("package agent\nallow := := true\n").start().await;
    act(&app, "rest").await.error(403, "opa_deny");
}

#[tokio::test]
async fn modules_are_reloaded_with_the_policy_and_bad_ones_refused() {
    let app = embedded("package agent\nimport rego.v1\nallow := true\n").start().await;
    act(&app, "rest").await.ok();
    let module = app.folder().join("policies/agent.rego");
    std::fs::write(&module, "package agent\nallow := := true\n").unwrap();
    let answer = app.post_nothing("/policy/reload").await;
    answer.error(422, "policy_invalid");
    act(&app, "rest").await.ok();
    std::fs::write(&module, "package agent\nimport rego.v1\nallow := false\n").unwrap();
    app.post_nothing("/policy/reload").await.ok();
    act(&app, "rest").await.error(403, "opa_deny");
}

/// A stand-in for an OPA server: answers every request with `body`, and passes on what it was asked.
async fn stand_in(
    status: &'static str,
    body: &'static str,
) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (asked, questions) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                // Small requests on loopback: the end is where the JSON object closes.
                while !request.ends_with(b"}") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = asked.send(String::from_utf8(request).unwrap()).await;
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (addr, questions)
}

async fn asking(addr: SocketAddr) -> TestApp {
    let url = format!("http://{addr}");
    Setup::new().set("OPA_ENABLE", "true").set("OPA_URL", &url).start().await
}

#[tokio::test]
async fn a_server_that_says_true_is_believed_and_was_told_what_it_is_about() {
    let (addr, mut questions) = stand_in("200 OK", r#"{"result": true}"#).await;
    let app = asking(addr).await;
    act(&app, "rest").await.ok();
    let question = questions.recv().await.unwrap();
    assert!(question.starts_with("POST /v1/data/agent/allow"), "{question}");
    let body: Value = serde_json::from_str(question.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let input = &body["input"];
    assert_eq!((&input["kind"], &input["action"]), (&json!("act"), &json!("rest")), "{input}");
    assert_eq!((&input["principal"], &input["agent_id"]), (&json!("default"), &json!("a")));
    assert!(input["policy_hash"].is_string() && input["targets"].is_array(), "{input}");
    assert!(!question.contains(crate::support::KEY), "a key is nobody else's business");
}

#[tokio::test]
async fn a_server_that_says_anything_else_denies() {
    for (status, body) in [
        ("200 OK", r#"{"result": false}"#),
        ("200 OK", r#"{"result": "true"}"#),
        ("200 OK", r#"{"result": [true]}"#),
        ("200 OK", "{}"),
        ("200 OK", "true"),
        ("200 OK", "not json"),
        ("500 Internal Server Error", r#"{"result": true}"#),
        ("302 Found", r#"{"result": true}"#),
    ] {
        let (addr, _questions) = stand_in(status, body).await;
        let answer = act(&asking(addr).await, "rest").await;
        assert_eq!(answer.status, 403, "{status} {body}: {answer:?}");
        answer.error(403, "opa_deny");
    }
}

#[tokio::test]
async fn a_server_that_is_dead_or_never_answers_denies() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = asking(listener.local_addr().unwrap()).await;
    act(&silent, "rest").await.error(403, "opa_deny");
    let addr = listener.local_addr().unwrap();
    drop(listener);
    act(&asking(addr).await, "rest").await.error(403, "opa_deny");
}
