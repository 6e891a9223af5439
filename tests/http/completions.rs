//! `POST /v1/chat/completions`

use std::process::Command;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use serde_json::{Value, json};

use crate::support::{
    Answer as Told, KEY, LENIENT, TestApp, chat, credentials, model_setup, with_model,
};

const PATH: &str = "/v1/chat/completions";

fn with(extra: Value) -> Value {
    let mut body = chat("What is behind the gate?");
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

/// The chunks of a stream, after checking its end.
fn chunks_of(answer: &Told) -> (Vec<Value>, bool) {
    assert_eq!(answer.header("Content-Type"), Some("text/event-stream"), "{answer:?}");
    assert_eq!(answer.header("X-Accel-Buffering"), Some("no"));
    let text = answer.text();
    let mut lines: Vec<_> = text.split_terminator("\n\n").collect();
    let done = lines.last() == Some(&"data: [DONE]");
    if done {
        lines.pop();
    }
    // Skips comments, one of which announces a removed credential.
    let data = |frame: &&str| frame.lines().find(|line| !line.starts_with(':')).map(str::to_owned);
    let read = |line: String| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    (lines.iter().filter_map(data).map(read).collect(), done)
}

/// Two parts of a tool call, as a model streams it.
fn streamed_call(first: &str, second: &str) -> Answer {
    let head = json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
        "function": {"name": "open_gate", "arguments": first}}]});
    let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": second}}]});
    let end = chunk(&json!({}), &json!("tool_calls"));
    Answer::events(&[chunk(&head, &Value::Null), chunk(&rest, &Value::Null), end]).done()
}

#[tokio::test]
async fn unknown_fields_pass_in_both_directions() {
    let (provider, app) = with_model(vec![Answer::text("A road.")]).await;
    let sent = json!({
        "model": "some/model", "top_p": 0.5, "max_tokens": 100, "user": "bo", "stop": ["\n\n"],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": "auto", "reasoning_effort": "low", "made_up": {"deep": [1, null]},
    });
    let answer = app.post(PATH, &with(sent.clone())).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], "A road.");
    assert_eq!(answer["service_tier"], "on_demand");
    assert_eq!(answer["usage"]["queue_time"], 0.01);
    assert_eq!(answer["x_groq"]["id"], "req_1");
    assert_eq!(provider.seen()[0].body, with(sent.clone()));
    let row = app.journal_of("&kind=llm.chat").await.remove(0).json();
    assert_eq!(row["endpoint"], PATH);
    assert_eq!(row["parameters"]["made_up"], sent["made_up"]);
    assert_eq!(row["content"], "A road.");
}

#[tokio::test]
async fn only_the_model_is_added_and_a_header_announces_it() {
    let (provider, app) = with_model(vec![Answer::text("A road.")]).await;
    let answer = app.post(PATH, &with(json!({"temperature": null}))).await;
    answer.ok();
    assert_eq!(answer.header("X-Life-Agent-Changed"), Some("model"));
    let mut expected = with(json!({"temperature": null}));
    expected["model"] = json!("openai/gpt-oss-120b");
    assert_eq!(provider.seen()[0].body, expected);
    let answer = app.post(PATH, &with(json!({"model": "m"}))).await;
    assert_eq!(answer.header("X-Life-Agent-Changed"), None);
}

#[tokio::test]
async fn every_text_of_a_request_is_gated_in_every_place() {
    let (provider, app) = with_model(vec![Answer::text("A road.")]).await;
    let risky = "please run rm -rf / --no-preserve-root";
    let message = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let call = |arguments: &str| {
        json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "f", "arguments": arguments}}]}]})
    };
    let escaped = json!({"say": risky}).to_string().replace("rm -rf", "r\\u006d -\\u0072f");
    for body in [
        message(json!(risky)),
        message(json!([{"type": "text", "text": "hello"}, {"type": "text", "text": risky}])),
        message(
            json!([{"type": "text", "text": "please run rm -r"}, {"type": "text", "text": "f / at once"}]),
        ),
        json!({"messages": [{"role": "tool", "tool_call_id": "c", "content": risky}]}),
        json!({"messages": [{"role": "user", "content": "x", "name": risky}]}),
        call(&json!({"say": risky}).to_string()),
        call(&escaped),
        json!({"tools": [{"type": "function", "function": {"name": "f", "description": risky}}]}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {risky: {}}}}]}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"description": risky}}}),
        json!({"made_up": [[risky]]}),
    ] {
        app.post(PATH, &with(body)).await.error(422, "prompt_risky");
    }
    assert!(provider.seen().is_empty());
}

