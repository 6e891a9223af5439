//! Clients of one API before providers of the other: chat completions and messages, whole and streamed.

use life_agent_groq::testing::{Answer, StandIn, chunk};
use serde_json::{Value, json};

use crate::support::{Setup, TestApp, credentials};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
/// A text that every policy refuses.
const HOSTILE: &str = "please run rm -rf / --no-preserve-root";

/// A service whose only provider speaks this API.
async fn before(dialect: &str, script: Vec<Answer>) -> (StandIn, TestApp) {
    with_policy(dialect, "", script).await
}

async fn with_policy(dialect: &str, more: &str, script: Vec<Answer>) -> (StandIn, TestApp) {
    let provider = StandIn::start(script).await.unwrap();
    let policy = format!(
        "version: '1'\nallowed_dirs: [plans]\nrisk: {{categories: {{secrets: observe}}}}\nllm:\n  providers:\n  \
         - {{name: p, base_url: '{}', dialect: {dialect}, key_env: P_KEY{more}}}\n",
        provider.base_url()
    );
    let app = Setup::new().set("P_KEY", "key-of-the-provider").policy(&policy).start().await;
    (provider, app)
}

fn message(content: &Value, stop: &str) -> Answer {
    Answer::json(
        200,
        &json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
            "stop_reason": stop, "usage": {"input_tokens": 9, "output_tokens": 3}}),
    )
}

fn stream_of_messages(text: &str) -> Answer {
    let events: String = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "Read", "input": {}}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"path\":"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "\"a\"}"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]
    .iter()
    .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
    .collect();
    Answer::new(200, "text/event-stream", events.as_str())
}

fn payloads(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

#[tokio::test]
async fn a_client_of_chat_completions_calls_a_provider_of_messages() {
    let script = vec![
        message(&json!([{"type": "text", "text": "Hello."}]), "end_turn"),
        stream_of_messages("Reading. "),
    ];
    let (provider, app) = before("anthropic", script).await;
    let mut body = json!({"model": "claude-x", "max_tokens": 9, "messages": [
        {"role": "system", "content": "Be short."}, {"role": "user", "content": "hi"}]});
    let whole = app.post(CHAT, &body).await;
    assert_eq!(whole.header("X-Life-Agent-Changed"), Some("translated"), "{whole:?}");
    let whole = whole.ok();
    assert_eq!(whole["choices"][0]["message"]["content"], "Hello.");
    assert_eq!(
        (&whole["object"], &whole["usage"]["total_tokens"]),
        (&json!("chat.completion"), &json!(12))
    );
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let streamed = app.post(CHAT, &body).await.text();
    assert!(streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
    let chunks = payloads(&streamed);
    let arguments: String = chunks
        .iter()
        .filter_map(|chunk| {
            chunk.pointer("/choices/0/delta/tool_calls/0/function/arguments")?.as_str()
        })
        .collect();
    assert_eq!(arguments, "{\"path\":\"a\"}", "{streamed}");
    assert_eq!(chunks.last().unwrap()["usage"]["prompt_tokens"], 9);
    let seen = provider.seen();
    assert_eq!(seen[0].line, "POST /v1/messages");
    assert_eq!(seen[0].header("x-api-key"), Some("key-of-the-provider"));
    assert_eq!(seen[0].body["system"], json!([{"type": "text", "text": "Be short."}]));
    assert_eq!(seen[0].body["messages"], json!([{"role": "user", "content": "hi"}]));
    // The row holds what was judged, and the digest of what was sent.
    let rows = app.journal_of("&kind=llm.chat").await;
    for (row, seen) in rows.iter().zip(&seen) {
        let row = row.json();
        assert_eq!(
            (&row["endpoint"], &row["sent"]["path"]),
            (&json!(CHAT), &json!("/messages")),
            "{row}"
        );
        assert_eq!(row["sent"]["blake3"], *blake3::hash(&seen.raw).to_hex());
        assert_eq!(row["usage"]["prompt_tokens"], 9, "{row}");
    }
}

#[tokio::test]
async fn a_client_of_messages_calls_a_provider_of_chat_completions() {
    let call = |n: u64, id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        chunk(&json!({"tool_calls": [{"index": n, "id": id, "function": function}]}), &Value::Null)
    };
    let events = Answer::events(&[
        chunk(&json!({"role": "assistant", "content": "Reading "}), &Value::Null),
        chunk(&json!({"content": "it."}), &Value::Null),
        call(0, "a", "Read", "{\"path\":"),
        call(1, "b", "List", "{}"),
        call(0, "", "", "\"a\"}"),
        chunk(&json!({}), &json!("tool_calls")),
        json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}),
    ]);
    let (provider, app) =
        before("openai", vec![Answer::tool_call("Read", "{\"path\":\"a\"}"), events.done()]).await;
    let mut body = json!({"model": "m", "max_tokens": 9, "system": "Be short.",
        "tools": [{"name": "Read", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Read a."}]}]});
    let whole = app.post(MESSAGES, &body).await.ok();
    assert_eq!(whole["content"][0]["input"], json!({"path": "a"}), "{whole}");
    assert_eq!((&whole["type"], &whole["stop_reason"]), (&json!("message"), &json!("tool_use")));
    assert_eq!(whole["usage"]["input_tokens"], 11);
    body["stream"] = true.into();
    let streamed = app.post(MESSAGES, &body).await.text();
    let events = payloads(&streamed);
    let kinds: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("message_start", "message_stop"), "{streamed}");
    let input: Vec<_> =
        events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(input, ["{\"path\":\"a\"}", "{}"], "{streamed}");
    let seen = provider.seen();
    assert_eq!(seen[0].line, "POST /v1/chat/completions");
    assert_eq!(seen[0].header("authorization"), Some("Bearer key-of-the-provider"));
    assert_eq!(
        seen[0].body["messages"],
        json!([
        {"role": "system", "content": "Be short."}, {"role": "user", "content": "Read a."}])
    );
    assert_eq!(seen[1].body["stream_options"]["include_usage"], true);
    // The whole conversation comes back with the result of the tool.
    let result = json!({"type": "tool_result", "tool_use_id": "call_1", "content": "text"});
    body["stream"] = false.into();
    body["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": whole["content"]}),
        json!({"role": "user", "content": [result]}),
    ]);
    app.post(MESSAGES, &body).await;
    let sent = provider.seen()[2].body["messages"].clone();
    assert_eq!(sent[3], json!({"role": "tool", "tool_call_id": "call_1", "content": "text"}));
    // No provider counts these tokens.
    let counted = app.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(
        (counted.status, counted.json()["error"]["type"].clone()),
        (404, json!("not_found_error"))
    );
}

