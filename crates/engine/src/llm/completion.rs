//! `/v1/chat/completions`: the same exchange for clients that speak OpenAI's API.
//!
//! The fields are described at <https://platform.openai.com/docs/api-reference/chat>.

use std::time::Instant;

use life_agent_domain::governance::command::Chat;
use life_agent_domain::governance::fault::Fault;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::{Clean, seed};
use serde_json::{Map, Value, json};

use super::exchange::{Answered, Exchange};
use super::stream::{Piece, Pieces};
use super::texts::{join_split, of_request};
use crate::engine::{Caller, Engine};
use crate::error::EngineError;

/// Most messages of one conversation.
const MAX_MESSAGES: usize = 256;
/// Longest answer that may be asked for, in tokens.
const MAX_TOKENS: u64 = 8192;
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// A request for a chat completion, checked: nothing in it is hidden from the gates.
#[derive(Debug, Clone)]
pub struct Completion {
    body: Map<String, Value>,
    stream: bool,
    /// Whether the last chunk of a stream tells the usage.
    usage_asked: bool,
}

impl Completion {
    /// Reads a request. Fields that are not known here pass through to the provider.
    pub fn read(mut body: Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let faults = faults(&body);
        if !faults.is_empty() {
            return Err(faults);
        }
        body.retain(|_, value| !value.is_null());
        let stream = body.remove("stream") == Some(Value::Bool(true));
        let options = body.remove("stream_options").unwrap_or_default();
        let usage_asked = options.get("include_usage") == Some(&Value::Bool(true));
        // Groq and OpenAI have both given up the older name.
        if let Some(limit) = body.remove("max_tokens") {
            body.entry("max_completion_tokens").or_insert(limit);
        }
        Ok(Self { body, stream, usage_asked })
    }

    /// Whether the answer is asked for in pieces.
    pub fn streams(&self) -> bool {
        self.stream
    }
}

fn faults(body: &Map<String, Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut check = |name: &str, expected: &str, is_good: &dyn Fn(&Value) -> bool| {
        let given = body.get(name).filter(|value| !value.is_null());
        if given.is_some_and(|value| !is_good(value)) {
            faults.push(Fault::new(name, expected));
        }
    };
    let tokens = |value: &Value| value.as_u64().is_some_and(|n| (1..=MAX_TOKENS).contains(&n));
    check("stream", "must be `true` or `false`", &Value::is_boolean);
    check("stream_options", "must be an object", &Value::is_object);
    check("model", "must be a text of 1 to 128 characters", &|value| {
        value.as_str().is_some_and(|name| (1..=128).contains(&name.chars().count()))
    });
    check("temperature", "must be a number from 0 to 2", &|value| {
        value.as_f64().is_some_and(|t| (0.0..=2.0).contains(&t))
    });
    check("max_tokens", "must be a number from 1 to 8192", &tokens);
    check("max_completion_tokens", "must be a number from 1 to 8192", &tokens);
    check("n", "must be 1; ask again for another answer", &|value| value.as_u64() == Some(1));
    check("modalities", "must be `[\"text\"]`; only text can be checked", &|value| {
        *value == json!(["text"])
    });
    check("audio", "is not taken; only text can be checked", &|_| false);
    let hidden = "is not taken; single tokens would spell out what is redacted";
    check("logprobs", hidden, &|value| *value == Value::Bool(false));
    check("top_logprobs", hidden, &|value| value.as_u64() == Some(0));
    match body.get("messages") {
        Some(Value::Array(messages)) if (1..=MAX_MESSAGES).contains(&messages.len()) => {
            let of_all = messages.iter().enumerate();
            faults.extend(of_all.flat_map(|(n, message)| faults_of_message(n, message)));
        }
        Some(Value::Array(_)) => {
            faults.push(Fault::new("messages", format!("must have 1 to {MAX_MESSAGES} messages")));
        }
        Some(_) => faults.push(Fault::new("messages", "must be a list of messages")),
        None => faults.push(Fault::new("messages", "missing field")),
    }
    faults.sort();
    faults
}

