//! Requests, responses and streams in both directions.

use serde_json::{Value, json};

use super::*;
use crate::sse::FrameReader;

fn translated(from: Api, body: &Value) -> Value {
    let translation = request(from, &body.to_string(), &[]).unwrap();
    serde_json::from_str(&translation.body).unwrap()
}

fn refused(from: Api, body: &Value) -> String {
    request(from, &body.to_string(), &[]).unwrap_err().field
}

fn events(translator: &mut StreamTranslator, stream: &str) -> String {
    let mut reader = FrameReader::default();
    let mut frames = reader.push(stream.as_bytes());
    frames.extend(reader.finish());
    frames.iter().for_each(|frame| translator.push(frame).unwrap());
    translator.finish();
    let mut out = Vec::new();
    while let Some(frame) = translator.next_frame() {
        out.extend(frame.raw);
    }
    String::from_utf8(out).unwrap()
}

fn payloads(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn chat() -> Value {
    json!({
        "model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": "END",
        "stream": true, "stream_options": {"include_usage": true}, "user": "u",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [{"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
            {"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"z\": 1.50, \"a\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "Go on."}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": true,
            "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}],
        "tool_choice": "required", "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "n": 1, "logprobs": false, "seed": null, "prompt_cache_key": "k",
    })
}

fn messages() -> Value {
    json!({
        "model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop_sequences": ["END"],
        "stream": true, "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "Be short."}, {"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look."},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"z": 1.5, "a": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "two"}]},
                {"type": "text", "text": "Go on."}]}],
        "tools": [{"name": "f", "description": "d", "strict": true,
            "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    })
}

#[test]
fn a_request_of_chat_completions_becomes_one_of_messages() {
    assert_eq!(translated(Api::Chat, &chat()), messages());
    // Arguments and schemas keep the order of their keys and their digits.
    let translation = request(
        Api::Chat,
        r#"{"messages":[{"role":"user","content":"x"},
        {"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"z\": 1.50, \"a\":1}"}}]},
        {"role":"tool","tool_call_id":"a","name":"f","content":""}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2.0}}}]}"#,
        &[],
    );
    let translation = translation.unwrap();
    assert!(translation.body.contains("\"input\":{\"z\": 1.50, \"a\":1}"), "{translation:?}");
    assert!(translation.body.contains("\"input_schema\":{\"z\":1,\"a\":2.0}"), "{translation:?}");
    assert!(translation.body.contains("\"max_tokens\":32000"), "{translation:?}");
    assert_eq!(translation.notes, ["max_tokens"]);
}

