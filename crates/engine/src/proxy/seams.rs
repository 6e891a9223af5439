//! Credentials that lie across several texts of a conversation.

use std::borrow::Cow;

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::could_be_cut;
use life_agent_groq::raw_json::{EditError, Role, Segment, rewrite};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::texts::{self, in_item};

/// Where a text of the conversation is: the number of its message, and of its content part.
pub(super) type Place = (usize, Option<usize>);

/// What the messages say, text by text.
fn said_places(endpoint: Endpoint, body: &Value) -> Vec<(Place, &str)> {
    let items = body.get(endpoint.items()).and_then(Value::as_array).into_iter().flatten();
    let mut places = Vec::new();
    for (n, item) in items.enumerate() {
        match item.get("content") {
            Some(Value::String(text)) => places.push(((n, None), text.as_str())),
            Some(Value::Array(parts)) => {
                let texts = parts.iter().enumerate();
                let texts =
                    texts.filter_map(|(part, value)| Some((part, texts::part_text(value)?)));
                places.extend(texts.map(|(part, text)| ((n, Some(part)), text)));
            }
            _ => {}
        }
    }
    places
}

fn said_texts(endpoint: Endpoint, body: &Value) -> Vec<&str> {
    said_places(endpoint, body).into_iter().map(|(_, text)| text).collect()
}

/// Parts of credentials that fields between two messages hide from the gates.
pub(super) fn hidden_parts(
    endpoint: Endpoint,
    body: &Value,
    judged: &[Message],
    redactor: &dyn Redact,
) -> Vec<(Place, String)> {
    if !could_be_cut(&said_texts(endpoint, body)) || is_seen_across(judged, redactor) {
        return Vec::new();
    }
    parted_credentials(endpoint, body, redactor)
}

/// Whether the gates see that a credential lies across several of the judged messages.
fn is_seen_across(judged: &[Message], redactor: &dyn Redact) -> bool {
    let mut texts: Vec<String> = judged.iter().map(|message| message.content.clone()).collect();
    redactor.redact_across(&mut texts.iter_mut().collect::<Vec<_>>());
    judged.iter().zip(&texts).any(|(message, text)| message.content != *text)
}

/// The text at a path without the part of a credential that it holds.
pub(super) fn without_part<'p>(
    endpoint: Endpoint,
    path: &[Segment],
    role: Role,
    parted: &'p [(Place, String)],
) -> Option<&'p str> {
    let (n, rest) = in_item(endpoint, path).filter(|_| role == Role::Value)?;
    let part = match rest {
        [content] if content.is_key("content") => None,
        [content, Segment::Index(part), leaf]
            if content.is_key("content")
                && ["text", "refusal"].iter().any(|name| leaf.is_key(name)) =>
        {
            Some(*part)
        }
        _ => return None,
    };
    let found = parted.iter().find(|(place, _)| *place == (n, part));
    found.map(|(_, clean)| clean.as_str())
}

/// The request without the parts of these credentials.
pub(super) fn without_parted(
    endpoint: Endpoint,
    text: &str,
    parted: &[(Place, String)],
) -> Result<String, EditError> {
    let edited = rewrite(text, &mut |path, role, _| {
        without_part(endpoint, path, role, parted).map(str::to_owned)
    });
    edited.map(Cow::into_owned)
}

/// The texts in which a part of a credential lies that continues in another message, without that part.
pub(super) fn parted_credentials(
    endpoint: Endpoint,
    body: &Value,
    redactor: &dyn Redact,
) -> Vec<(Place, String)> {
    let places = said_places(endpoint, body);
    let mut texts: Vec<String> = places.iter().map(|(_, text)| (*text).to_owned()).collect();
    redactor.redact_across(&mut texts.iter_mut().collect::<Vec<_>>());
    let changed =
        places.into_iter().zip(texts).filter(|((_, before), after)| *before != after.as_str());
    changed.map(|((place, _), after)| (place, after)).collect()
}

/// The messages in which a credential shows only across content parts, with their redacted text.
pub(super) fn split_credentials(
    endpoint: Endpoint,
    body: &Value,
    redactor: &dyn Redact,
) -> Vec<(usize, String)> {
    let items = body.get(endpoint.items()).and_then(Value::as_array).into_iter().flatten();
    let found = items.enumerate().filter_map(|(n, item)| {
        let content = item.get("content").filter(|content| content.is_array())?;
        let whole = texts::said(content)?;
        let parts = content.as_array().into_iter().flatten().filter_map(texts::part_text);
        let by_part: String = parts.map(|text| redactor.redact(text)).collect();
        let redacted = redactor.redact(&whole);
        (redacted != by_part).then(|| (n, redacted.into_owned()))
    });
    found.collect()
}
