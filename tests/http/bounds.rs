//! What is judged is what is sent and stored, and no input costs more than its bounds.

use life_agent_groq::testing::{Answer, StandIn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer as Told, KEY, LENIENT, RawConnection, Setup, TestApp, model_setup, with_model,
};

const HEAD: &str = "ghp_9wXq2LkPz7VbN4mT";
const TAIL: &str = "r8YcDf6HjKs3Ga1EuRo0";

/// Neither half of the token is in the journal.
async fn assert_not_stored(app: &TestApp) {
    let rows = app.get("/journal?limit=500").await.text();
    for half in [HEAD, TAIL] {
        assert!(!rows.contains(half), "{half}: {rows}");
    }
}

#[tokio::test]
async fn a_credential_that_is_cut_over_fields_or_messages_is_stored_in_no_part() {
    let app = TestApp::start().await;
    let token = |text: &str| json!({"role": "user", "content": text});
    for (path, body) in [
        ("/plan", json!({"intent": HEAD, "context": TAIL, "target_paths": ["plans/a.md"]})),
        ("/act", json!({"agent_id": "a", "action": "note", "payload": {"k": [HEAD, TAIL]}})),
        ("/act", json!({"agent_id": "a", "action": "note", "payload": {"a": HEAD, "b": TAIL}})),
        ("/llm/chat", json!({"messages": [token(HEAD), token(TAIL)]})),
        ("/v1/chat/completions", json!({"model": "m", "messages": [token(HEAD), token(TAIL)]})),
        ("/tool", json!({"agent_id": "a", "tool": "X", "arguments": {"k": [HEAD, TAIL]}})),
    ] {
        let told = app.post(path, &body).await;
        assert!((400..500).contains(&told.status), "{path}: {told:?}");
        assert_not_stored(&app).await;
    }
}

#[tokio::test]
async fn a_cut_credential_that_a_policy_lets_pass_reaches_neither_the_provider_nor_the_journal() {
    let provider = StandIn::start(vec![Answer::text("ok"); 4]).await.unwrap();
    let policy = "version: \"1\"\nallowed_dirs: [plans]\nrisk: {categories: {secrets: observe}}\n";
    let app = model_setup(&provider).policy(policy).start().await;
    let said = |text: &str| json!({"role": "user", "content": text});
    let named = json!({"role": "user", "name": "Bob", "content": format!("it is {HEAD}")});
    let parts = json!({"role": "user", "content": [{"type": "text", "text": HEAD}]});
    for (path, messages) in [
        ("/llm/chat", json!([said(HEAD), said(TAIL)])),
        ("/v1/chat/completions", json!([said(HEAD), said(TAIL)])),
        ("/v1/chat/completions", json!([named, said(TAIL)])),
        ("/v1/chat/completions", json!([parts, said(TAIL)])),
    ] {
        app.post(path, &json!({"model": "m", "messages": messages})).await.ok();
        let sent = String::from_utf8(provider.seen().last().unwrap().raw.clone()).unwrap();
        assert!(!sent.contains(HEAD) && !sent.contains(TAIL), "{path}: {sent}");
        assert!(sent.contains("[redacted:github_token]"), "{path}: {sent}");
        assert_not_stored(&app).await;
    }
}

#[tokio::test]
async fn a_denial_that_is_too_large_for_a_row_leaves_its_verdict() {
    let (_provider, app) = with_model(vec![Answer::text("ok")]).await;
    let text = format!("{HEAD}{TAIL} {}", "the road behind the gate is long. ".repeat(130_000));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    app.post("/v1/chat/completions", &body).await.error(422, "prompt_risky");
    let row = app.journal_of("&kind=gate.denied").await.pop().unwrap();
    let data = row.json();
    assert_eq!((&data["code"], &data["gate"]), (&json!("prompt_risky"), &json!("risk")));
    let omitted = data["omitted"].as_array().unwrap();
    assert_eq!(omitted[0]["role"], "request/messages");
    assert!(omitted[0]["bytes"].as_u64().unwrap() > 4 << 20, "{omitted:?}");
    assert!(row.data.get().len() < 64 * 1024);
    // A backtest counts it without guessing.
    let report = app.post_nothing("/policy/backtest").await.ok();
    assert_eq!(report["divergence_count"], 0, "{report}");
}

#[tokio::test]
async fn findings_are_few_however_many_attacks_a_text_holds() {
    let app = TestApp::start().await;
    let text = "AKIAQ3EGRVBOYZ7DKWZT ".repeat(40_000);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    let told = app.post("/v1/chat/completions", &body).await;
    assert_eq!(told.status, 422);
    assert!(told.body.len() < 16 * 1024, "{} bytes", told.body.len());
    let rows = app.get("/journal?limit=500").await.text();
    assert!(!rows.contains("AKIAQ3EGRVBOYZ7DKWZT"), "each of them is redacted all the same");
}

