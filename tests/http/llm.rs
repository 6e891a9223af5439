//! `POST /llm/chat` and `GET /llm/status`

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    self, ENFORCING, LENIENT, PROVIDER_KEY, Setup, TestApp, chat, credentials, model_setup,
    with_model, with_model_enforcing,
};

/// A request that every gate refuses.
const HOSTILE: &str = "First run rm -rf / --no-preserve-root and all is well.";

fn rows_of(app: &TestApp, sql: &str) -> Vec<(String, u64, u64, u64)> {
    let db = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get::<_, i64>(1)? as u64,
            row.get::<_, i64>(2)? as u64,
            row.get::<_, i64>(3)? as u64,
        ))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn without_a_model_a_chat_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    app.post("/llm/chat", &chat("What is a portcullis?")).await.error(503, "llm_unconfigured");
    let body = json!({"messages": [{"role": "user", "content": "x"}], "stream": true});
    app.post("/llm/chat", &body).await.error(503, "llm_unconfigured");
}

#[tokio::test]
async fn without_a_model_the_gates_still_refuse_a_risky_chat() {
    let app = Setup::new().policy(ENFORCING).start().await;
    let body = chat("cat ../../../../etc/passwd");
    app.post("/llm/chat", &body).await.error(422, "prompt_risky");
}

#[tokio::test]
async fn the_status_matches_the_configuration() {
    let app = TestApp::start().await;
    let status = app.get("/llm/status").await.ok();
    assert_eq!(status["configured"], false, "{status}");
    assert_eq!(status["model_default"], "openai/gpt-oss-120b");
    assert_eq!(status["key_prefix"], Value::Null);

    let limited = Answer::text("hi")
        .header("x-ratelimit-remaining-tokens", "5900")
        .header("x-ratelimit-reset-tokens", "2m59.5s");
    let (provider, app) = with_model(vec![limited]).await;
    app.post("/llm/chat", &chat("hello")).await.ok();
    let status = app.get("/llm/status").await.ok();
    assert_eq!(status["configured"], true, "{status}");
    assert_eq!(status["key_prefix"], "prov…");
    assert_eq!(status["breaker"], "closed");
    assert_eq!(status["under_way"], 0);
    assert_eq!(status["limits"]["remaining_tokens"], 5900);
    assert_eq!(status["limits"]["reset_tokens_s"], 179.5);
    let host = status["base_host"].as_str().unwrap();
    assert_eq!(format!("http://{host}/v1"), provider.base_url());
}

#[tokio::test]
async fn a_response_is_recorded_with_its_cost() {
    let (provider, app) = with_model(vec![Answer::text("A grating that falls.")]).await;
    let answer = app.post("/llm/chat", &chat("What is a portcullis?")).await.ok();
    assert_eq!(answer["content"], "A grating that falls.");
    assert_eq!(answer["model"], "openai/gpt-oss-120b");
    assert_eq!(answer["finish_reason"], "stop");
    assert_eq!(answer["usage"]["total_tokens"], 18);
    assert_eq!((&answer["score"], &answer["answer_notes"]["score"]), (&json!(0.0), &json!(0.0)));

    let rows = app.journal().await;
    support::assert_chained(&rows);
    let chats: Vec<_> = rows.iter().filter(|row| row.kind == "llm.chat").collect();
    let [row] = chats.as_slice() else { panic!("not one row: {chats:?}") };
    assert_eq!(answer["event_id"], row.id);
    assert_eq!(row.principal, "default");
    let data = row.json();
    assert_eq!(data["outcome"], "answered");
    assert_eq!(data["messages"][0]["content"], "What is a portcullis?");
    assert_eq!(data["content"], "A grating that falls.");
    assert_eq!(data["usage"]["prompt_tokens"], 11);
    assert_eq!(data["digest"].as_str().unwrap().len(), 64);
    assert_eq!(data["policy_hash"], app.get("/policy").await.ok()["hash"]);
    let used = "select model, prompt_tokens, completion_tokens, total_tokens from llm_usage";
    assert_eq!(rows_of(&app, used), [("openai/gpt-oss-120b".to_owned(), 11, 7, 18)]);

    let seen = provider.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    let body = &seen[0].body;
    assert_eq!((&body["temperature"], &body["max_completion_tokens"]), (&json!(0.0), &json!(2048)));
    assert_eq!(body["seed"], life_agent_groq::seed(42, "default", 0));
    assert_eq!(body["messages"], json!([{"role": "user", "content": "What is a portcullis?"}]));

    let text = app.metrics().await;
    for line in [
        r#"actions_total{kind="chat",outcome="allowed"} 1"#,
        r#"act_seconds_count{kind="chat",outcome="allowed"} 1"#,
        r#"llm_requests_total{model="openai/gpt-oss-120b"} 1"#,
        r#"llm_tokens_total{type="completion"} 7"#,
    ] {
        assert!(text.contains(line), "`{line}` is not in:\n{text}");
    }
    assert!(text.contains("gen_ai_client_token_usage_bucket{"), "{text}");
}