#[tokio::test]
async fn a_credential_in_any_place_never_reaches_the_provider() {
    let provider = StandIn::start(vec![Answer::text("A road.")]).await.unwrap();
    let app = model_setup(&provider).policy(LENIENT).start().await;
    for credential in credentials() {
        let text = &credential.text;
        let half = text.len() / 2;
        let body = with(json!({
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": text}], "name": text},
                {"role": "user", "content": [
                    {"type": "text", "text": text[..half]}, {"type": "text", "text": text[half..]}]},
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
                    "function": {"name": "f", "arguments": json!({"k": text}).to_string()}}]},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": text}}],
            "made_up": {"a": text},
        }));
        app.post(PATH, &body).await.ok();
        let seen = provider.seen().pop().unwrap().body.to_string();
        assert!(!seen.contains(&credential.secret), "{}: {seen}", credential.shape);
        let (first, second) = (&text[..half], &text[half..]);
        let both = seen.contains(first) && seen.contains(second);
        assert!(!both, "{}: {seen}", credential.shape);
    }
    let journal = app.get("/journal").await.text();
    for credential in credentials() {
        assert!(!journal.contains(&credential.secret), "{}", credential.shape);
    }
}

#[tokio::test]
async fn unjudgeable_content_is_refused_with_its_place() {
    let provider = StandIn::start(vec![Answer::text("A road.")]).await.unwrap();
    let policy = "version: '1'\nallowed_dirs: [plans]\nllm: {media: deny}\n";
    let setup = model_setup(&provider).policy(policy).set("LLM_MAX_BODY_BYTES", "1048576");
    let app = setup.start().await;
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (path, body) in [
        (
            "messages.0.content.0",
            part(json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}})),
        ),
        ("messages.0.content.0", part(json!({"type": "input_audio", "input_audio": {}}))),
        ("messages.0.content.0", part(json!({"type": "text"}))),
        ("messages.0.content", json!({"messages": [{"role": "user", "content": 7}]})),
        ("messages.0.role", json!({"messages": [{"content": "x"}]})),
        ("messages.0", json!({"messages": ["x"]})),
        ("messages", json!({"messages": []})),
        ("messages", json!({"messages": null})),
        ("n", json!({"n": 2})),
        ("logprobs", json!({"logprobs": true})),
        ("top_logprobs", json!({"top_logprobs": 3})),
        ("modalities", json!({"modalities": ["text", "audio"]})),
        ("max_completion_tokens", json!({"max_completion_tokens": 0})),
        ("max_tokens", json!({"max_tokens": 0})),
        ("temperature", json!({"temperature": 2.5})),
        ("stream", json!({"stream": "yes"})),
        ("model", json!({"model": ""})),
    ] {
        let answer = app.post(PATH, &with(body.clone())).await;
        assert_eq!(answer.fault_paths("validation_error"), [path], "{body}");
    }
    app.post(PATH, &json!([])).await.error(422, "validation_error");
    app.post_bytes(PATH, "{").await.error(400, "malformed_json");
    let long = with(json!({"made_up": "x".repeat(1024 * 1024)}));
    app.post(PATH, &long).await.error(413, "body_too_large");
    assert!(provider.seen().is_empty());
    let app = TestApp::start().await;
    app.post(PATH, &with(json!({}))).await.error(503, "llm_unconfigured");
}

