//! JSON objects that callers choose: the payload of an act and the arguments of a tool call, each
//! bounded in size and depth.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::governance::redaction::{Redact, redact_owned};
use crate::governance::size::json_size;

/// Why a JSON object exceeds its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// More bytes of compact JSON than the bound.
    #[error("must be at most {max} bytes of JSON, this has {actual}")]
    TooLarge {
        /// The bound.
        max: usize,
        /// Bytes of compact JSON.
        actual: usize,
    },
    /// Nested deeper than the bound; the object itself is level 1.
    #[error("must be nested at most {0} levels deep")]
    TooDeep(usize),
}

/// A JSON object of at most `BYTES` bytes of compact JSON and `DEPTH` levels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct BoundedObject<const BYTES: usize, const DEPTH: usize>(Map<String, Value>);

/// The payload of an act: at most 64 KiB and 32 levels.
pub type Payload = BoundedObject<{ 64 * 1024 }, 32>;

/// The arguments of a tool call: at most 1 MiB, because tools write whole files, and 64 levels.
pub type Arguments = BoundedObject<{ 1024 * 1024 }, 64>;

impl<const BYTES: usize, const DEPTH: usize> TryFrom<Map<String, Value>>
    for BoundedObject<BYTES, DEPTH>
{
    type Error = BadObject;

    fn try_from(object: Map<String, Value>) -> Result<Self, BadObject> {
        // Depth first: serializing, which measures the size, recurses as deep as the value goes.
        if object.values().any(|value| !within_depth(value, DEPTH - 1)) {
            return Err(BadObject::TooDeep(DEPTH));
        }
        match json_size(&object) {
            actual if actual > BYTES => Err(BadObject::TooLarge { max: BYTES, actual }),
            _ => Ok(Self(object)),
        }
    }
}

impl<const BYTES: usize, const DEPTH: usize> BoundedObject<BYTES, DEPTH> {
    /// The object itself.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Every key and every string value, in document order.
    pub fn texts<'a>(&'a self, found: &mut Vec<&'a str>) {
        texts_of_object(&self.0, found);
    }

    /// Bytes of all keys and string values.
    pub fn weight(&self) -> usize {
        weight_of_object(&self.0)
    }

    /// Every string value that is not a key, in document order, with its place among
    /// [`BoundedObject::texts`].
    pub fn values(&self) -> Vec<(usize, &str)> {
        let (mut found, mut ordinal) = (Vec::new(), 0);
        values_of_object(&self.0, &mut ordinal, &mut found);
        found
    }

    /// The texts of [`BoundedObject::values`], to be replaced by texts of any length.
    pub fn values_mut(&mut self) -> Vec<&mut String> {
        let mut found = Vec::new();
        self.0.values_mut().for_each(|value| values_of_value_mut(value, &mut found));
        found
    }

    /// The JSON pointer (RFC 6901) of the `ordinal`-th of [`BoundedObject::texts`].
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

/// Any JSON without its credentials, also those that lie across several texts that follow one another.
pub fn redact_json(mut value: Value, redactor: &dyn Redact) -> Value {
    let mut texts = Vec::new();
    values_of_value_mut(&mut value, &mut texts);
    redactor.redact_across(&mut texts);
    match value {
        Value::Object(map) => Value::Object(redact_object(map, redactor)),
        other => redact_value("", other, redactor),
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

fn weight_of_object(object: &Map<String, Value>) -> usize {
    object.iter().map(|(key, value)| key.len() + weight_of_value(value)).sum()
}

fn weight_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight_of_value).sum(),
        Value::Object(map) => weight_of_object(map),
        _ => 0,
    }
}

/// Walks as [`texts_of_object`] does; `ordinal` counts keys as well.
fn values_of_object<'a>(
    object: &'a Map<String, Value>,
    ordinal: &mut usize,
    found: &mut Vec<(usize, &'a str)>,
) {
    for value in object.values() {
        *ordinal += 1;
        values_of_value(value, ordinal, found);
    }
}

fn values_of_value<'a>(value: &'a Value, ordinal: &mut usize, found: &mut Vec<(usize, &'a str)>) {
    match value {
        Value::String(text) => {
            found.push((*ordinal, text));
            *ordinal += 1;
        }
        Value::Array(items) => items.iter().for_each(|item| values_of_value(item, ordinal, found)),
        Value::Object(map) => values_of_object(map, ordinal, found),
        _ => {}
    }
}

fn values_of_value_mut<'a>(value: &'a mut Value, found: &mut Vec<&'a mut String>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter_mut().for_each(|item| values_of_value_mut(item, found)),
        Value::Object(map) => map.values_mut().for_each(|item| values_of_value_mut(item, found)),
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

    type Small = BoundedObject<64, 4>;

    fn object<T: TryFrom<Map<String, Value>>>(value: Value) -> Result<T, T::Error> {
        T::try_from(value.as_object().cloned().unwrap())
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert!(object::<Small>(json!({"k": "x".repeat(56)})).is_ok());
        assert_eq!(
            object::<Small>(json!({"k": "x".repeat(57)})),
            Err(BadObject::TooLarge { max: 64, actual: 65 })
        );
        let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "k": inner }));
        assert!(object::<Small>(nested(4)).is_ok());
        assert_eq!(object::<Small>(nested(5)), Err(BadObject::TooDeep(4)));
    }

    #[test]
    fn a_tool_may_write_a_file_that_no_payload_may_hold() {
        let file = || json!({"content": "x".repeat(500_000)});
        assert!(object::<Arguments>(file()).is_ok());
        let message = object::<Payload>(file()).unwrap_err().to_string();
        assert_eq!(message, "must be at most 65536 bytes of JSON, this has 500014");
        assert!(object::<Arguments>(json!({"content": "x".repeat(1 << 20)})).is_err());
    }

    #[test]
    fn each_text_has_a_pointer_that_leads_to_it() {
        let payload: Payload =
            object(json!({"a/b": {"c~": ["x", 1, {"d": "y"}]}, "e": true, "f": "z"})).unwrap();
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
        let values = payload.values();
        assert_eq!(values, [(2, "x"), (4, "y"), (7, "z")]);
        assert!(values.iter().all(|(n, text)| texts[*n] == *text));
    }
}
