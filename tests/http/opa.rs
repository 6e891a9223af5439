//! The OPA gate, embedded or remote; every result other than `true` denies

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
async fn the_shipped_module_allows_ordinary_work() {
    let app = Setup::new().set("OPA_ENABLE", "true").start().await;
    act(&app, "rest").await.ok();
    app.turn("a", "explore the keep").await;
    let plan = json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]});
    app.post("/plan", &plan).await.ok();
}

#[tokio::test]
async fn a_module_decides_by_its_input() {
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

/// A module that takes 10^9 steps.
const ENDLESS: &str = "
d := [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
allow if {
	some a in d
	some b in d
	some c in d
	some e in d
	some f in d
	some g in d
	some h in d
	some k in d
	some m in d
	a + b + c + e + f + g + h + k + m < 0
}";

#[tokio::test]
async fn every_result_other_than_true_denies() {
    let rules = [
        ("undefined", "allow if input.kind == \"dance\""),
        ("a text", "allow := \"true\""),
        ("a number", "allow := 1"),
        ("a list", "allow := [true]"),
        ("false", "allow := false"),
        ("two values", "allow := x if { some x in [true, false] }"),
        ("an error", "allow := 1 / 0 == 1"),
        ("no end in time", ENDLESS),
    ];
    let app = embedded("package agent\nallow := true\n").start().await;
    let module = app.folder().join("policies/agent.rego");
    for (what, rule) in rules {
        std::fs::write(&module, format!("package agent\nimport rego.v1\n{rule}\n")).unwrap();
        app.post_nothing("/policy/reload").await.ok();
        let answer = act(&app, "rest").await;
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        answer.error(403, "opa_deny");
    }
}

#[tokio::test]
async fn a_start_with_unusable_modules_denies_everything() {
    for module in ["package agent\nallow := := true\n", "package agent\nother := true\n", ""] {
        let app = embedded(module).start().await;
        act(&app, "rest").await.error(403, "opa_deny");
    }
}

#[tokio::test]
async fn modules_are_reloaded_with_the_policy_and_invalid_modules_refused() {
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

/// A stand-in for an OPA server: returns these responses in order, and forwards the requests that it received.
async fn stand_in(
    answers: &'static [(&'static str, &'static str)],
) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (asked, questions) = mpsc::channel(100);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // A small request ends with its JSON object.
            while !request.ends_with(b"}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "half a question");
            }
            asked.send(String::from_utf8(request).unwrap()).await.unwrap();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
            let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all((head + &rest).as_bytes()).await.unwrap();
        }
    });
    (addr, questions)
}

async fn asking(addr: SocketAddr) -> TestApp {
    let url = format!("http://{addr}");
    Setup::new().set("OPA_ENABLE", "true").set("OPA_URL", &url).start().await
}

#[tokio::test]
async fn a_server_that_returns_true_allows_and_receives_the_input() {
    let (addr, mut questions) = stand_in(&[("200 OK", r#"{"result": true}"#)]).await;
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
async fn a_server_with_a_token_receives_it_and_nothing_else_shows_it() {
    let (addr, mut questions) = stand_in(&[("200 OK", r#"{"result": true}"#)]).await;
    let setup = Setup::new().set("OPA_ENABLE", "true").set("OPA_URL", &format!("http://{addr}"));
    let app =
        setup.set("OPA_TOKEN", "a-token-without-a-shape").set("LOG_LEVEL", "TRACE").start().await;
    act(&app, "rest").await.ok();
    let question = questions.recv().await.unwrap().to_ascii_lowercase();
    assert!(question.contains("authorization: bearer a-token-without-a-shape\r\n"), "{question}");
    let log = String::from_utf8_lossy(&app.read("logs/app.log")).into_owned();
    assert!(!log.contains("a-token-without-a-shape") && !app.printed().contains("without-a-shape"));
    let exposed = Setup::new().set("OPA_ENABLE", "true").set("OPA_URL", "http://opa.example");
    let refused = exposed.set("OPA_TOKEN", "a-token").refused().await;
    assert!(
        refused.in_words().contains("`OPA_TOKEN` needs an `OPA_URL` with https"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_returns_another_value_denies() {
    const ANSWERS: &[(&str, &str)] = &[
        ("200 OK", r#"{"result": false}"#),
        ("200 OK", r#"{"result": "true"}"#),
        ("200 OK", r#"{"result": [true]}"#),
        ("200 OK", "{}"),
        ("200 OK", "true"),
        ("200 OK", "not json"),
        ("500 Internal Server Error", r#"{"result": true}"#),
        ("302 Found", r#"{"result": true}"#),
    ];
    let (addr, mut questions) = stand_in(ANSWERS).await;
    let app = asking(addr).await;
    for (status, body) in ANSWERS {
        let answer = act(&app, "rest").await;
        assert_eq!(answer.status, 403, "{status} {body}: {answer:?}");
        answer.error(403, "opa_deny");
        assert!(questions.recv().await.is_some(), "it was not even asked");
    }
}

#[tokio::test]
async fn an_unreachable_or_silent_server_denies() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = asking(listener.local_addr().unwrap()).await;
    act(&silent, "rest").await.error(403, "opa_deny");
    let addr = listener.local_addr().unwrap();
    drop(listener);
    act(&asking(addr).await, "rest").await.error(403, "opa_deny");
}
