//! The texts in requests and responses, as the gates judge them. Media are judged by digest.

use std::borrow::Cow;

use life_agent_domain::governance::command::Message;
use life_agent_groq::raw_json::Segment;
use serde_json::Value;

use super::endpoint::Endpoint;

/// The role of the message that holds all texts outside of messages: tools, schemas and the like.
pub(super) const OTHER_FIELDS: &str = "request";

/// Separates texts that belong together. No line break: the gates take the beginning of a line for a
/// command more readily, and a tool may well be called `id`.
const SEPARATOR: &str = ", ";

/// The messages of a request, then everything else that is text as one more message.
pub(super) fn of_request(endpoint: Endpoint, body: &Value) -> Vec<Message> {
    let (mut judged, mut items, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (name, field) in body.as_object().into_iter().flatten() {
        match field {
            Value::Array(list) if name == endpoint.items() => {
                items.extend(list.iter().map(message));
            }
            field if endpoint.preambles().contains(&name.as_str()) => {
                let mut texts = said(field).into_iter().collect::<Vec<_>>();
                if texts.is_empty() {
                    leaves(field, &mut texts);
                }
                judged.push(Message { role: name.clone(), content: texts.join(SEPARATOR) });
            }
            field => {
                key(name, &mut rest);
                leaves(field, &mut rest);
            }
        }
    }
    // Items first, so that the number in a finding is the number of the message.
    items.extend(judged);
    items.push(Message { role: OTHER_FIELDS.to_owned(), content: rest.join(SEPARATOR) });
    items
}

/// One message with all of its texts.
pub(super) fn message(message: &Value) -> Message {
    let role = message.get("role").or_else(|| message.get("type"));
    let role = role.and_then(Value::as_str).unwrap_or("user");
    let role = if holds_result(message) { "tool" } else { role }.to_owned();
    let mut texts: Vec<String> = message.get("content").and_then(said).into_iter().collect();
    match message {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    // Plain words, as all roles of the APIs are, say nothing; anything else is judged.
                    ("role", Value::String(role)) => key(role, &mut texts),
                    // The texts of the parts are in `said`; everything else in them is not.
                    ("content", Value::Array(parts)) => {
                        parts.iter().for_each(|part| part_leaves(part, &mut texts));
                    }
                    ("content", Value::String(_)) => {}
                    _ => {
                        key(name, &mut texts);
                        leaves(field, &mut texts);
                    }
                }
            }
        }
        other => leaves(other, &mut texts),
    }
    Message { role, content: texts.join(SEPARATOR) }
}

/// Whether a message holds the result of a tool. Anthropic's API has it as a part of the user's message.
fn holds_result(message: &Value) -> bool {
    let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
    parts.into_iter().any(|part| part.get("type").is_some_and(|kind| kind == "tool_result"))
}

/// The text of a message: its parts are joined without a separator, which is how a model reads them.
pub(super) fn said(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(judged_text(text).into_owned()),
        Value::Array(parts) => Some(parts.iter().filter_map(part_text).collect()),
        _ => None,
    }
}

/// The text of a content part.
pub(super) fn part_text(part: &Value) -> Option<&str> {
    part_field(part).map(|(_, text)| text)
}

/// The field of a content part that holds its text.
pub(super) fn part_field(part: &Value) -> Option<(&'static str, &str)> {
    ["text", "refusal"].into_iter().find_map(|name| Some((name, part.get(name)?.as_str()?)))
}

/// The texts of a content part apart from the one that [`part_text`] returns.
fn part_leaves(part: &Value, texts: &mut Vec<String>) {
    let Value::Object(fields) = part else { return leaves(part, texts) };
    let said = part_field(part).map(|(name, _)| name);
    if holds_media(part) {
        return leaves(part, texts);
    }
    for (name, field) in fields {
        if Some(name.as_str()) != said {
            key(name, texts);
            leaves(field, texts);
        }
    }
}

/// Every text of a response: the text of each choice or block first, so that the offsets of findings
/// count from its start, then all others.
pub(super) fn of_response(response: &Value) -> Vec<Message> {
    let mut texts = Vec::new();
    leaves(response, &mut texts);
    let content = response.pointer("/choices/0/message/content").and_then(Value::as_str);
    let content = content.filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(at) = content.as_ref().and_then(|text| texts.iter().position(|t| t == text)) {
        texts.remove(at);
    }
    let rest = (!texts.is_empty()).then(|| texts.join(SEPARATOR));
    let said = |text| Message { role: "assistant".to_owned(), content: text };
    content.into_iter().chain(rest).map(said).collect()
}