fn faults_of_message(n: usize, message: &Value) -> Vec<Fault> {
    let at = |rest: String| format!("messages.{n}{rest}");
    let Value::Object(fields) = message else {
        return vec![Fault::new(at(String::new()), "must be an object")];
    };
    let mut faults = Vec::new();
    if !fields.get("role").and_then(Value::as_str).is_some_and(|role| ROLES.contains(&role)) {
        let known = ROLES.map(|role| format!("`{role}`")).join(", ");
        faults.push(Fault::new(at(".role".to_owned()), format!("must be one of {known}")));
    }
    match fields.get("content") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(Value::Array(parts)) => {
            let wrong = parts.iter().enumerate().filter(|(_, part)| !is_text(part));
            faults.extend(wrong.map(|(part, _)| {
                let what = "must be a part of type `text`; images, audio and files are not taken, \
                            for only text can be checked";
                Fault::new(at(format!(".content.{part}")), what)
            }));
        }
        Some(_) => {
            let what = "must be a text or a list of parts of type `text`";
            faults.push(Fault::new(at(".content".to_owned()), what));
        }
    }
    if fields.get("audio").is_some_and(|audio| !audio.is_null()) {
        let what = "is not taken; only text can be checked";
        faults.push(Fault::new(at(".audio".to_owned()), what));
    }
    faults
}

fn is_text(part: &Value) -> bool {
    ["text", "refusal"].iter().any(|kind| {
        part.get("type").and_then(Value::as_str) == Some(kind)
            && part.get(*kind).is_some_and(Value::is_string)
    })
}

impl Engine {
    /// Answers a chat completion: the provider's JSON, redacted. The answer means that the exchange
    /// is durable.
    pub async fn completion(
        &self,
        caller: &Caller,
        asked: Completion,
    ) -> Result<Value, EngineError> {
        let exchange = self.completion_exchange(caller, &asked).await?;
        Ok(self.exchange(exchange).await?.reply.raw)
    }

    /// The same in chunks; what goes wrong before the first is an error here.
    pub async fn completion_events(
        &self,
        caller: &Caller,
        asked: Completion,
    ) -> Result<CompletionEvents, EngineError> {
        let exchange = self.completion_exchange(caller, &asked).await?;
        let pieces = self.stream(exchange).await?;
        let mut events =
            CompletionEvents { pieces, waiting: Vec::new(), usage_asked: asked.usage_asked };
        let first = events.chunk(&json!({"role": "assistant", "content": ""}), &Value::Null);
        events.waiting.push(CompletionEvent::Chunk(first));
        Ok(events)
    }

    async fn completion_exchange(
        &self,
        caller: &Caller,
        asked: &Completion,
    ) -> Result<Exchange, EngineError> {
        let begun = Instant::now();
        let policy = self.policy.in_force();
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
        let permit = self.permit(caller, &policy, Chat { messages: of_request(&body) }).await?;
        let llm = self.llm()?;
        if let Value::Object(fields) = &mut body {
            let own = || seed(llm.seed, caller.principal.as_str(), 0).into();
            fields.entry("seed").or_insert_with(own);
            if asked.stream {
                fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
        let body = Clean::of(body, redactor);
        let endpoint = "/v1/chat/completions";
        Ok(Exchange::new(caller, policy, permit, body, endpoint, begun))
    }
}

/// A streamed completion. Leaving it does not end the exchange, which is recorded all the same.
pub struct CompletionEvents {
    pieces: Pieces,
    /// What comes next, last first.
    waiting: Vec<CompletionEvent>,
    usage_asked: bool,
}

/// One event of a streamed completion.
#[derive(Debug)]
pub enum CompletionEvent {
    /// A chunk as OpenAI's clients read it.
    Chunk(Value),
    /// The answer was whole and is on the record.
    Done,
    /// It ends here; nothing comes after this.
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

    /// Tool calls come whole, once they have been judged.
    fn ending(&self, answered: &Answered) -> Vec<CompletionEvent> {
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