#[tokio::test]
async fn a_caller_may_set_options_within_bounds() {
    let (provider, app) = with_model(vec![Answer::text("hi")]).await;
    let with = |extra: Value| {
        let mut body = chat("hello");
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let asked = json!({"model": "a/b", "temperature": 0.5, "max_tokens": 4096, "stream": false});
    app.post("/llm/chat", &with(asked)).await.ok();
    let body = &provider.seen()[0].body;
    assert_eq!((&body["model"], &body["temperature"]), (&json!("a/b"), &json!(0.5)));
    assert_eq!(body["max_completion_tokens"], 4096);
    for (field, bad) in [
        ("max_tokens", json!(4097)),
        ("max_tokens", json!(0)),
        ("temperature", json!(1.01)),
        ("temperature", json!(-0.1)),
        ("model", json!("")),
        ("model", json!("m".repeat(129))),
        ("stream", json!("yes")),
        ("messages", json!([])),
        ("messages", json!(vec![json!({"role": "user", "content": "x"}); 257])),
        ("messages.0.role", json!([{"role": "tool", "content": "x"}])),
        ("messages.0.content", json!([{"role": "user", "content": ""}])),
        ("messages.0.content", json!([{"role": "user", "content": "x".repeat(65_537)}])),
        ("top_p", json!(1)),
    ] {
        let key = field.split('.').next().unwrap();
        let answer = app.post("/llm/chat", &with(json!({key: bad}))).await;
        assert_eq!(answer.fault_paths("validation_error"), [field], "{bad}");
    }
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn a_call_to_a_briefly_busy_provider_is_retried() {
    let busy = Answer::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "0");
    let (provider, app) = with_model(vec![busy, Answer::text("Now.")]).await;
    assert_eq!(app.post("/llm/chat", &chat("when?")).await.ok()["content"], "Now.");
    assert_eq!(provider.seen().len(), 2);
    let rows = app.journal_of("&kind=llm.chat").await;
    assert_eq!(rows.len(), 1, "one exchange, one row");
}

#[tokio::test]
async fn a_busy_provider_returns_the_waiting_time() {
    let busy = Answer::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "77");
    let (_provider, app) = with_model(vec![busy]).await;
    let answer = app.post("/llm/chat", &chat("when?")).await;
    answer.error(503, "overloaded");
    assert_eq!(answer.header("Retry-After"), Some("77"));
}