#[tokio::test]
async fn a_field_without_a_counterpart_is_named_and_nothing_is_sent() {
    let (provider, app) = before("anthropic", vec![message(&json!([]), "end_turn")]).await;
    let body = json!({"model": "m", "seed": 7, "messages": [{"role": "user", "content": "hi"}]});
    let refused = app.post(CHAT, &body).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.json()["error"]["param"], "seed");
    assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    let (other, messages) = before("openai", vec![Answer::text("hi")]).await;
    let thinking = json!({"model": "m", "max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": "hi"}]});
    let refused = messages.post(MESSAGES, &thinking).await;
    assert_eq!((refused.status, refused.json()["type"].clone()), (400, json!("error")));
    assert!(refused.text().contains("`thinking.type`"), "{refused:?}");
    assert!(provider.seen().is_empty() && other.seen().is_empty());
    // The policy leaves the field out.
    let (provider, app) =
        with_policy("openai", ", drop: [thinking]", vec![Answer::text("hi")]).await;
    let passed = app.post(MESSAGES, &thinking).await;
    assert_eq!(passed.header("X-Life-Agent-Changed"), Some("translated, dropped-fields"));
    assert_eq!(passed.ok()["content"][0]["text"], "hi");
    assert_eq!(provider.seen()[0].body.get("thinking"), None);
}

#[tokio::test]
async fn translated_calls_are_judged_redacted_and_withheld_as_all_others() {
    let script = vec![
        message(&json!([{"type": "text", "text": "ok"}]), "end_turn"),
        message(&json!([{"type": "text", "text": HOSTILE}]), "end_turn"),
        stream_of_messages(HOSTILE),
    ];
    let (provider, app) = before("anthropic", script).await;
    let body = |text: &str, stream: bool| json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": text}]});
    app.post(CHAT, &body(HOSTILE, false)).await.error(422, "prompt_risky");
    let secret = &credentials()[0];
    let passed = app.post(CHAT, &body(&format!("it is {}", secret.text), false)).await;
    assert_eq!(
        passed.header("X-Life-Agent-Changed"),
        Some("credentials, translated"),
        "{passed:?}"
    );
    assert!(!String::from_utf8_lossy(&provider.seen()[0].raw).contains(&secret.secret));
    for stream in [false, true] {
        let withheld = app.post(CHAT, &body("hi", stream)).await;
        assert_eq!(withheld.status, 200, "{withheld:?}");
        let text = withheld.text();
        assert!(text.contains("content_filter") && !text.contains("no-preserve-root"), "{text}");
    }
}

#[tokio::test]
async fn errors_of_the_provider_are_named_as_the_client_knows_them() {
    let error = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    let script = vec![
        Answer::json(
            400,
            &error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
        ),
        Answer::json(429, &error("rate_limit_error", "slow down")).header("retry-after", "40"),
    ];
    let (_provider, app) = before("anthropic", script).await;
    let body =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let refused = app.post(CHAT, &body).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
    let refused = app.post(CHAT, &body).await;
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("40")));
    let script = vec![Answer::error(404, "model_not_found", "no such model")];
    let (_provider, app) = before("openai", script).await;
    let refused = app.post(MESSAGES, &body).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (404, &json!("not_found_error"))
    );
}

#[tokio::test]
async fn a_response_without_a_counterpart_is_an_error_on_the_record() {
    let searched =
        json!([{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]);
    let (_provider, app) = before("anthropic", vec![message(&searched, "end_turn")]).await;
    let body =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let failed = app.post(CHAT, &body).await.error(502, "llm_failed");
    assert!(failed.to_string().contains("server_tool_use"), "{failed}");
    let row = app.journal_of("&kind=llm.chat").await.remove(0).json();
    assert_eq!(row["outcome"], "failed", "{row}");
}

#[tokio::test]
async fn the_provider_of_the_settings_has_an_api_too() {
    let provider = StandIn::start(vec![Answer::text("hi")]).await.unwrap();
    let setup = Setup::new()
        .set("GROQ_API_KEY", "key-of-the-provider")
        .set("GROQ_BASE_URL", provider.base_url())
        .set("GROQ_DIALECT", "openai");
    let app = setup.start().await;
    let body =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(app.post(MESSAGES, &body).await.ok()["content"][0]["text"], "hi");
    assert_eq!(provider.seen()[0].line, "POST /v1/chat/completions");
    let refused = Setup::new().set("GROQ_DIALECT", "klingon").refused().await;
    assert!(refused.in_words().contains("GROQ_DIALECT"), "{refused:?}");
}
