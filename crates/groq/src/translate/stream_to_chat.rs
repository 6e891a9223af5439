//! A stream of the Messages API as a stream of chat completions.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::json::Result;
use super::replies::{SIGNED_FORMAT, finish_reason, no_block, usage_of_message};
use crate::raw_json::repair_surrogates;
use crate::sse::Frame;
use crate::wire::Usage;

/// A tool call whose input arrives.
#[derive(Debug, Default)]
struct Call {
    index: u64,
    has_input: bool,
}

#[derive(Debug)]
pub(super) struct ToChat {
    include_usage: bool,
    created: i64,
    id: String,
    model: String,
    /// The tool calls by the number of their block.
    calls: HashMap<u64, Call>,
    /// The thoughts by the number of their block.
    thoughts: HashMap<u64, u64>,
    /// The fields of the usage, the latest value of each.
    usage: serde_json::Map<String, Value>,
    is_over: bool,
}

impl ToChat {
    pub(super) fn new(include_usage: bool, created: i64) -> Self {
        Self {
            include_usage,
            created,
            id: String::new(),
            model: String::new(),
            calls: HashMap::new(),
            thoughts: HashMap::new(),
            usage: serde_json::Map::new(),
            is_over: false,
        }
    }

    pub(super) fn push(&mut self, frame: &Frame) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        for payload in frame.payloads() {
            if let Ok(event) = serde_json::from_str::<Value>(&repair_surrogates(&payload)) {
                frames.extend(self.event(&event)?);
            }
        }
        Ok(frames)
    }

    /// The end of a stream that did not say so.
    pub(super) fn finish(&mut self) -> Vec<Frame> {
        if std::mem::replace(&mut self.is_over, true) {
            return Vec::new();
        }
        let mut frames = Vec::new();
        if self.include_usage {
            let (_, usage) = usage_of_message(&Value::Object(self.usage.clone()));
            let mut chunk = self.head();
            chunk["choices"] = json!([]);
            chunk["usage"] = usage;
            frames.push(Frame::of(None, &chunk.to_string()));
        }
        frames.push(Frame::of(None, "[DONE]"));
        frames
    }

    pub(super) fn usage(&self) -> Usage {
        usage_of_message(&Value::Object(self.usage.clone())).0
    }

    fn event(&mut self, event: &Value) -> Result<Vec<Frame>> {
        let index = event.get("index").and_then(Value::as_u64).unwrap_or_default();
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        for usage in [event.pointer("/message/usage"), event.get("usage")].into_iter().flatten() {
            for (name, count) in usage.as_object().into_iter().flatten() {
                if !count.is_null() {
                    self.usage.insert(name.clone(), count.clone());
                }
            }
        }
        Ok(match text("/type") {
            "message_start" => {
                self.id = text("/message/id").to_owned();
                self.model = text("/message/model").to_owned();
                vec![self.chunk(json!({"role": "assistant", "content": ""}))]
            }
            "content_block_start" => self.begin(index, &event["content_block"])?,
            "content_block_delta" => match text("/delta/type") {
                "text_delta" => vec![self.chunk(json!({"content": text("/delta/text")}))],
                "thinking_delta" => self.thought(index, "text", text("/delta/thinking")),
                "signature_delta" => self.thought(index, "signature", text("/delta/signature")),
                "input_json_delta" => self.input(index, text("/delta/partial_json")),
                kind => return Err(no_block("content_block_delta.delta", kind)),
            },
            "content_block_stop" => match self.calls.get(&index) {
                // A call without arguments: clients parse them as JSON.
                Some(call) if !call.has_input => self.input(index, "{}"),
                _ => Vec::new(),
            },
            "message_delta" => {
                let mut chunk = self.head();
                let reason = finish_reason(text("/delta/stop_reason"));
                chunk["choices"] =
                    json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": reason}]);
                vec![Frame::of(None, &chunk.to_string())]
            }
            "message_stop" => self.finish(),
            _ => Vec::new(),
        })
    }

    fn begin(&mut self, index: u64, block: &Value) -> Result<Vec<Frame>> {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(match text("type") {
            "text" if text("text").is_empty() => Vec::new(),
            "text" => vec![self.chunk(json!({"content": text("text")}))],
            "thinking" | "redacted_thinking" => {
                let number = self.thoughts.len() as u64;
                self.thoughts.insert(index, number);
                match text("type") {
                    "thinking" if text("thinking").is_empty() => Vec::new(),
                    "thinking" => self.thought(index, "text", text("thinking")),
                    _ => self.thought(index, "data", text("data")),
                }
            }
            "tool_use" => {
                let number = self.calls.len() as u64;
                self.calls.insert(index, Call { index: number, has_input: false });
                let function = json!({"name": text("name"), "arguments": ""});
                let call = json!({"index": number, "id": text("id"), "type": "function", "function": function});
                let mut frames = vec![self.chunk(json!({"tool_calls": [call]}))];
                let input = block
                    .get("input")
                    .filter(|input| input.as_object().is_some_and(|i| !i.is_empty()));
                if let Some(input) = input {
                    frames.extend(self.input(index, &input.to_string()));
                }
                frames
            }
            kind => return Err(no_block("content_block_start.content_block", kind)),
        })
    }

    fn input(&mut self, index: u64, piece: &str) -> Vec<Frame> {
        let Some(call) = self.calls.get_mut(&index).filter(|_| !piece.is_empty()) else {
            return Vec::new();
        };
        call.has_input = true;
        let call = json!({"index": call.index, "function": {"arguments": piece}});
        vec![self.chunk(json!({"tool_calls": [call]}))]
    }

    fn thought(&self, index: u64, field: &str, piece: &str) -> Vec<Frame> {
        let number = self.thoughts.get(&index).copied().unwrap_or_default();
        let kind = if field == "data" { "reasoning.encrypted" } else { "reasoning.text" };
        let detail = json!({"type": kind, field: piece, "format": SIGNED_FORMAT, "index": number});
        let mut delta = json!({"reasoning_details": [detail]});
        if field == "text" {
            delta["reasoning"] = piece.into();
        }
        vec![self.chunk(delta)]
    }

    fn head(&self) -> Value {
        json!({"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model})
    }

    fn chunk(&self, delta: Value) -> Frame {
        let mut chunk = self.head();
        chunk["choices"] =
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        Frame::of(None, &chunk.to_string())
    }
}
