//! `ask` for each kind of request, in hooks, in the queue and on the command line.

use std::time::Duration;

use life_agent_groq::testing::{Answer as Reply, StandIn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::approvals::{asked, decide, get, key, named, policy, post, push, replayed, rows, setup};
use crate::support::{Answer, PROVIDER_KEY};

#[tokio::test]
async fn a_repeated_call_id_is_decided_anew_after_its_approval() {
    let app = setup().start().await;
    let mut body = push("main");
    body["call_id"] = json!("c-1");
    let id = asked(&post(&app, "gpt", "/tool", &body).await);
    assert_eq!(asked(&post(&app, "gpt", "/tool", &body).await), id);
    decide(&app, "eve", id, "approve").await.ok();
    // A host that repeats a call gives it another id.
    body["call_id"] = json!("c-2");
    let passed = post(&app, "gpt", "/tool", &body).await.ok();
    assert_eq!(post(&app, "gpt", "/tool", &body).await.ok()["event_id"], passed["event_id"]);
    body["call_id"] = json!("c-1");
    assert_ne!(asked(&post(&app, "gpt", "/tool", &body).await), id);
}

#[tokio::test]
async fn hooks_show_where_to_approve_and_pass_afterwards() {
    let app = setup().start().await;
    let call = |id: &str| {
        json!({
            "session_id": "s-1", "cwd": "/home/ann/project", "hook_event_name": "PreToolUse",
            "tool_name": "Bash", "tool_input": {"command": "npm publish"}, "tool_use_id": id,
        })
    };
    let output = |answer: Answer| answer.ok()["hookSpecificOutput"].clone();
    let claude = output(post(&app, "gpt", "/hooks/claude-code", &call("t-1")).await);
    let id = rows(&app, "approval.requested").await[0].id;
    let url = format!("http://{}/ui#/approvals/{id}", app.addr());
    assert_eq!(claude["permissionDecision"], "ask");
    assert!(claude["permissionDecisionReason"].as_str().unwrap().contains(&url), "{claude}");
    let codex = output(post(&app, "gpt", "/hooks/codex", &call("t-2")).await);
    assert_eq!(codex["permissionDecision"], "deny");
    let reason = codex["permissionDecisionReason"].as_str().unwrap();
    assert!(reason.contains(&url) && reason.contains("repeat exactly"), "{reason}");
    decide(&app, "eve", id, "approve").await.ok();
    assert_eq!(
        post(&app, "gpt", "/hooks/codex", &call("t-3")).await.ok(),
        json!({}),
        "no objection"
    );
    let again = output(post(&app, "gpt", "/hooks/codex", &call("t-4")).await);
    assert_eq!(again["permissionDecision"], "deny");
    assert_eq!(named(&app, "approval.used").await, [id]);
}

#[tokio::test]
async fn rules_ask_about_every_kind_of_request() {
    let app = setup().policy(&policy("")).start().await;
    let edit = |text: &str| {
        json!({
            "intent": "x", "context": "y", "target_paths": ["plans/a.md"],
            "edits": [{"op": "create", "path": "plans/a.md", "content": text}],
        })
    };
    let requests = [
        (
            "/act",
            json!({"agent_id": "gpt-1", "action": "deploy", "payload": {"to": "prod"}}),
            json!({"agent_id": "gpt-1", "action": "deploy", "payload": {"to": "test"}}),
        ),
        (
            "/turn",
            json!({"agent_id": "gpt-1", "input": "launch it"}),
            json!({"agent_id": "gpt-1", "input": "launch it now"}),
        ),
        ("/plan", edit("one\n"), edit("two\n")),
    ];
    for (path, body, other) in &requests {
        let id = asked(&post(&app, "gpt", path, body).await);
        let shown = get(&app, "eve", &format!("/approvals/{id}")).await;
        assert_eq!(shown.status, 200, "{shown:?}");
        decide(&app, "eve", id, "approve").await.ok();
        assert_ne!(asked(&post(&app, "gpt", path, other).await), id, "{path}");
        let passed = post(&app, "gpt", path, body).await.ok();
        let event = passed["event_id"].as_u64().unwrap();
        let rows = app.journal().await;
        let row = rows.iter().rfind(|row| row.id <= event && row.kind.starts_with("obs.")).unwrap();
        assert_eq!(row.json()["approval_id"], id, "{path}");
        assert_ne!(asked(&post(&app, "gpt", path, body).await), id, "{path} passes once");
    }
    assert_eq!(named(&app, "approval.used").await.len(), 3);
    let plan = get(&app, "eve", "/approvals?status=used&limit=1").await.ok();
    let id = plan["approvals"][0]["approval_id"].as_u64().unwrap();
    let shown = get(&app, "eve", &format!("/approvals/{id}")).await.ok();
    assert_eq!(shown["rest"]["edits"][0]["content"], "one\n", "the edits are shown: {shown}");
    let (status, report) = replayed(&app);
    assert_eq!((status, &report["divergence_count"]), (Some(0), &json!(0)), "{report}");
}

/// Requests that a model takes part in, the replies of their first call, and those of the second.
fn model_requests() -> [(&'static str, Value, Vec<Reply>, Reply); 4] {
    let failing = || Reply::error(400, "context_length_exceeded", "too long");
    let edits = |search: &str| {
        let edit = json!({"op": "search_replace", "path": "plans/a.md", "search": search, "replace": "two"});
        Reply::text(&json!({"edits": [edit]}).to_string())
    };
    let plan = json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]});
    let turn = json!({"agent_id": "gpt-1", "input": "launch it"});
    [
        // A provider that rejects the schema is asked again without it.
        ("/plan", plan.clone(), vec![failing(), failing()], edits("one")),
        ("/plan", plan, (0..3).map(|_| edits("nowhere")).collect(), edits("one")),
        ("/turn", turn.clone(), vec![failing()], Reply::text("It flies.")),
        ("/turn", turn, vec![Reply::error(401, "no_key", "no")], Reply::text("It flies.")),
    ]
}

