//! Streams, piece by piece: what a chunk adds, and the whole answer put together from its chunks.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use crate::error::ChatError;
use crate::wire::{FunctionCall, ToolCall, Usage, arguments_of, text_of};

/// A stream of chunks as they came, unknown fields included. An error ends it.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Value, ChatError>> + Send>>;
/// A stream of what the first choice of each chunk adds; its last item is [`Delta::End`] or an error.
pub type Deltas = Pin<Box<dyn Stream<Item = Result<Delta, ChatError>> + Send>>;

/// What one chunk adds to an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// More text.
    Text(String),
    /// More of a tool call; its arguments come in pieces.
    ToolCall(ToolCallDelta),
    /// The answer is whole.
    End {
        /// Why it stopped.
        finish_reason: Option<String>,
        /// Its cost, if the provider states it.
        usage: Option<Usage>,
    },
}

/// A piece of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCallDelta {
    /// Which of the answer's calls it belongs to.
    pub index: u64,
    /// The call's id; with its first piece only.
    pub id: Option<String>,
    /// The function's name; with its first piece only.
    pub name: Option<String>,
    /// More of its arguments.
    pub arguments: String,
}

/// Reads chunks as deltas.
pub fn deltas(chunks: Chunks) -> Deltas {
    let start = (Some(chunks), None, None);
    let pieces = stream::unfold(start, |(chunks, mut reason, mut usage)| async move {
        let mut chunks = chunks?;
        let (items, chunks) = match chunks.next().await {
            Some(Ok(chunk)) => {
                usage = Usage::of(&chunk).or(usage);
                reason = finish_reason(&chunk).or(reason);
                (pieces_of(&chunk).into_iter().map(Ok).collect(), Some(chunks))
            }
            Some(Err(error)) => (vec![Err(error)], None),
            None => (vec![Ok(Delta::End { finish_reason: reason.take(), usage })], None),
        };
        Some((stream::iter(items), (chunks, reason, usage)))
    });
    Box::pin(pieces.flatten())
}

fn finish_reason(chunk: &Value) -> Option<String> {
    let reason = chunk.pointer("/choices/0/finish_reason")?.as_str()?;
    // Some providers send an empty reason until the end.
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn pieces_of(chunk: &Value) -> Vec<Delta> {
    let Some(delta) = chunk.pointer("/choices/0/delta") else {
        return Vec::new();
    };
    let text = delta.get("content").map(text_of).filter(|text| !text.is_empty());
    let calls = delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.enumerate().map(|(nth, call)| {
        let text = |pointer| call.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Delta::ToolCall(ToolCallDelta {
            index: call.get("index").and_then(Value::as_u64).unwrap_or(nth as u64),
            id: text("/id"),
            name: text("/function/name"),
            arguments: call.pointer("/function/arguments").map(arguments_of).unwrap_or_default(),
        })
    });
    text.map(Delta::Text).into_iter().chain(calls).collect()
}

/// Whether a chunk brings the first of what a reader waits for.
pub(crate) fn has_token(chunk: &Value) -> bool {
    let reasons = chunk.pointer("/choices/0/delta/reasoning").and_then(Value::as_str);
    reasons.is_some_and(|text| !text.is_empty()) || !pieces_of(chunk).is_empty()
}

/// Whether a chunk says that its answer is whole.
pub(crate) fn is_last(chunk: &Value) -> bool {
    finish_reason(chunk).is_some()
}

/// Puts the chunks of the first choice together, into the answer that would have come unstreamed.
#[derive(Debug, Default)]
pub struct Assembly {
    head: Option<Value>,
    content: String,
    calls: BTreeMap<u64, ToolCall>,
    finish_reason: Option<String>,
    usage: Option<Value>,
}

impl Assembly {
    /// Adds the next chunk.
    pub fn push(&mut self, chunk: &Value) {
        if self.head.is_none() {
            self.head = Some(chunk.clone());
        }
        self.finish_reason = finish_reason(chunk).or(self.finish_reason.take());
        let usage = [chunk.get("usage"), chunk.pointer("/x_groq/usage")];
        if let Some(usage) = usage.into_iter().flatten().find(|usage| usage.is_object()) {
            self.usage = Some(usage.clone());
        }
        for piece in pieces_of(chunk) {
            match piece {
                Delta::Text(text) => self.content.push_str(&text),
                Delta::ToolCall(piece) => self.push_call(piece),
                Delta::End { .. } => {}
            }
        }
    }

    fn push_call(&mut self, piece: ToolCallDelta) {
        let call = self.calls.entry(piece.index).or_insert_with(|| ToolCall {
            kind: "function".to_owned(),
            function: FunctionCall::default(),
            ..ToolCall::default()
        });
        // Some providers repeat the id and the name of a call as empty strings in later pieces.
        if let Some(id) = piece.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        if let Some(name) = piece.name.filter(|name| !name.is_empty()) {
            call.function.name = name;
        }
        call.function.arguments.push_str(&piece.arguments);
    }

    /// The text so far.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// The whole answer, in the form of an unstreamed one.
    pub fn into_reply(self) -> Value {
        let head = self.head.unwrap_or_default();
        let mut message = json!({"role": "assistant", "content": self.content});
        if !self.calls.is_empty() {
            message["tool_calls"] = json!(self.calls.into_values().collect::<Vec<_>>());
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason});
        let mut reply = json!({"object": "chat.completion", "choices": [choice]});
        for key in ["id", "created", "model", "system_fingerprint", "service_tier"] {
            if let Some(value) = head.get(key) {
                reply[key] = value.clone();
            }
        }
        if let Some(usage) = self.usage {
            reply["usage"] = usage;
        }
        reply
    }
}

/// The chunks that a whole answer would have come in, had it been streamed: one with all of it, and
/// one with its end and usage.
pub(crate) fn chunks_of(reply: &Value) -> [Value; 2] {
    let mut head = json!({"object": "chat.completion.chunk"});
    for key in ["id", "created", "model", "system_fingerprint", "service_tier"] {
        if let Some(value) = reply.get(key) {
            head[key] = value.clone();
        }
    }
    let mut delta = reply.pointer("/choices/0/message").cloned().unwrap_or_default();
    let calls = delta.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten();
    for (index, call) in calls.enumerate() {
        if let Value::Object(call) = call {
            call.insert("index".to_owned(), json!(index));
        }
    }
    let (mut all, mut end) = (head.clone(), head);
    all["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": null}]);
    let reason = reply.pointer("/choices/0/finish_reason").cloned().unwrap_or_default();
    end["choices"] = json!([{"index": 0, "delta": {}, "finish_reason": reason}]);
    if let Some(usage) = reply.get("usage") {
        end["usage"] = usage.clone();
    }
    [all, end]
}

#[cfg(test)]
mod tests;
