//! Credentials that lie across several texts of a conversation.

use std::borrow::Cow;

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use life_agent_gates::could_be_cut;
use life_agent_groq::raw_json::{EditError, Role, Segment, rewrite};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::texts::{self, in_item};

/// Where a text of a request is.
pub(super) type Place = Vec<Segment>;

/// A text with its place.
type Placed<'b> = (Place, &'b str);

/// What the messages say, text by text.
fn said_places(endpoint: Endpoint, body: &Value) -> Vec<Placed<'_>> {
    let items = body.get(endpoint.items()).and_then(Value::as_array).into_iter().flatten();
    let key = |name: &str| Segment::Key(name.to_owned());
    let mut places = Vec::new();
    for (n, item) in items.enumerate() {
        let content = vec![key(endpoint.items()), Segment::Index(n), key("content")];
        match item.get("content") {
            Some(Value::String(text)) => places.push((content, text.as_str())),
            Some(Value::Array(parts)) => {
                for (part, value) in parts.iter().enumerate() {
                    let Some((name, text)) = texts::part_field(value) else { continue };
                    let rest = [Segment::Index(part), key(name)];
                    places.push(([content.as_slice(), &rest].concat(), text));
                }
            }
            _ => {}
        }
    }
    places
}

/// The texts of a request that follow one another outside of what the messages say: items of a list, and values of an
/// object that is no message. In a message, a role separates two texts.
fn sibling_runs<'b>(endpoint: Endpoint, body: &'b Value) -> Vec<Vec<Placed<'b>>> {
    let mut runs = Vec::new();
    add_runs(endpoint, body, &mut Vec::new(), &mut runs);
    runs
}

fn add_runs<'b>(
    endpoint: Endpoint,
    value: &'b Value,
    path: &mut Place,
    runs: &mut Vec<Vec<Placed<'b>>>,
) {
    let fields: Vec<(Segment, &Value)> = match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(n, item)| (Segment::Index(n), item)).collect()
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (Segment::Key(name.clone()), field)).collect()
        }
        _ => return,
    };
    let is_message = value.is_object() && in_item(endpoint, path).is_some();
    let texts = fields.iter().filter_map(|(segment, field)| Some((segment, field.as_str()?)));
    let texts: Vec<_> = texts.filter(|_| !is_message).collect();
    if could_be_cut(&texts.iter().map(|(_, text)| *text).collect::<Vec<_>>()) {
        let place = |segment: &Segment| [path.as_slice(), std::slice::from_ref(segment)].concat();
        runs.push(texts.into_iter().map(|(segment, text)| (place(segment), text)).collect());
    }
    for (segment, field) in fields {
        path.push(segment);
        add_runs(endpoint, field, path, runs);
        path.pop();
    }
}

/// Parts of credentials that the gates do not see: fields lie between two messages, or the texts are no messages.
pub(super) fn hidden_parts(
    endpoint: Endpoint,
    body: &Value,
    judged: &[Message],
    redactor: &dyn Redact,
) -> Vec<(Place, String)> {
    let said: Vec<_> = said_places(endpoint, body);
    let texts: Vec<&str> = said.iter().map(|(_, text)| *text).collect();
    let mut hidden = Vec::new();
    if could_be_cut(&texts) && !is_seen_across(judged, redactor) {
        hidden = parts_across(said, redactor);
    }
    let runs = sibling_runs(endpoint, body).into_iter();
    hidden.extend(runs.flat_map(|run| parts_across(run, redactor)));
    hidden
}

/// Whether the gates see that a credential lies across several of the judged messages.
fn is_seen_across(judged: &[Message], redactor: &dyn Redact) -> bool {
    let mut texts: Vec<String> = judged.iter().map(|message| message.content.clone()).collect();
    redactor.redact_across(&mut texts.iter_mut().collect::<Vec<_>>());
    judged.iter().zip(&texts).any(|(message, text)| message.content != *text)
}

/// The text at a path without the part of a credential that it holds.
pub(super) fn without_part<'p>(
    path: &[Segment],
    role: Role,
    parted: &'p [(Place, String)],
) -> Option<&'p str> {
    let found = parted.iter().find(|(place, _)| role == Role::Value && place.as_slice() == path);
    found.map(|(_, clean)| clean.as_str())
}

/// The request without the parts of these credentials.
pub(super) fn without_parted(text: &str, parted: &[(Place, String)]) -> Result<String, EditError> {
    let edited =
        rewrite(text, &mut |path, role, _| without_part(path, role, parted).map(str::to_owned));
    edited.map(Cow::into_owned)
}

/// The texts of messages in which a part of a credential lies that continues in another, without that part.
pub(super) fn parted_credentials(
    endpoint: Endpoint,
    body: &Value,
    redactor: &dyn Redact,
) -> Vec<(Place, String)> {
    parts_across(said_places(endpoint, body), redactor)
}

fn parts_across(places: Vec<Placed<'_>>, redactor: &dyn Redact) -> Vec<(Place, String)> {
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