#[tokio::test]
async fn an_approval_is_used_by_an_effect_and_not_by_a_failing_model() {
    for (path, body, first, second) in model_requests() {
        let script = first.into_iter().chain([second]).collect();
        let provider = StandIn::start(script).await.unwrap();
        let failing = policy("llm: {on_failure: fail}");
        let app = setup()
            .set("GROQ_API_KEY", PROVIDER_KEY)
            .set("GROQ_BASE_URL", provider.base_url())
            .policy(&failing)
            .file("plans/a.md", "one\n")
            .start()
            .await;
        let id = asked(&post(&app, "gpt", path, &body).await);
        decide(&app, "eve", id, "approve").await.ok();
        let failed = post(&app, "gpt", path, &body).await;
        assert!(failed.status >= 400, "{path}: {failed:?}");
        assert_eq!(named(&app, "approval.used").await, Vec::<u64>::new(), "{path}");
        let status = get(&app, "eve", &format!("/approvals/{id}")).await.ok();
        assert_eq!(status["status"], "approved", "{path}");
        post(&app, "gpt", path, &body).await.ok();
        assert_eq!(named(&app, "approval.used").await, [id], "{path}");
        assert_ne!(asked(&post(&app, "gpt", path, &body).await), id, "{path} passes once");
    }
}

#[tokio::test]
async fn a_plan_that_fails_its_checks_keeps_its_approval() {
    let app = setup().policy(&policy("")).file("plans/a.md", "one\n").start().await;
    let body = json!({
        "intent": "x", "context": "y",
        "edits": [{"op": "search_replace", "path": "plans/a.md", "search": "two", "replace": "x"}],
    });
    let id = asked(&post(&app, "gpt", "/plan", &body).await);
    decide(&app, "eve", id, "approve").await.ok();
    post(&app, "gpt", "/plan", &body).await.error(422, "plan_invalid");
    std::fs::write(app.folder().join("plans/a.md"), "two\n").unwrap();
    let plan = post(&app, "gpt", "/plan", &body).await.ok();
    assert_eq!(named(&app, "approval.used").await, [id]);
    let created = rows(&app, "plan.created").await;
    assert_eq!(plan["event_id"], created[0].id, "{plan}");
}