/// The name of a field, if it can carry a text: plain lower-case words say nothing that a gate looks
/// for.
fn key(name: &str, texts: &mut Vec<String>) {
    let plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !plain {
        texts.push(name.to_owned());
    }
}

/// Every text in a value, with the names of fields. A text that is JSON itself, like the arguments of
/// tool calls, is also read inside: its escapes could hide what it says.
pub(super) fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            texts.push(judged_text(text).into_owned());
            if text.trim_start().starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str::<Value>(text)
            {
                leaves(&inner, texts);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(fields) => {
            let media = holds_media(value);
            for (name, field) in fields {
                key(name, texts);
                match field.as_str().filter(|data| media && name == MEDIA_DATA && is_base64(data)) {
                    Some(data) => texts.push(digest(data)),
                    None => leaves(field, texts),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text as the gates judge it: a `data:` URL by the digest of its data.
pub(super) fn judged_text(text: &str) -> Cow<'_, str> {
    match data_url(text) {
        Some(data) => Cow::Owned(digest(data)),
        None => Cow::Borrowed(text),
    }
}

fn digest(data: &str) -> String {
    format!("[binary blake3:{}]", blake3::hash(data.as_bytes()).to_hex())
}

/// The data of a text that is a `data:` URL in base64 and nothing else.
pub(super) fn data_url(text: &str) -> Option<&str> {
    let (kind, data) = text.strip_prefix("data:")?.split_once(";base64,")?;
    let plain = kind.len() <= 128
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.+-;=".contains(&b));
    (plain && is_base64(data)).then_some(data)
}

/// The standard alphabet only: those of most credentials have `_` or `-`.
fn is_base64(data: &str) -> bool {
    data.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

/// The field of media objects that holds the data.
pub(super) const MEDIA_DATA: &str = "data";

/// Whether an object is what the APIs put media into: `{type: "base64", media_type, data}` at
/// Anthropic, `{data, format}` at OpenAI.
fn holds_media(value: &Value) -> bool {
    let kind = |name| value.get(name).and_then(Value::as_str);
    kind("type") == Some("base64") && kind("media_type").is_some()
        || kind("format").is_some_and(|format| format.len() <= 8)
}

/// A request with the digests of its media in place of their data, as the gates judge it.
pub(super) fn without_media(body: &Value) -> Cow<'_, Value> {
    if !contains_media(body) {
        return Cow::Borrowed(body);
    }
    let mut body = body.clone();
    replace_media(&mut body);
    Cow::Owned(body)
}

fn contains_media(value: &Value) -> bool {
    match value {
        Value::String(text) => data_url(text).is_some(),
        Value::Array(items) => items.iter().any(contains_media),
        Value::Object(fields) => holds_media(value) || fields.values().any(contains_media),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn replace_media(value: &mut Value) {
    let media = holds_media(value);
    match value {
        Value::String(text) => {
            if let Some(data) = data_url(text) {
                *text = digest(data);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(replace_media),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str().filter(|data| media && name == MEDIA_DATA && is_base64(data)) {
                    Some(data) => *field = digest(data).into(),
                    None => replace_media(field),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a string at this path of a request is media, which is judged by digest and forwarded unchanged.
pub(super) fn is_media_text(body: &Value, path: &[Segment], text: &str) -> bool {
    let is_data = |(last, parents): (&Segment, &[Segment])| {
        last.is_key(MEDIA_DATA) && is_base64(text) && at(body, parents).is_some_and(holds_media)
    };
    data_url(text).is_some() || path.split_last().is_some_and(is_data)
}

fn at<'b>(body: &'b Value, path: &[Segment]) -> Option<&'b Value> {
    path.iter().try_fold(body, |value, segment| match segment {
        Segment::Key(name) => value.get(name),
        Segment::Index(n) => value.get(n),
    })
}

/// Whether a content part is an image, audio or a file.
pub(super) fn is_media(part: &Value) -> bool {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    matches!(
        kind,
        "image_url"
            | "image"
            | "input_image"
            | "input_audio"
            | "audio"
            | "file"
            | "input_file"
            | "document"
            | "video_url"
            | "input_video"
    )
}

/// Whether a path leads into item `n` of the conversation; the path below it if so.
pub(super) fn in_item(endpoint: Endpoint, path: &[Segment]) -> Option<(usize, &[Segment])> {
    match path {
        [first, Segment::Index(n), rest @ ..] if first.is_key(endpoint.items()) => Some((*n, rest)),
        _ => None,
    }
}
