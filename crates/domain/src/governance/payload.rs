//! The free-form part of an act: a JSON object, bounded in size and depth.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::governance::redaction::{Redact, redact_owned};
use crate::governance::size::json_size;

/// Largest payload, in bytes of its compact JSON.
pub const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting; the object itself is level 1.
pub const MAX_DEPTH: usize = 32;

/// Why a JSON object is not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// More than [`MAX_BYTES`].
    #[error("must be at most {MAX_BYTES} bytes of JSON, this has {0}")]
    TooLarge(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("must be nested at most {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// A JSON object of at most 64 KiB and 32 levels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Payload(Map<String, Value>);

impl TryFrom<Map<String, Value>> for Payload {
    type Error = BadPayload;

    fn try_from(object: Map<String, Value>) -> Result<Self, BadPayload> {
        // Depth first: serialising, which measures the size, recurses as deep as the value goes.
        if object.values().any(|value| !within_depth(value, MAX_DEPTH - 1)) {
            return Err(BadPayload::TooDeep);
        }
        let size = json_size(&object);
        if size > MAX_BYTES { Err(BadPayload::TooLarge(size)) } else { Ok(Self(object)) }
    }
}

impl Payload {
    /// The object itself.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Every key and every string value, in document order.
    pub fn texts<'a>(&'a self, found: &mut Vec<&'a str>) {
        texts_of_object(&self.0, found);
    }

    /// The JSON pointer (RFC 6901) of the `ordinal`-th of [`Payload::texts`].
    pub fn pointer(&self, ordinal: usize) -> String {
        let mut left = ordinal;
        let mut path = String::new();
        pointer_in_object(&self.0, &mut left, &mut path);
        path
    }

    /// The same object with every key and string value redacted.
    pub fn redacted(self, redactor: &dyn Redact) -> Self {
        Self(redact_object(self.0, redactor))
    }
}

fn within_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|v| within_depth(v, levels - 1)),
        Value::Object(map) => levels > 0 && map.values().all(|v| within_depth(v, levels - 1)),
        _ => true,
    }
}

fn texts_of_object<'a>(object: &'a Map<String, Value>, found: &mut Vec<&'a str>) {
    for (key, value) in object {
        found.push(key);
        texts_of_value(value, found);
    }
}

fn texts_of_value<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts_of_value(item, found)),
        Value::Object(map) => texts_of_object(map, found),
        _ => {}
    }
}

/// Walks as [`texts_of_object`] does; true once `left` texts have been passed and `path` points there.
fn pointer_in_object(object: &Map<String, Value>, left: &mut usize, path: &mut String) -> bool {
    object.iter().any(|(key, value)| {
        let before = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let found = arrived(left) || pointer_in_value(value, left, path);
        if !found {
            path.truncate(before);
        }
        found
    })
}

fn pointer_in_value(value: &Value, left: &mut usize, path: &mut String) -> bool {
    match value {
        Value::String(_) => arrived(left),
        Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
            let before = path.len();
            path.push_str(&format!("/{index}"));
            let found = pointer_in_value(item, left, path);
            if !found {
                path.truncate(before);
            }
            found
        }),
        Value::Object(map) => pointer_in_object(map, left, path),
        _ => false,
    }
}

fn arrived(left: &mut usize) -> bool {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            false
        }
        None => true,
    }
}

fn redact_object(object: Map<String, Value>, redactor: &dyn Redact) -> Map<String, Value> {
    let redact_pair = |(key, value): (String, Value)| {
        let value = redact_value(&key, value, redactor);
        (redact_owned(key, redactor), value)
    };
    object.into_iter().map(redact_pair).collect()
}

fn redact_value(key: &str, value: Value, redactor: &dyn Redact) -> Value {
    match value {
        Value::String(text) => match redactor.redact_under(key, &text) {
            Cow::Owned(clean) => Value::String(clean),
            Cow::Borrowed(_) => Value::String(text),
        },
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| redact_value(key, item, redactor)).collect())
        }
        Value::Object(map) => Value::Object(redact_object(map, redactor)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(value: Value) -> Result<Payload, BadPayload> {
        Payload::try_from(value.as_object().cloned().unwrap())
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert!(payload(json!({"k": "x".repeat(MAX_BYTES - 8)})).is_ok());
        assert_eq!(
            payload(json!({"k": "x".repeat(MAX_BYTES - 7)})),
            Err(BadPayload::TooLarge(MAX_BYTES + 1))
        );
        let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "k": inner }));
        assert!(payload(nested(MAX_DEPTH)).is_ok());
        assert_eq!(payload(nested(MAX_DEPTH + 1)), Err(BadPayload::TooDeep));
    }

    #[test]
    fn each_text_has_a_pointer_that_leads_to_it() {
        let payload =
            payload(json!({"a/b": {"c~": ["x", 1, {"d": "y"}]}, "e": true, "f": "z"})).unwrap();
        let mut texts = Vec::new();
        payload.texts(&mut texts);
        let found: Vec<_> =
            texts.iter().enumerate().map(|(n, t)| (*t, payload.pointer(n))).collect();
        let expected = [
            ("a/b", "/a~1b"),
            ("c~", "/a~1b/c~0"),
            ("x", "/a~1b/c~0/0"),
            ("d", "/a~1b/c~0/2/d"),
            ("y", "/a~1b/c~0/2/d"),
            ("e", "/e"),
            ("f", "/f"),
            ("z", "/f"),
        ];
        assert_eq!(found, expected.map(|(t, p)| (t, p.to_owned())));
    }
}
