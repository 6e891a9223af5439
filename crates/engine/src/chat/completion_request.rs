//! The request of `/v1/chat/completions`, validated.
//!
//! The fields are described at <https://platform.openai.com/docs/api-reference/chat>.

use life_agent_domain::governance::fault::Fault;
use serde_json::{Map, Value, json};

/// Most messages of a conversation.
const MAX_MESSAGES: usize = 256;
/// Longest reply that may be requested, in tokens.
const MAX_TOKENS: u64 = 8192;
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// A validated request: the gates can judge everything in it.
#[derive(Debug, Clone)]
pub struct Completion {
    pub(super) body: Map<String, Value>,
    pub(super) stream: bool,
    /// Whether the last chunk of a stream contains the usage.
    pub(super) usage_asked: bool,
}

impl Completion {
    /// Validates a request. Unknown fields pass through to the provider.
    pub fn read(mut body: Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let faults = faults(&body);
        if !faults.is_empty() {
            return Err(faults);
        }
        body.retain(|_, value| !value.is_null());
        let stream = body.remove("stream") == Some(Value::Bool(true));
        let options = body.remove("stream_options").unwrap_or_default();
        let usage_asked = options.get("include_usage") == Some(&Value::Bool(true));
        // Groq and OpenAI both deprecate the older name.
        if let Some(limit) = body.remove("max_tokens") {
            body.entry("max_completion_tokens").or_insert(limit);
        }
        Ok(Self { body, stream, usage_asked })
    }

    /// Whether the reply is streamed.
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
