//! A stream of chat completions as a stream of the Messages API.
//!
//! Blocks of a message follow each other, while the pieces of parallel tool calls may alternate. Tool
//! calls are therefore written at the end, each in one piece; clients cannot run them before anyway.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::replies::{REASONING, stop_reason, unsigned, usage_of_chat};
use crate::raw_json::repair_surrogates;
use crate::sse::Frame;
use crate::wire::{Usage, arguments_of, text_of};

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

/// The block that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    /// What the model thought, in this field.
    Thinking(&'static str),
}

#[derive(Debug, Default)]
pub(super) struct ToMessages {
    is_begun: bool,
    is_over: bool,
    id: String,
    model: String,
    open: Option<Open>,
    /// The number of the next block.
    next: u64,
    calls: BTreeMap<u64, Call>,
    finish: Option<String>,
    is_refused: bool,
    usage: Value,
}

impl ToMessages {
    pub(super) fn push(&mut self, frame: &Frame) -> Vec<Frame> {
        let mut events = Vec::new();
        for payload in frame.payloads() {
            if payload.trim() == "[DONE]" {
                self.end(&mut events);
            } else if let Ok(chunk) = serde_json::from_str::<Value>(&repair_surrogates(&payload)) {
                self.chunk(&chunk, &mut events);
            }
        }
        frames(events)
    }

    pub(super) fn finish(&mut self) -> Vec<Frame> {
        let mut events = Vec::new();
        self.end(&mut events);
        frames(events)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage::of(&json!({"usage": self.usage})).unwrap_or_default()
    }

    fn chunk(&mut self, chunk: &Value, events: &mut Vec<Value>) {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        for (kept, name) in [(&mut self.id, "id"), (&mut self.model, "model")] {
            if kept.is_empty() {
                *kept = text(chunk.get(name));
            }
        }
        let usages = [chunk.get("usage"), chunk.pointer("/x_groq/usage")];
        if let Some(usage) = usages.into_iter().flatten().find(|usage| usage.is_object()) {
            self.usage = usage.clone();
        }
        self.begin(events);
        let choices = chunk.get("choices").and_then(Value::as_array).into_iter().flatten();
        let first =
            |choice: &&Value| choice.get("index").and_then(Value::as_u64).unwrap_or_default() == 0;
        for choice in choices.filter(first) {
            let delta = choice.get("delta").unwrap_or(&Value::Null);
            let thought = REASONING.into_iter().find_map(|field| {
                let thought = delta.get(field)?.as_str()?;
                (!thought.is_empty()).then_some((field, thought))
            });
            if let Some((field, thought)) = thought {
                self.piece(Open::Thinking(field), thought, events);
            }
            let said = delta.get("content").map(text_of).unwrap_or_default();
            self.piece(Open::Text, &said, events);
            let refusal = text(delta.get("refusal"));
            self.is_refused |= !refusal.is_empty();
            if refusal != said {
                self.piece(Open::Text, &refusal, events);
            }
            let calls = delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
            for (n, call) in calls.enumerate() {
                self.call(n as u64, call);
            }
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str)
                && !reason.is_empty()
            {
                self.finish = Some(reason.to_owned());
            }
        }
    }

    /// Adds to a call. Later pieces with an empty id or name change neither.
    fn call(&mut self, n: u64, call: &Value) {
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(n);
        let known = self.calls.entry(index).or_default();
        let text =
            |pointer: &str| call.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if known.id.is_empty() {
            text("/id").clone_into(&mut known.id);
        }
        if known.name.is_empty() {
            text("/function/name").clone_into(&mut known.name);
        }
        known
            .arguments
            .push_str(&call.pointer("/function/arguments").map(arguments_of).unwrap_or_default());
    }

    fn begin(&mut self, events: &mut Vec<Value>) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        let message = json!({"id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0}});
        events.push(json!({"type": "message_start", "message": message}));
    }

    fn piece(&mut self, kind: Open, text: &str, events: &mut Vec<Value>) {
        if text.is_empty() {
            return;
        }
        if self.open != Some(kind) {
            self.close(events);
            let block = match kind {
                Open::Text => json!({"type": "text", "text": ""}),
                Open::Thinking(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
            };
            events.push(
                json!({"type": "content_block_start", "index": self.next, "content_block": block}),
            );
            self.open = Some(kind);
        }
        let delta = match kind {
            Open::Text => json!({"type": "text_delta", "text": text}),
            Open::Thinking(_) => json!({"type": "thinking_delta", "thinking": text}),
        };
        events.push(json!({"type": "content_block_delta", "index": self.next, "delta": delta}));
    }

    fn close(&mut self, events: &mut Vec<Value>) {
        let Some(open) = self.open.take() else { return };
        if let Open::Thinking(field) = open {
            let delta = json!({"type": "signature_delta", "signature": unsigned(field)});
            events.push(json!({"type": "content_block_delta", "index": self.next, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": self.next}));
        self.next += 1;
    }

    fn end(&mut self, events: &mut Vec<Value>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.begin(events);
        self.close(events);
        let calls = std::mem::take(&mut self.calls);
        for (n, call) in &calls {
            let id = if call.id.is_empty() { format!("call_{n}") } else { call.id.clone() };
            let block = json!({"type": "tool_use", "id": id, "name": call.name, "input": {}});
            let index = self.next;
            self.next += 1;
            events.push(
                json!({"type": "content_block_start", "index": index, "content_block": block}),
            );
            if !call.arguments.trim().is_empty() {
                let delta = json!({"type": "input_json_delta", "partial_json": call.arguments});
                events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            }
            events.push(json!({"type": "content_block_stop", "index": index}));
        }
        let stop = stop_reason(self.finish.as_deref(), !calls.is_empty(), self.is_refused);
        events.push(
            json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
            "usage": usage_of_chat(&self.usage)}),
        );
        events.push(json!({"type": "message_stop"}));
    }
}

fn frames(events: Vec<Value>) -> Vec<Frame> {
    let named = events
        .iter()
        .map(|event| Frame::of(event.get("type").and_then(Value::as_str), &event.to_string()));
    named.collect()
}