#[test]
fn a_request_of_messages_becomes_one_of_chat_completions() {
    let mut expected = chat();
    for field in ["n", "logprobs", "seed", "prompt_cache_key"] {
        expected.as_object_mut().unwrap().remove(field);
    }
    expected["stop"] = json!(["END"]);
    expected["response_format"]["json_schema"] =
        json!({"name": "response", "schema": {"type": "object"}, "strict": true});
    let list = expected["messages"].as_array_mut().unwrap();
    list.remove(1);
    list[0]["content"] = messages()["system"].clone();
    let call = |arguments: &str| json!({"name": "f", "arguments": arguments});
    list[2] = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "a", "type": "function", "function": call(r#"{"a":1,"z":1.5}"#)},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]});
    list[4]["content"] = json!("two");
    assert_eq!(translated(Api::Messages, &messages()), expected);
}

#[test]
fn what_claude_code_sends_is_translated() {
    let sent = json!({
        "model": "gpt-5.4", "max_tokens": 32000, "stream": true, "thinking": {"type": "adaptive"},
        "metadata": {"user_id": "user_".repeat(30)},
        "system": [{"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Read", "description": "Reads", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "life-agent:reasoning_content"},
                {"type": "text", "text": "Reading."},
                {"type": "tool_use", "id": "t", "name": "Read", "input": {"p": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": "no file"}]}],
        "output_config": {"effort": "high"},
    });
    let got = translated(Api::Messages, &sent);
    assert_eq!(
        (&got["max_completion_tokens"], &got["reasoning_effort"]),
        (&json!(32000), &json!("high"))
    );
    assert_eq!(got["user"].as_str().map(str::len), Some(64));
    assert_eq!(
        got["messages"],
        json!([
        {"role": "system", "content": "You are."},
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "Reading.", "reasoning_content": "hm", "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "Read", "arguments": "{\"p\":1}"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "Error: no file"}])
    );
}

#[test]
fn a_field_without_a_counterpart_is_named() {
    let with = |base: Value, pointer: &str, value: Value| {
        let mut body = base;
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        body
    };
    for (pointer, value, field) in [
        ("/seed", json!(1), "seed"),
        ("/temperature", json!(1.2), "temperature"),
        ("/logit_bias", json!({"5": 1}), "logit_bias"),
        ("/max_completion_tokens", json!(8), "max_tokens"),
        ("/frequency_penalty", json!(0.5), "frequency_penalty"),
        ("/response_format", json!({"type": "json_object"}), "response_format.type"),
        ("/functions", json!([{"name": "f"}]), "functions"),
        ("/unheard_of", json!(1), "unheard_of"),
        ("/stream_options", json!({"other": 1}), "stream_options.other"),
        ("/messages/6/role", json!("system"), "messages.6.role"),
        ("/messages/6/role", json!("assistant"), "messages.6.role"),
        ("/messages/6/name", json!("Ann"), "messages.6.name"),
        (
            "/messages/2/content/1",
            json!({"type": "input_audio", "input_audio": {}}),
            "messages.2.content.1.type",
        ),
        ("/tools/0/type", json!("custom"), "tools.0.type"),
        ("/tools/0/function/more", json!(1), "tools.0.function.more"),
    ] {
        let body = match pointer.strip_prefix("/messages/2/content/1") {
            Some(_) => {
                let mut body = chat();
                body["messages"][2]["content"][1] = value;
                body
            }
            None => {
                let mut body = chat();
                match pointer.split('/').collect::<Vec<_>>().as_slice() {
                    ["", "messages", n, name] => {
                        body["messages"][n.parse::<usize>().unwrap()][*name] = value
                    }
                    ["", "tools", "0", name] => body["tools"][0][*name] = value,
                    ["", "tools", "0", "function", name] => {
                        body["tools"][0]["function"][*name] = value
                    }
                    _ => body = with(body, pointer, value),
                }
                body
            }
        };
        assert_eq!(refused(Api::Chat, &body), field, "{pointer}");
    }
    for (name, value, field) in [
        ("thinking", json!({"type": "enabled", "budget_tokens": 1024}), "thinking.type"),
        ("context_management", json!({"edits": [1]}), "context_management"),
        ("mcp_servers", json!([{"url": "x"}]), "mcp_servers"),
        ("tools", json!([{"type": "web_search_20250305", "name": "web_search"}]), "tools.0.type"),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "text", "text": "a"},
            {"type": "tool_result", "tool_use_id": "t"}]}]),
            "messages.0.content.1.type",
        ),
        (
            "messages",
            json!([{"role": "assistant", "content": [{"type": "thinking", "thinking": "x",
            "signature": "EqQB"}]}, {"role": "user", "content": "a"}]),
            "messages.0.content.0.signature",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "search_result"}]}]),
            "messages.0.content.0.type",
        ),
    ] {
        let mut body = messages();
        body[name] = value;
        assert_eq!(refused(Api::Messages, &body), field);
    }
}

#[test]
fn named_fields_are_left_out() {
    let mut body = messages();
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    body["context_management"] = json!({"edits": [1]});
    body["messages"][1]["content"] = json!([{"type": "thinking", "thinking": "x", "signature": "EqQB"},
        {"type": "text", "text": "hm"}]);
    body["messages"][2]["content"] = json!("Go on.");
    let drop = ["thinking", "context_management"].map(str::to_owned);
    let translation = request(Api::Messages, &body.to_string(), &drop).unwrap();
    assert_eq!(translation.notes, ["dropped-fields"]);
    assert!(
        !translation.body.contains("thinking") && !translation.body.contains("EqQB"),
        "{translation:?}"
    );
}

#[test]
fn responses_are_translated_in_both_directions() {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "c",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "EqQB"}, {"type": "text", "text": "Hello."},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 4}});
    let got: Value =
        serde_json::from_str(&reply(Api::Messages, &message.to_string(), 7).unwrap()).unwrap();
    assert_eq!(got["choices"][0]["finish_reason"], "tool_calls");
    let said = &got["choices"][0]["message"];
    assert_eq!((&said["content"], &said["reasoning"]), (&json!("Hello."), &json!("hm")));
    assert_eq!(said["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert_eq!(got["usage"]["prompt_tokens"], 9);
    // The client sends it back: the thought with its signature.
    let again = json!({"messages": [{"role": "user", "content": "a"}, said, {"role": "user", "content": "b"}]});
    let again = translated(Api::Chat, &again);
    assert_eq!(again["messages"][1]["content"], message["content"]);

    let chat = json!({"id": "c1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message":
        {"role": "assistant", "content": "Hi.", "reasoning": "hm", "tool_calls": [
            {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"z\":1.50,\"a\":1}"}}]}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}});
    let text = reply(Api::Chat, &chat.to_string(), 7).unwrap();
    assert!(text.contains("\"input\":{\"z\":1.50,\"a\":1}"), "{text}");
    let got: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&got["stop_reason"], &got["usage"]["input_tokens"]),
        (&json!("tool_use"), &json!(5))
    );
    assert_eq!(
        got["content"][0],
        json!({"type": "thinking", "thinking": "hm", "signature": "life-agent:reasoning"})
    );
    assert_eq!(got["content"][1], json!({"type": "text", "text": "Hi."}));
    for (body, field) in [
        (json!({"id": "x"}), "choices"),
        (
            json!({"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}}]}),
            "choices.0.message.tool_calls.0.function.arguments",
        ),
        (json!({"choices": [{"message": {"images": [1]}}]}), "choices.0.message.images"),
    ] {
        assert_eq!(reply(Api::Chat, &body.to_string(), 0).unwrap_err().field, field);
    }
    let searched = json!({"content": [{"type": "server_tool_use", "id": "s"}]});
    assert_eq!(reply(Api::Messages, &searched.to_string(), 0).unwrap_err().field, "content.0.type");
}

#[test]
fn every_end_of_a_response_has_a_counterpart() {
    for (stop, finish) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
    ] {
        let message = json!({"content": [], "stop_reason": stop});
        let got: Value =
            serde_json::from_str(&reply(Api::Messages, &message.to_string(), 0).unwrap()).unwrap();
        assert_eq!(got["choices"][0]["finish_reason"], finish);
    }
    for (finish, stop) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("eos", "end_turn"),
    ] {
        let chat = json!({"choices": [{"message": {"content": "x"}, "finish_reason": finish}]});
        let got: Value =
            serde_json::from_str(&reply(Api::Chat, &chat.to_string(), 0).unwrap()).unwrap();
        assert_eq!(got["stop_reason"], stop);
    }
}

