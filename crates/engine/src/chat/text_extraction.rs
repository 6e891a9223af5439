//! Extracts the texts of requests and replies in JSON. All of them are judged and redacted.

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::{ChatError, ChatRequest, Clean};
use serde_json::Value;

use crate::error::EngineError;

/// The role of texts that belong to no message: tools, schemas and the like.
pub(crate) const OTHER_FIELDS: &str = "request";

/// Separates texts that belong together. Not a line break: the gates treat the beginning of a line as a
/// command more readily, and a tool may be called `id`.
const BETWEEN: &str = ", ";

/// Redacts a value, including credentials behind the escapes of JSON within a text.
pub(crate) fn clean(value: Value, redactor: &dyn Redact) -> Value {
    Clean::of(value, redactor).into_value()
}

/// The body of a request that the engine composed.
pub(crate) fn body_of(request: &ChatRequest, redactor: &dyn Redact) -> Result<Clean, EngineError> {
    let refused = |error: ChatError| EngineError::LlmRefused { message: error.to_string() };
    Ok(Clean::of(request.to_body(false).map_err(refused)?, redactor))
}

/// The messages of a chat completion that the gates judge: each message with all its texts, then all other
/// texts as one further message.
pub(crate) fn of_request(body: &Value) -> Vec<Message> {
    let mut judged = Vec::new();
    let mut rest = Vec::new();
    for (name, field) in body.as_object().into_iter().flatten() {
        match (name.as_str(), field) {
            ("messages", Value::Array(messages)) => judged.extend(messages.iter().map(message)),
            _ => {
                key(name, &mut rest);
                leaves(field, &mut rest);
            }
        }
    }
    judged.push(Message { role: OTHER_FIELDS.to_owned(), content: rest.join(BETWEEN) });
    judged
}

fn message(message: &Value) -> Message {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut texts: Vec<String> = message.get("content").and_then(said).into_iter().collect();
    for (name, field) in message.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "role" | "content") {
            key(name, &mut texts);
            leaves(field, &mut texts);
        }
    }
    Message { role, content: texts.join(BETWEEN) }
}

/// The content of a message. Parts are joined without a break, as a model reads them.
fn said(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(part).collect()),
        _ => None,
    }
}

fn part(part: &Value) -> Option<&str> {
    ["text", "refusal"].iter().find_map(|key| part.get(key)?.as_str())
}

/// Joins parts that split a credential, so that it is found.
pub(crate) fn join_split(message: &mut Value, redactor: &dyn Redact) {
    let Some(content @ Value::Array(_)) = message.get_mut("content") else { return };
    let Some(whole) = said(content) else { return };
    let by_part: String = content
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(part)
        .map(|text| redactor.redact(text))
        .collect();
    if redactor.redact(&whole) != by_part {
        *content = Value::String(whole);
    }
}

/// The texts of a reply that the gates judge.
pub(crate) fn of_reply(reply: &Value) -> Vec<Message> {
    let mut texts = Vec::new();
    leaves(reply, &mut texts);
    let said = |text| Message { role: "assistant".to_owned(), content: text };
    // The text itself first, so that findings in it count from its own start.
    let content = reply["choices"][0]["message"]["content"].as_str();
    let content = content.filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(at) = content.as_ref().and_then(|text| texts.iter().position(|t| t == text)) {
        texts.remove(at);
    }
    let rest = (!texts.is_empty()).then(|| texts.join(BETWEEN));
    content.into_iter().chain(rest).map(said).collect()
}

/// The name of a field, unless it is a plain lower-case word, which no gate looks for.
fn key(name: &str, texts: &mut Vec<String>) {
    let plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !plain {
        texts.push(name.to_owned());
    }
}

/// Every text in a value, including unusual field names. A text that is JSON itself, such as the arguments of
/// a tool call, is searched as well: its escapes could hide its meaning.
fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            texts.push(text.clone());
            if text.trim_start().starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str::<Value>(text)
            {
                leaves(&inner, texts);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(fields) => {
            for (name, field) in fields {
                key(name, texts);
                leaves(field, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use life_agent_gates::SecretRedactor;
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0";

    #[test]
    fn every_text_of_a_request_is_judged() {
        let body = json!({
            "model": "m-1",
            "messages": [
                {"role": "user", "name": "bo", "content": [
                    {"type": "text", "text": "look "}, {"type": "text", "text": "around"}]},
                {"role": "assistant", "tool_calls": [{"id": "c-1", "function": {
                    "name": "act", "arguments": "{\"path\": \"a\\u002fb\"}"}}]},
            ],
            "tools": [{"function": {"description": "opens gates", "parameters": {"gate_7": {}}}}],
        });
        let judged = of_request(&body);
        assert_eq!(judged.len(), 3);
        assert_eq!(judged[0].content, "look around, bo");
        assert!(judged[1].content.contains("a/b"), "{judged:?}");
        assert_eq!(judged[2].role, OTHER_FIELDS);
        for text in ["m-1", "opens gates", "gate_7"] {
            assert!(judged[2].content.contains(text), "{text}");
        }
    }

    #[test]
    fn a_credential_cut_in_two_parts_is_put_together_and_found() {
        let (first, second) = TOKEN.split_at(20);
        let parts = json!([{"type": "text", "text": first}, {"type": "text", "text": second}]);
        let mut message = json!({"role": "user", "content": parts});
        join_split(&mut message, &SecretRedactor);
        let clean = clean(message, &SecretRedactor);
        assert_eq!(clean["content"], "[redacted:github_token]");
        let harmless = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
        let mut same = harmless.clone();
        join_split(&mut same, &SecretRedactor);
        assert_eq!(same, harmless);
    }

    #[test]
    fn an_answer_is_judged_by_its_text_first_and_then_by_all_else() {
        let reply = json!({"choices": [{"message": {"content": "hello", "tool_calls": [
            {"function": {"name": "act", "arguments": "{\"a\": \"rm\\u0020-rf\"}"}}]}}]});
        let judged = of_reply(&reply);
        assert_eq!(judged[0].content, "hello");
        assert!(judged[1].content.contains("rm -rf"), "{judged:?}");
    }
}