#[tokio::test]
async fn a_turn_in_the_queue_uses_its_approval_when_it_runs() {
    let app = setup().policy(&policy("")).start().await;
    let queue = async || {
        let request = app.bare(Method::POST, "/turn").header("X-API-Key", key("gpt"));
        let request = request.header("Prefer", "respond-async");
        Answer::of(request.json(&json!({"agent_id": "gpt-1", "input": "launch it"}))).await
    };
    let id = asked(&queue().await);
    decide(&app, "eve", id, "approve").await.ok();
    let queued = queue().await;
    assert_eq!(queued.status, 202, "{queued:?}");
    let path = format!("/turns/{}", queued.ok()["id"].as_str().unwrap());
    let ended = async {
        loop {
            let turn = get(&app, "gpt", &path).await.ok();
            if !["queued", "running"].contains(&turn["status"].as_str().unwrap()) {
                return turn;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let turn = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(turn["status"], "done", "{turn}");
    assert_eq!(named(&app, "approval.used").await, [id]);
    asked(&queue().await);
}

#[tokio::test]
async fn one_caller_cannot_fill_the_inbox() {
    let app = setup().start().await;
    for n in 0..200 {
        asked(&post(&app, "gpt", "/tool", &push(&format!("b{n}"))).await);
    }
    let refused = post(&app, "gpt", "/tool", &push("one-more")).await;
    let error = refused.error(403, "approval_required");
    assert!(error["details"].get("approval_id").is_none(), "{error}");
    assert!(error["message"].as_str().unwrap().contains("200 approvals of this caller"), "{error}");
    asked(&post(&app, "bot", "/tool", &push("main")).await);
    // The one that is open already is named.
    asked(&post(&app, "gpt", "/tool", &push("b7")).await);
}

#[tokio::test]
async fn a_credential_in_a_request_is_not_shown_and_still_counts() {
    let app = setup()
        .policy(
            "version: \"1\"\nallowed_dirs: [plans]\nrisk: {categories: {secrets: observe}}\n\
             rules:\n- {id: ask-act, match: {actions: [deploy]}, effect: ask}\n",
        )
        .start()
        .await;
    let deploy =
        |token: &str| json!({"agent_id": "gpt-1", "action": "deploy", "payload": {"token": token}});
    let (one, two) =
        ("ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0", "ghp_0oRuE1aG3sKjH6fDcY8rTm4NbV7zPkL2qXw9");
    let id = asked(&post(&app, "gpt", "/act", &deploy(one)).await);
    let shown = get(&app, "eve", &format!("/approvals/{id}")).await;
    assert!(!shown.text().contains("9wXq2LkPz7"), "{shown:?}");
    decide(&app, "eve", id, "approve").await.ok();
    assert_ne!(asked(&post(&app, "gpt", "/act", &deploy(two)).await), id, "another credential");
    post(&app, "gpt", "/act", &deploy(one)).await.ok();
    assert!(app.journal().await.iter().all(|row| !row.data.get().contains("9wXq2LkPz7")));
}

#[tokio::test]
async fn the_command_line_lists_shows_and_decides() {
    let app = setup().start().await;
    let id = asked(&post(&app, "gpt", "/tool", &push("main")).await).to_string();
    let run = async |name: &str, arguments: &[&str]| {
        let mut command = app.command();
        command.arg("approvals").args(arguments).env("LIFE_AGENT_KEY", key(name));
        command.env("LIFE_AGENT_URL", format!("http://{}", app.addr()));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, listed, _) = run("eve", &["list"]).await;
    assert_eq!(code, Some(0));
    assert!(listed.contains(&id) && listed.contains("git push --force origin main"), "{listed}");
    let (_, shown, _) = run("eve", &["show", &id]).await;
    assert!(shown.contains(r#""command":"git push --force origin main""#), "{shown}");
    assert!(shown.contains("publish"), "{shown}");
    let (code, _, why) = run("gpt", &["approve", &id]).await;
    assert!(code == Some(1) && why.contains("scope"), "{why}");
    let (code, said, _) = run("eve", &["approve", &id, "--note", "release"]).await;
    assert_eq!((code, said.trim()), (Some(0), format!("{id} is approved").as_str()));
    let (code, _, why) = run("eve", &["deny", &id]).await;
    assert!(code == Some(1) && why.contains("already decided"), "{why}");
    assert_eq!(run("eve", &["show", "999999"]).await.0, Some(1));
    let (_, json, _) = run("eve", &["list", "--status", "approved", "--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["decided"]["note"], "release");
    post(&app, "gpt", "/tool", &push("main")).await.ok();
}
