//! Responses in place of refused ones, in the client's own protocol: an agent reads why and continues.

use life_agent_groq::{Frame, Usage};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use crate::error::DenialReport;

/// The words that stand in place of a refused response.
pub(super) fn words(report: &DenialReport) -> String {
    let rule = report.rule.as_deref().map(|rule| format!(", rule `{rule}`")).unwrap_or_default();
    format!(
        "[withheld] {} (gate `{}`{rule}, event {}). Continue without that text or command.",
        report.message, report.gate, report.event_id
    )
}

/// A complete response; `original` is the refused one, of which only its identity is kept.
pub(super) fn whole(endpoint: Endpoint, original: &Value, words: &str) -> Value {
    let kept = |names: &[&str]| {
        let fields = names.iter().filter_map(|name| {
            let value = original.get(*name).filter(|value| is_name(value))?;
            Some(((*name).to_owned(), value.clone()))
        });
        fields.collect::<serde_json::Map<_, _>>()
    };
    let mut response = kept(&["id", "created", "created_at", "model", "usage", "object", "type"]);
    let usage = Usage::of(original);
    let mut set = |name: &str, value: Value| response.insert(name.to_owned(), value);
    match endpoint {
        Endpoint::Messages => {
            set("type", "message".into());
            set("role", "assistant".into());
            set("content", json!([{"type": "text", "text": words}]));
            set("stop_reason", "refusal".into());
            set("stop_sequence", Value::Null);
            let usage = usage.unwrap_or_default();
            set(
                "usage",
                json!({"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}),
            );
        }
        Endpoint::Responses => {
            set("object", "response".into());
            set("status", "incomplete".into());
            set("error", Value::Null);
            set("incomplete_details", json!({"reason": "content_filter"}));
            set("output", json!([output_item(words)]));
        }
        Endpoint::Completions => {
            set("object", "text_completion".into());
            set(
                "choices",
                json!([{"index": 0, "text": words, "finish_reason": "content_filter", "logprobs": null}]),
            );
        }
        _ => {
            set("object", "chat.completion".into());
            let message = json!({"role": "assistant", "content": words, "refusal": words});
            set(
                "choices",
                json!([{"index": 0, "message": message, "finish_reason": "content_filter"}]),
            );
        }
    }
    Value::Object(response)
}

/// A value that cannot carry a text of the model.
fn is_name(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.len() <= 128
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
        }
        Value::Object(fields) => fields.values().all(is_name),
        Value::Array(_) => false,
        _ => true,
    }
}

fn output_item(words: &str) -> Value {
    json!({"id": "msg_withheld", "type": "message", "status": "incomplete", "role": "assistant",
        "content": [{"type": "refusal", "refusal": words}]})
}

/// What a stream has sent so far, as far as its end depends on it.
#[derive(Default)]
pub(super) struct StreamState {
    /// The first event, which identifies the response.
    pub(super) first: Option<Value>,
    /// Anthropic: the block that is open, and the number of the next.
    open_block: Option<u64>,
    next_block: u64,
    started: bool,
}

impl StreamState {
    /// Notes an event that goes out.
    pub(super) fn note(&mut self, event: &Value) {
        if self.first.is_none() {
            self.first = Some(event.clone());
        }
        let index = event.get("index").and_then(Value::as_u64);
        match event.get("type").and_then(Value::as_str) {
            Some("message_start") => self.started = true,
            Some("content_block_start") => {
                self.open_block = index;
                self.next_block = index.map_or(self.next_block, |index| index + 1);
            }
            Some("content_block_stop") => self.open_block = None,
            _ => {}
        }
    }
}

/// The events that end a stream whose rest is withheld.
pub(super) fn ending(endpoint: Endpoint, state: &StreamState, words: &str) -> Vec<Frame> {
    let first = state.first.clone().unwrap_or_default();
    match endpoint {
        Endpoint::Messages => messages_ending(state, words),
        Endpoint::Responses => {
            let response = first.get("response").cloned().unwrap_or(first);
            let response = whole(endpoint, &response, words);
            let event = json!({"type": "response.incomplete", "response": response});
            vec![Frame::of(Some("response.incomplete"), &event.to_string())]
        }
        _ => {
            let mut head = whole(Endpoint::ChatCompletions, &first, words);
            let text = endpoint == Endpoint::Completions;
            head["object"] = if text { "text_completion" } else { "chat.completion.chunk" }.into();
            if let Some(fields) = head.as_object_mut() {
                fields.remove("usage");
            }
            head["choices"] = if text {
                json!([{"index": 0, "text": words, "finish_reason": "content_filter"}])
            } else {
                let delta = json!({"role": "assistant", "content": words, "refusal": words});
                json!([{"index": 0, "delta": delta, "finish_reason": "content_filter"}])
            };
            vec![Frame::of(None, &head.to_string()), Frame::of(None, "[DONE]")]
        }
    }
}

fn messages_ending(state: &StreamState, words: &str) -> Vec<Frame> {
    let mut events = Vec::new();
    if !state.started {
        let message = json!({"id": "msg_withheld", "type": "message", "role": "assistant", "content": [],
            "model": "withheld", "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0}});
        events.push(json!({"type": "message_start", "message": message}));
    }
    if let Some(open) = state.open_block {
        events.push(json!({"type": "content_block_stop", "index": open}));
    }
    let index = state.next_block;
    events.push(json!({"type": "content_block_start", "index": index,
        "content_block": {"type": "text", "text": ""}}));
    events.push(json!({"type": "content_block_delta", "index": index,
        "delta": {"type": "text_delta", "text": words}}));
    events.push(json!({"type": "content_block_stop", "index": index}));
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_sequence": null},
        "usage": {"output_tokens": 0}}),
    );
    events.push(json!({"type": "message_stop"}));
    let named = events
        .iter()
        .map(|event| Frame::of(event.get("type").and_then(Value::as_str), &event.to_string()));
    named.collect()
}