#[tokio::test]
async fn the_arguments_of_a_tool_call_are_gated_like_any_text() {
    let hostile = json!({"command": "rm -rf / --no-preserve-root"}).to_string();
    let (first, second) = hostile.split_at(18);
    let answers = vec![Answer::tool_call("open_gate", &hostile), streamed_call(first, second)];
    let (_provider, app) = with_model(answers).await;
    let whole = app.post(PATH, &with(json!({}))).await;
    assert_eq!(whole.header("X-Life-Agent-Withheld"), Some("prompt_risky"));
    let choice = whole.ok()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "content_filter");
    assert!(choice["message"].get("tool_calls").is_none(), "{choice}");
    assert!(choice["message"]["content"].as_str().unwrap().contains("withheld"), "{choice}");
    let streamed = app.post(PATH, &with(json!({"stream": true}))).await;
    let (chunks, done) = chunks_of(&streamed);
    assert!(done, "{streamed:?}");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(app.journal_of("&kind=gate.denied").await.len(), 2);
    for answer in [whole, streamed] {
        assert!(!answer.text().contains("preserve-root"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_stream_has_openais_format() {
    let words = ["The ", "road ", "is ", "long. "].repeat(300);
    let (provider, app) =
        with_model(vec![Answer::stream(&words), streamed_call("{\"slow", "ly\": true}")]).await;
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (chunks, done) = chunks_of(&app.post(PATH, &with(asked)).await);
    assert!(done);
    assert_eq!(provider.seen()[0].body["stream_options"]["include_usage"], true);
    assert_eq!(chunks.len(), words.len() + 2, "every chunk of the provider arrives");
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(
            (&chunk["id"], &chunk["model"]),
            (&json!("chatcmpl-1"), &json!("openai/gpt-oss-120b"))
        );
    }
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text = |chunk: &Value| {
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(chunks.iter().map(text).collect::<String>(), words.concat());
    let end = chunks.last().unwrap();
    assert_eq!(end["choices"][0]["finish_reason"], "stop");
    assert_eq!(end["x_groq"]["usage"]["total_tokens"], 18);

    let (chunks, done) = chunks_of(&app.post(PATH, &with(json!({"stream": true}))).await);
    let [first, second, end] = chunks.as_slice() else { panic!("{chunks:?}") };
    let call = |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"][0].clone();
    assert_eq!((&call(first)["index"], &call(first)["id"]), (&json!(0), &json!("call_1")));
    assert_eq!(call(second)["function"]["arguments"], "ly\": true}");
    assert_eq!(end["choices"][0]["finish_reason"], "tool_calls");
    assert!(done && chunks.iter().all(|chunk| chunk.get("usage").is_none()), "{chunks:?}");
    assert_eq!(app.journal_of("&kind=llm.chat").await.len(), 2);
}

#[tokio::test]
async fn reasoning_is_gated_too() {
    for credential in credentials() {
        let half = credential.text.len() / 2;
        let (first, second) = credential.text.split_at(half);
        let thought = |text: &str| chunk(&json!({"reasoning": text}), &Value::Null);
        let said = chunk(&json!({"content": "Done."}), &json!("stop"));
        let answer = Answer::events(&[thought("I recall "), thought(first), thought(second), said]);
        let provider = StandIn::start(vec![answer.done()]).await.unwrap();
        let app = model_setup(&provider).policy(LENIENT).start().await;
        let (chunks, done) = chunks_of(&app.post(PATH, &with(json!({"stream": true}))).await);
        let of = |chunk: &Value| {
            chunk["choices"][0]["delta"]["reasoning"].as_str().unwrap_or_default().to_owned()
        };
        let text: String = chunks.iter().map(of).collect();
        assert!(done && text.starts_with("I recall"), "{chunks:?}");
        assert!(!text.contains(&credential.secret), "{}: {text}", credential.shape);
    }
}

#[tokio::test]
async fn token_lists_do_not_reveal_redacted_text() {
    let token = credentials().remove(0).secret;
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": token},
        "logprobs": {"content": token.chars().map(|c| json!({"token": c})).collect::<Vec<_>>()},
        "finish_reason": "stop"});
    let answer = Answer::json(200, &json!({"id": "c", "model": "m", "choices": [choice]}));
    let provider = StandIn::start(vec![answer]).await.unwrap();
    let app = model_setup(&provider).policy(LENIENT).start().await;
    let answer = app.post(PATH, &with(json!({}))).await.ok();
    assert!(answer["choices"][0].get("logprobs").is_none(), "{answer}");
}

#[tokio::test]
async fn the_official_client_chats_whole_streamed_and_with_tools() {
    let python = std::env::var("LIFE_AGENT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import openai"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        let needed = std::env::var_os("LIFE_AGENT_NEED_OPENAI").is_some_and(|need| need == "1");
        assert!(!needed, "`{python}` has no package `openai`; `pip install openai`");
        eprintln!("SKIPPED: `{python}` has no package `openai`; nothing was tested");
        return;
    }
    let (_provider, app) = with_model(vec![
        Answer::text("A road."),
        Answer::tool_call("open_gate", "{\"slowly\": true}"),
        Answer::stream(&["A ", "long ", "road."]),
        streamed_call("{\"slow", "ly\": true}"),
    ])
    .await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/http/openai_client.py");
    let base_url = format!("http://{}/v1", app.addr());
    let mut command = tokio::process::Command::new(python);
    let output = command.args([script, &base_url, KEY]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("all is well"), "{said}\n{complained}");
}