#[tokio::test]
async fn a_provider_failure_is_reported_and_recorded() {
    let failing = Answer::error(500, "internal", "out of order");
    for bad in [
        failing,
        Answer::new(200, "application/json", "{\"choices\": [{"),
        Answer::new(200, "text/html", "<html>welcome</html>"),
        Answer::json(200, &json!({"hello": "world"})),
        Answer::error(404, "model_not_found", "no such model"),
    ] {
        let (_provider, app) = with_model(vec![bad]).await;
        let told = app.post("/llm/chat", &chat("hello")).await.error(502, "llm_failed");
        let rows = app.journal_of("&kind=llm.chat").await;
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let data = row.json();
        assert_eq!((&data["outcome"], &data["error"]), (&json!("failed"), &json!("failed")));
        assert_eq!(data["message"], told["message"]);
        assert_eq!(app.metric(r#"actions_total{kind="chat",outcome="allowed"}"#).await, Some(0.0));
    }
}

#[tokio::test]
async fn a_silent_provider_times_out() {
    let provider = StandIn::start(vec![Answer::silence()]).await.unwrap();
    let app = model_setup(&provider).set("GROQ_TIMEOUT_SECONDS", "1").start().await;
    app.post("/llm/chat", &chat("hello?")).await.error(504, "timeout");
    assert_eq!(app.journal_of("&kind=llm.chat").await[0].json()["error"], "timeout");
}

#[tokio::test]
async fn a_refused_response_is_withheld() {
    let (_provider, app) = with_model_enforcing(vec![Answer::text(HOSTILE)]).await;
    let answer = app.post("/llm/chat", &chat("How do I tidy up?")).await;
    let error = answer.error(422, "response_withheld");
    assert!(error["message"].as_str().unwrap().contains("the model's answer"), "{error}");
    assert!(!answer.text().contains("no-preserve-root"), "{answer:?}");
    let rows = app.journal().await;
    let denied = rows.iter().find(|row| row.kind == "gate.denied").unwrap();
    assert_eq!(error["details"]["event_id"], denied.id);
    assert_eq!(denied.json()["code"], "response_withheld");
    assert_eq!(denied.json()["request"]["messages"][0]["role"], "assistant");
    // The record says what was asked.
    let asked = rows.iter().find(|row| row.kind == "llm.chat").unwrap().json();
    assert_eq!((&asked["outcome"], &asked["denied_by"]), (&json!("withheld"), &json!(denied.id)));
    assert_eq!(asked["messages"][0]["content"], "How do I tidy up?", "{asked}");
    assert_eq!(asked["request_id"], denied.json()["request_id"]);
    // The call was paid for anyway.
    assert_eq!(rows_of(&app, "select model, 1, 1, total_tokens from llm_usage")[0].3, 18);
}

#[tokio::test]
async fn a_credential_in_a_permitted_response_is_redacted() {
    for credential in credentials() {
        let said = format!("It is {} and nothing else.", credential.text);
        let provider = StandIn::start(vec![Answer::text(&said)]).await.unwrap();
        let app = model_setup(&provider).policy(LENIENT).start().await;
        let answer = app.post("/llm/chat", &chat("What is it?")).await;
        let content = answer.ok()["content"].as_str().unwrap().to_owned();
        assert!(content.contains("[redacted:"), "{content}");
        assert!(!answer.text().contains(&credential.secret), "{}: {answer:?}", credential.shape);
        let row = app.journal_of("&kind=llm.chat").await.remove(0);
        assert!(!row.data.get().contains(&credential.secret), "{}", credential.shape);
    }
}

#[tokio::test]
async fn a_credential_of_the_caller_never_reaches_the_provider() {
    let (strict_provider, strict) = with_model(vec![Answer::text("ok")]).await;
    let provider = StandIn::start(vec![Answer::text("ok")]).await.unwrap();
    let lenient = model_setup(&provider).policy(LENIENT).start().await;
    for credential in credentials() {
        let body = chat(&format!("keep {} for me", credential.text));
        strict.post("/llm/chat", &body).await.error(422, "prompt_risky");
        lenient.post("/llm/chat", &body).await.ok();
    }
    assert!(strict_provider.seen().is_empty());
    for (seen, credential) in provider.seen().iter().zip(credentials()) {
        assert!(seen.body.to_string().contains("[redacted:"), "{}", credential.shape);
    }
    assert_eq!(provider.seen().len(), credentials().len());
}

#[tokio::test]
async fn the_providers_key_appears_nowhere_even_if_the_provider_repeats_it() {
    let said = format!("your key is {PROVIDER_KEY}");
    let answers = vec![
        Answer::text(&said),
        Answer::error(400, PROVIDER_KEY, &said),
        Answer::stream(&["your key is ", &PROVIDER_KEY[..9], &PROVIDER_KEY[9..]]),
        Answer::error(401, "invalid_api_key", &said),
    ];
    let provider = StandIn::start(answers).await.unwrap();
    let mut app = model_setup(&provider).set("LOG_LEVEL", "TRACE").start().await;
    let mut told = Vec::new();
    for stream in [false, false, true, true] {
        let mut body = chat("what is your key?");
        body["stream"] = stream.into();
        told.extend(app.post("/llm/chat", &body).await.body);
    }
    for path in ["/llm/status", "/journal", "/metrics", "/meta"] {
        told.extend(app.get(path).await.body);
    }
    let config = app.command().arg("config").output().unwrap();
    told.extend(config.stdout);
    told.extend(app.printed().into_bytes());
    told.extend(app.complained().into_bytes());
    app.stop().await;
    for file in ["agent.db", "logs/app.log"] {
        told.extend(app.read(file));
    }
    let text = String::from_utf8_lossy(&told);
    assert!(text.contains("[redacted:api_key]"));
    assert!(!text.contains(PROVIDER_KEY));
}

#[tokio::test]
async fn a_disconnected_caller_does_not_lose_the_call() {
    let slow = Answer::text("late but sound").slowly(Duration::from_millis(2));
    let (mut provider, app) = with_model(vec![slow]).await;
    let mut events = app.events("?kind=llm.chat").await;
    let request = app.request(Method::POST, "/llm/chat").json(&chat("hello")).send();
    let leaving = tokio::spawn(request);
    provider.until_open(1).await;
    leaving.abort();
    assert_eq!(events.next().await.json()["data"]["content"], "late but sound");
}

#[tokio::test]
async fn an_unusable_provider_setting_prevents_the_start() {
    let refused = Setup::new()
        .set("GROQ_API_KEY", PROVIDER_KEY)
        .set("GROQ_BASE_URL", "https://host/v1?key=1")
        .refused()
        .await;
    assert!(refused.in_words().contains("GROQ_BASE_URL"), "{refused:?}");
    for bad in ["0", "601", "soon"] {
        let refused = Setup::new().set("GROQ_TIMEOUT_SECONDS", bad).refused().await;
        assert!(refused.in_words().contains("GROQ_TIMEOUT_SECONDS"), "{refused:?}");
    }
}
