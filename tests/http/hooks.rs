//! `POST /hooks/{dialect}` and `life-agent hook`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{KEY, TestApp, binary};

fn claude(command: &str, id: &str) -> Value {
    json!({
        "session_id": "s-1", "transcript_path": "/t", "cwd": "/home/ann/project",
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": command},
        "tool_use_id": id,
    })
}

#[tokio::test]
async fn each_host_gets_its_own_form() {
    let app = TestApp::start().await;
    let allowed = app.post("/hooks/claude-code", &claude("ls", "t-1")).await;
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert_eq!(allowed.json()["hookSpecificOutput"]["permissionDecision"], "allow");
    let asked = app.post("/hooks/claude-code", &claude("git push --force", "t-2")).await.json();
    assert_eq!(asked["hookSpecificOutput"]["permissionDecision"], "ask", "{asked}");
    let denied = app.post("/hooks/codex", &claude("cat ~/.ssh/id_rsa", "t-3")).await.json();
    let output = &denied["hookSpecificOutput"];
    assert_eq!(output["permissionDecision"], "deny", "{denied}");
    assert!(output["permissionDecisionReason"].as_str().unwrap().contains("(row "), "{denied}");
    assert_eq!(app.post("/hooks/codex", &claude("ls", "t-4")).await.json(), json!({}));
    let shell = json!({
        "conversation_id": "c", "hook_event_name": "beforeShellExecution", "command": "npm publish",
        "cwd": "/home/ann/project", "workspace_roots": [],
    });
    assert_eq!(app.post("/hooks/cursor", &shell).await.json()["permission"], "ask");
    let rows = app.journal().await;
    assert_eq!(rows.iter().filter(|row| row.kind == "tool.requested").count(), 5);

    let result = json!({
        "session_id": "s-1", "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {},
        "tool_response": {"stdout": "a"}, "tool_use_id": "t-1", "cwd": "/home/ann/project",
    });
    assert_eq!(app.post("/hooks/claude-code", &result).await.status, 200);
    let rows = app.journal().await;
    let call = rows.iter().find(|row| row.kind == "tool.requested").unwrap().id;
    let finished = rows.iter().find(|row| row.kind == "tool.finished").unwrap();
    assert_eq!(finished.json()["call"], call);
    assert_eq!(app.post("/hooks/unknown", &claude("ls", "t-9")).await.status, 404);
    let broken = app.post("/hooks/codex", &json!({"hook_event_name": "PreToolUse"})).await;
    assert_eq!(broken.status, 422, "{broken:?}");
}

fn hook(arguments: &[&str], url: &str, input: &str) -> Output {
    let mut child = Command::new(binary())
        .arg("hook")
        .args(arguments)
        .env("LIFE_AGENT_URL", url)
        .env("LIFE_AGENT_KEY", KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_command_decides_like_the_endpoint_and_fails_closed() {
    let app = TestApp::start().await;
    let url = format!("http://{}", app.addr());
    let run = |host: &'static str, url: String, input: String| async move {
        tokio::task::spawn_blocking(move || hook(&[host], &url, &input)).await.unwrap()
    };
    let allowed = run("claude-code", url.clone(), claude("ls", "c-1").to_string()).await;
    assert_eq!(allowed.status.code(), Some(0), "{allowed:?}");
    let output: Value = serde_json::from_slice(&allowed.stdout).unwrap();
    assert_eq!(output["hookSpecificOutput"]["permissionDecision"], "allow");
    let silent = run("codex", url.clone(), claude("ls", "c-2").to_string()).await;
    assert_eq!((silent.status.code(), silent.stdout.is_empty()), (Some(0), true), "{silent:?}");
    // No process listens on the reserved port 9 of loopback.
    for (url, input) in [
        ("http://127.0.0.1:9", claude("ls", "c-3").to_string()),
        ("https://127.0.0.1", claude("ls", "c-4").to_string()),
    ] {
        let refused = run("claude-code", url.to_owned(), input).await;
        let output: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(output["hookSpecificOutput"]["permissionDecision"], "deny", "{refused:?}");
    }
    for input in ["", "{", "[]", "{\"hook_event_name\": \"PreToolUse\"}"] {
        let refused = run("claude-code", url.clone(), input.to_owned()).await;
        assert_eq!(refused.status.code(), Some(2), "{input}: {refused:?}");
        assert!(!refused.stderr.is_empty());
    }
}
