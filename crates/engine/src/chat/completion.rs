//! `/v1/chat/completions`: model calls for clients of OpenAI's API.

use std::time::Instant;

use life_agent_domain::governance::command::Chat;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::{Clean, seed};
use serde_json::{Map, Value, json};

use super::ChatService;
use super::call::{ModelCall, Reply};
use super::completion_request::Completion;
use super::stream::{Piece, Pieces};
use super::text_extraction::{join_split, of_request};
use crate::context::RequestContext;
use crate::error::EngineError;
use crate::govern::Metered;

impl ChatService {
    /// A chat completion: the provider's JSON, redacted and durable.
    pub(crate) async fn completion(
        &self,
        context: &RequestContext,
        asked: Completion,
    ) -> Result<Value, EngineError> {
        let call = self.completion_call(context, &asked).await?;
        Ok(self.calls.run(call).await?.reply.raw)
    }

    /// A streamed chat completion. Returns the errors that occur before the first chunk.
    pub(crate) async fn completion_events(
        &self,
        context: &RequestContext,
        asked: Completion,
    ) -> Result<CompletionEvents, EngineError> {
        let call = self.completion_call(context, &asked).await?;
        let pieces = self.calls.stream(call).await?;
        let mut events =
            CompletionEvents { pieces, waiting: Vec::new(), usage_asked: asked.usage_asked };
        let first = events.chunk(&json!({"role": "assistant", "content": ""}), &Value::Null);
        events.waiting.push(CompletionEvent::Chunk(first));
        Ok(events)
    }

    async fn completion_call(
        &self,
        context: &RequestContext,
        asked: &Completion,
    ) -> Result<ModelCall, EngineError> {
        let begun = Instant::now();
        let policy = self.governor.policy();
        let mut body = asked.body.clone();
        let defaults = &policy.snapshot.policy.llm;
        let redactor: &dyn Redact = policy.chain.redactor();
        body.entry("model").or_insert_with(|| defaults.model.clone().into());
        body.entry("temperature").or_insert_with(|| defaults.temperature.into());
        body.entry("max_completion_tokens").or_insert_with(|| defaults.max_tokens.into());
        for message in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten()
        {
            join_split(message, redactor);
        }
        let mut body = Value::Object(body);
        let permit = self
            .governor
            .permit(context, &policy, Chat { messages: of_request(&body) }, Metered::Yes)
            .await?;
        let llm = self.calls.provider()?;
        if let Value::Object(fields) = &mut body {
            let own = || seed(llm.seed, context.principal.as_str(), 0).into();
            fields.entry("seed").or_insert_with(own);
            if asked.stream {
                fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
        let body = Clean::of(body, redactor);
        let endpoint = "/v1/chat/completions";
        Ok(ModelCall::new(context, policy, permit, body, endpoint, begun))
    }
}

/// A streamed completion. Dropping it does not end the call, which is recorded regardless.
pub struct CompletionEvents {
    pieces: Pieces,
    /// The next events, in reverse order.
    waiting: Vec<CompletionEvent>,
    usage_asked: bool,
}

/// One event of a streamed completion.
#[derive(Debug)]
pub enum CompletionEvent {
    /// A chunk in OpenAI's format.
    Chunk(Value),
    /// The reply is complete and durable.
    Done,
    /// The call failed. The last event.
    Failed(EngineError),
}

impl CompletionEvents {
    /// The next event; none after [`CompletionEvent::Done`] or [`CompletionEvent::Failed`].
    pub async fn next(&mut self) -> Option<CompletionEvent> {
        if let Some(event) = self.waiting.pop() {
            return Some(event);
        }
        Some(match self.pieces.next().await? {
            Piece::Begun(_) => return None,
            Piece::Text(field, text) => {
                let mut delta = Map::new();
                delta.insert(field.to_owned(), text.into());
                CompletionEvent::Chunk(self.chunk(&Value::Object(delta), &Value::Null))
            }
            Piece::Done(answered) => {
                self.waiting = self.ending(&answered);
                self.waiting.reverse();
                return self.waiting.pop();
            }
            Piece::Failed(error) => CompletionEvent::Failed(error),
        })
    }

    /// Tool calls are sent whole, once they have been judged.
    fn ending(&self, answered: &Reply) -> Vec<CompletionEvent> {
        let raw = &answered.reply.raw;
        let calls = raw.pointer("/choices/0/message/tool_calls").and_then(Value::as_array);
        let calls = calls.into_iter().flatten().enumerate().map(|(index, call)| {
            let mut call = call.clone();
            call["index"] = index.into();
            self.chunk(&json!({"tool_calls": [call]}), &Value::Null)
        });
        let reason = raw.pointer("/choices/0/finish_reason").unwrap_or(&Value::Null);
        let usage = self.usage_asked.then(|| {
            let mut last = self.chunk(&Value::Null, &Value::Null);
            last["choices"] = json!([]);
            last["usage"] = raw.get("usage").cloned().unwrap_or_default();
            last
        });
        let chunks = calls.chain([self.chunk(&json!({}), reason)]).chain(usage);
        chunks.map(CompletionEvent::Chunk).chain([CompletionEvent::Done]).collect()
    }

    fn chunk(&self, delta: &Value, finish_reason: &Value) -> Value {
        let mut chunk = Value::Object(self.pieces.head().clone());
        chunk["object"] = "chat.completion.chunk".into();
        chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]);
        chunk
    }
}
