//! The judged messages of large rows: they follow from the request, which the row holds too.
//!
//! The gates judge the texts of a request. A row that held both would hold every text twice, so a large one holds
//! the request, and of the judged messages their number, their digest and what they follow from.

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::event::{EventKind, JudgedMessages, Row};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::texts::of_request;

/// Smallest size of judged messages, in bytes, from which on a row states how they follow.
const MIN_BYTES: usize = 1024;

/// How the judged messages follow from a request; none if they are few, or do not follow from it.
pub(super) fn follows(
    endpoint: Endpoint,
    body: &Value,
    messages: &[Message],
) -> Option<JudgedMessages<'static>> {
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    if bytes < MIN_BYTES || of_request(endpoint, body) != messages {
        return None;
    }
    let fields = body.as_object().into_iter().flatten();
    Some(JudgedMessages {
        fields: fields.map(|(name, _)| name.clone().into()).collect(),
        count: messages.len(),
        blake3: digest(messages).into(),
    })
}

fn digest(messages: &[Message]) -> String {
    // Serializing texts cannot fail.
    blake3::hash(&serde_json::to_vec(messages).unwrap_or_default()).to_hex().to_string()
}

/// The row with its judged messages, if they follow from the rest of it. A row from which another release would
/// read other messages stays as it is.
pub(crate) fn restore(row: Row) -> Row {
    if !row.is(EventKind::Chat) || !row.data.get().contains("\"judged\":") {
        return row;
    }
    match restored(row.data.get()).and_then(|data| to_raw_value(&data).ok()) {
        Some(data) => Row { data, ..row },
        None => row,
    }
}

fn restored(data: &str) -> Option<Value> {
    let mut data: Value = serde_json::from_str(data).ok()?;
    let judged: JudgedMessages<'_> = serde_json::from_value(data.get("judged")?.clone()).ok()?;
    let path = data.get("endpoint")?.as_str()?;
    let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.own_path() == path)?;
    let field = |name: &str| {
        let field = match name {
            name if name == endpoint.items() => data.get("sent_messages"),
            name => data.get("parameters")?.get(name),
        };
        Some((name.to_owned(), field.cloned().unwrap_or_default()))
    };
    let body: Map<String, Value> = judged.fields.iter().filter_map(|name| field(name)).collect();
    let messages = of_request(endpoint, &Value::Object(body));
    if messages.len() != judged.count || digest(&messages) != judged.blake3 {
        return None;
    }
    data["messages"] = serde_json::to_value(messages).ok()?;
    Some(data)
}