#[test]
fn a_stream_of_messages_becomes_one_of_chat_completions() {
    let stream: String = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "c", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "u", "name": "g", "input": {}}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]
    .iter()
    .map(|event| format!("event: {}\r\ndata:{event}\r\n\r\n", event["type"].as_str().unwrap()))
    .collect();
    let mut translator = StreamTranslator::new(Api::Messages, true, 7);
    let out = events(&mut translator, &stream);
    assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
    assert_eq!(out.matches("[DONE]").count(), 1);
    let mut assembly = crate::delta::Assembly::default();
    let chunks = payloads(&out);
    chunks.iter().for_each(|chunk| assembly.push(chunk));
    let whole = assembly.into_reply();
    let said = &whole["choices"][0]["message"];
    assert_eq!(said["content"], "Hello.");
    assert_eq!(said["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert_eq!(said["tool_calls"][1]["function"]["arguments"], "{}");
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(9)));
    assert!(out.contains("EqQB") && out.contains("\"created\":7"), "{out}");
    assert_eq!(translator.usage().unwrap().total_tokens, 12);
    let out = events(&mut StreamTranslator::new(Api::Messages, false, 7), &stream);
    assert!(!out.contains("prompt_tokens"), "{out}");
}

#[test]
fn a_stream_of_chat_completions_becomes_one_of_messages() {
    let piece =
        |delta: Value| json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]});
    let call = |index: u64, id: &str, name: &str, arguments: &str| {
        piece(
            json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}),
        )
    };
    let chunks = [
        piece(json!({"role": "assistant", "content": ""})),
        piece(json!({"reasoning_content": "h"})),
        piece(json!({"reasoning_content": "m"})),
        piece(json!({"content": "Hel"})),
        piece(json!({"content": "lo."})),
        call(0, "a", "f", ""),
        call(1, "b", "g", "{\"b\":"),
        call(0, "", "", "{\"a\":1}"),
        call(1, "", "", "2}"),
        json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json!({"id": "c1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}),
    ];
    let mut stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    stream = format!(": hello\n\n{stream}data: [DONE]\n\n");
    let mut translator = StreamTranslator::new(Api::Chat, true, 7);
    let out = events(&mut translator, &stream);
    let got = payloads(&out);
    let kinds: Vec<_> = got.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let mut expected = vec!["message_start", block[0], block[1], block[1], block[1], block[2]];
    expected.extend([block[0], block[1], block[1], block[2]]);
    expected.extend(block.into_iter().chain(block));
    expected.extend(["message_delta", "message_stop"]);
    assert_eq!(kinds, expected, "{out}");
    assert_eq!(got[0]["message"]["model"], "m");
    assert_eq!(got[4]["delta"]["signature"], "life-agent:reasoning_content");
    assert_eq!(got[10]["content_block"]["name"], "f");
    assert_eq!(got[11]["delta"]["partial_json"], "{\"a\":1}");
    assert_eq!(got[14]["delta"]["partial_json"], "{\"b\":2}");
    let end = &got[got.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(
        (&end["usage"]["input_tokens"], &end["usage"]["output_tokens"]),
        (&json!(9), &json!(3))
    );
    assert!(out.starts_with("event: message_start\ndata: "), "{out}");
    // A provider that ends without `[DONE]`, and one that refuses.
    let refusal = format!("data: {}\n\n", piece(json!({"refusal": "No."})));
    let out = events(&mut StreamTranslator::new(Api::Chat, true, 7), &refusal);
    assert!(out.contains("\"stop_reason\":\"refusal\"") && out.contains("No."), "{out}");
}
