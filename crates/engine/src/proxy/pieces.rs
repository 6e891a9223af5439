//! Which strings of a stream's event belong together with strings of other events.
//!
//! A text arrives in pieces over many events, and a credential can be cut anywhere between them. Each
//! API says in its own way which text a piece continues; here every string inside the part of an event
//! that holds pieces is one, also in fields that are unknown, so that no field is a side channel.

use life_agent_groq::raw_json::Segment;
use serde_json::Value;

/// The text that a string of an event continues; none if the string stands alone.
pub(super) fn continued(event: &Value, path: &[Segment]) -> Option<String> {
    let name = path.last().and_then(key)?;
    if matches!(name, "role" | "type" | "id" | "object" | "name" | "call_id" | "format") {
        return None;
    }
    match path {
        // OpenAI's chat completions and completions.
        [first, Segment::Index(n), inner @ ..] if first.is_key("choices") => {
            let choice = event.get("choices")?.get(*n)?;
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(*n as u64);
            let delta = inner.first()?;
            match inner {
                [_, rest @ ..] if delta.is_key("delta") && !rest.is_empty() => {
                    Some(format!("choices/{index}/{}", steps(choice.get("delta")?, rest)))
                }
                [text] if text.is_key("text") => Some(format!("choices/{index}/text")),
                _ => None,
            }
        }
        // Anthropic's and OpenAI's newer streams: one text per block or item, in `delta`.
        [first, rest @ ..] if first.is_key("delta") => {
            let place = ["output_index", "content_index", "summary_index", "index"]
                .iter()
                .filter_map(|name| Some(format!("{name}={}", event.get(*name)?.as_u64()?)))
                .collect::<Vec<_>>()
                .join(",");
            let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
            Some(format!("{place}/{kind}/{}", steps(event.get("delta")?, rest)))
        }
        _ => None,
    }
}

/// The path below an event, with the `index` that items state in place of their position.
fn steps(mut value: &Value, path: &[Segment]) -> String {
    let mut names = Vec::new();
    for step in path {
        let inner = match step {
            Segment::Key(key) => {
                names.push(key.clone());
                value.get(key)
            }
            Segment::Index(n) => {
                let item = value.get(n);
                let index = item.and_then(|item| item.get("index")?.as_u64());
                names.push(index.unwrap_or(*n as u64).to_string());
                item
            }
        };
        value = inner.unwrap_or(&Value::Null);
    }
    names.join("/")
}

fn key(step: &Segment) -> Option<&str> {
    match step {
        Segment::Key(key) => Some(key),
        Segment::Index(_) => Some(""),
    }
}

/// The prefix of the texts that an event completes; the empty prefix completes all.
pub(super) fn completed(event: &Value) -> Option<String> {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| event.get(name).and_then(Value::as_u64);
    if let Some(choices) = event.get("choices").and_then(Value::as_array) {
        let over = choices.iter().find(|choice| {
            choice.get("finish_reason").and_then(Value::as_str).is_some_and(|r| !r.is_empty())
        })?;
        let index = over.get("index").and_then(Value::as_u64).unwrap_or(0);
        return Some(format!("choices/{index}/"));
    }
    match kind {
        "content_block_stop" => Some(format!("index={}/", number("index")?)),
        "message_stop" | "response.completed" | "response.incomplete" | "response.failed" => {
            Some(String::new())
        }
        kind if kind.starts_with("response.") && kind.ends_with(".done") => {
            Some(format!("output_index={}", number("output_index")?))
        }
        _ => None,
    }
}

/// Whether an event ends its stream, so that it must not go out before the record is durable.
pub(super) fn is_terminal(event: &Value) -> bool {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let choices = event.get("choices").and_then(Value::as_array).into_iter().flatten();
    let finished = |choice: &Value| {
        choice.get("finish_reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty())
    };
    matches!(
        kind,
        "message_stop" | "response.completed" | "response.incomplete" | "response.failed"
    ) || choices.into_iter().any(finished)
}