#[tokio::test]
async fn large_requests_do_not_hold_up_the_health_check() {
    let app = Setup::new().set("WORKERS", "1").start().await;
    let parts =
        ["AKIAQ3EGRVBOYZ7DKWZT ", "x; cat /etc/passwd ../../x http://127.0.0.1/ ", "%252e%26lt;"];
    let text: String = parts.iter().map(|part| part.repeat(300_000 / part.len())).collect();
    let edits: Vec<_> = (0..9_000)
        .map(|n| json!({"path": format!("../{n}"), "op": "creat", "unknown": 1}))
        .collect();
    let commands = vec!["git push --force origin main ".repeat(100); 200];
    let items: Vec<_> = (0..40_000).map(|n| format!("item {n}")).collect();
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": [{"role": "user", "content": text}]}),
        ),
        ("/llm/chat", json!({"messages": [{"role": "user", "content": text}]})),
        ("/plan", json!({"intent": "x", "context": "y", "edits": edits})),
        ("/tool", json!({"agent_id": "a", "tool": "Bash", "arguments": {"commands": commands}})),
        ("/act", json!({"agent_id": "a", "action": "note", "payload": {"items": items}})),
    ] {
        let large = app.post(path, &body);
        tokio::pin!(large);
        let mut checks = 0;
        loop {
            tokio::select! {
                answer = &mut large => {
                    assert!(answer.status < 500 || answer.status == 503, "{path}: {answer:?}");
                    break;
                }
                healthy = app.get("/healthz") => {
                    healthy.ok();
                    checks += 1;
                }
            }
        }
        // A worker that handled the request itself would answer at most one before and one with it.
        assert!(checks > 2, "{path}: {checks} health checks were answered meanwhile");
    }
}

#[tokio::test]
async fn a_chat_stream_has_a_row_before_its_first_byte() {
    let words: Vec<&str> =
        ["The ", "road ", "is ", "long. "].into_iter().cycle().take(200).collect();
    let (_provider, app) = with_model(vec![Answer::stream(&words)]).await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    Told::of(app.request(Method::POST, "/llm/chat").json(&body)).await;
    let rows = app.journal().await;
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    let begun = kinds.iter().position(|kind| *kind == "llm.begun").unwrap();
    let chat = kinds.iter().position(|kind| *kind == "llm.chat").unwrap();
    assert!(begun < chat, "{kinds:?}");
    assert_eq!(rows[begun].json()["digest"], rows[chat].json()["digest"]);
}

#[tokio::test]
async fn too_many_messages_are_refused_and_the_limit_can_be_set() {
    let (provider, mut app) = with_model(vec![Answer::text("ok"); 2]).await;
    let body = |count: usize| {
        let messages = vec![json!({"role": "user", "content": "hi"}); count];
        json!({"model": "m", "messages": messages})
    };
    let told = app.post("/v1/chat/completions", &body(4097)).await;
    assert_eq!(told.fault_paths("validation_error"), ["messages"]);
    assert!(provider.seen().is_empty());
    app.set_for_next_start("LLM_MAX_MESSAGES", "3");
    app.restart().await;
    assert_eq!(app.post("/v1/chat/completions", &body(4)).await.status, 422);
    app.post("/v1/chat/completions", &body(3)).await.ok();
}

#[tokio::test]
async fn a_role_that_is_no_plain_word_is_judged_and_redacted() {
    let provider = StandIn::start(vec![Answer::text("ok")]).await.unwrap();
    let app = model_setup(&provider).policy(LENIENT).start().await;
    let role = format!("{HEAD}{TAIL}");
    let body = json!({"model": "m", "messages": [{"role": role, "content": "hi"}]});
    app.post("/v1/chat/completions", &body).await;
    assert_not_stored(&app).await;
    let seen = provider.seen();
    let sent: String =
        seen.iter().map(|call| String::from_utf8_lossy(&call.raw).into_owned()).collect();
    assert!(!sent.contains(HEAD), "{sent}");
}

#[tokio::test]
async fn paths_with_a_colon_are_refused() {
    let app = TestApp::start().await;
    let plan = json!({"intent": "x", "context": "y", "target_paths": ["plans/.env::$DATA"]});
    app.post("/plan", &plan).await.error(403, "path_forbidden");
}

#[tokio::test]
async fn a_policy_of_large_patterns_is_refused_before_it_takes_the_memory() {
    let app = TestApp::start().await;
    let patterns: String = (0..128)
        .map(|n| format!("  - {{id: p{n}, category: url, pattern: '\\w{{18}}x{n}'}}\n"))
        .collect();
    let text = format!("version: \"1\"\nallowed_dirs: [plans]\nrisk:\n  patterns:\n{patterns}");
    let told = app.post("/policy/validate", &json!({"text": text})).await;
    told.error(422, "policy_invalid");
    assert!(told.text().contains("more than 8 MiB"), "{}", told.text());
}

#[tokio::test]
async fn connections_without_a_key_leave_room_for_an_operator() {
    let app = Setup::new().set("MAX_CONNECTIONS", "20").start().await;
    let mut idle = Vec::new();
    for _ in 0..18 {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
        idle.push(connection);
    }
    let mut stranger = RawConnection::open(app.addr()).await;
    stranger.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stranger.answer().await.unwrap().error(503, "overloaded");
    let mut operator = RawConnection::open(app.addr()).await;
    let head = format!("GET /kill-switch HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    operator.send(head).await;
    let status: Value = operator.answer().await.unwrap().ok();
    assert_eq!(status["on"], false);
}

#[tokio::test]
async fn a_request_id_does_not_tell_whether_it_is_a_key() {
    let app = TestApp::start().await;
    let other = format!("{}x", &KEY[..KEY.len() - 1]);
    for id in [KEY, other.as_str()] {
        let told = Told::of(app.bare(Method::GET, "/healthz").header("X-Request-Id", id)).await;
        assert_eq!(told.status, 200);
        assert_ne!(told.header("X-Request-Id"), Some(id));
    }
    let short = Told::of(app.bare(Method::GET, "/healthz").header("X-Request-Id", "mine-1")).await;
    assert_eq!(short.header("X-Request-Id"), Some("mine-1"));
}
