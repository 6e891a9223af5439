//! Extracts the texts of requests and replies in JSON. All of them are judged and redacted.

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use life_agent_groq::{ChatError, ChatRequest, Clean};
use serde_json::Value;

use crate::error::EngineError;

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
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_text_first_and_then_by_all_else() {
        let reply = json!({"choices": [{"message": {"content": "hello", "tool_calls": [
            {"function": {"name": "act", "arguments": "{\"a\": \"rm\\u0020-rf\"}"}}]}}]});
        let judged = of_reply(&reply);
        assert_eq!(judged[0].content, "hello");
        assert!(judged[1].content.contains("rm -rf"), "{judged:?}");
    }
}
