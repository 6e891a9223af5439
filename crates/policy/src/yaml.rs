//! Reads YAML into a value, and reports faults that the parser accepts silently.

use std::fmt;

use life_agent_domain::governance::fault::Fault;
use serde::Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_json::{Map, Number, Value};

mod locate;
mod nesting;

pub(crate) use locate::locate_all;

/// Largest document, in bytes.
pub(crate) const MAX_BYTES: usize = 64 * 1024;
/// The maximum nesting; the document's map is level 1.
pub(crate) const MAX_DEPTH: usize = 32;
/// The maximum number of values with expanded aliases. Without aliases, [`MAX_BYTES`] implies this bound.
const MAX_VALUES: usize = MAX_BYTES;

/// Reads a document. Faults that leave it readable (duplicate keys, keys without a value, keys that are not text,
/// tags) are returned with a value that omits them.
pub(crate) fn read(text: &str) -> Result<(Value, Vec<Fault>), Fault> {
    if text.len() > MAX_BYTES {
        let size = text.len();
        return Err(Fault::new("", format!("must be at most {MAX_BYTES} bytes, this has {size}")));
    }
    if let Some(line) = nesting::too_deep(text) {
        return Err(Fault { line: Some(line), ..Fault::new("", too_deep()) });
    }
    let mut reading = Reading { path: Vec::new(), faults: Vec::new(), values: 0 };
    let read = Node(&mut reading).deserialize(serde_yaml::Deserializer::from_str(text));
    match read {
        Ok(value) => Ok((value.unwrap_or(Value::Null), reading.faults)),
        Err(error) => Err(syntax_fault(&error)),
    }
}

fn too_deep() -> String {
    format!("must be nested at most {MAX_DEPTH} levels deep")
}

fn syntax_fault(error: &serde_yaml::Error) -> Fault {
    let text = error.to_string();
    let first = text.split(" at line ").next().unwrap_or(&text);
    // The parser prefixes our messages with the path.
    let message = match first.find("must be nested").or(first.find("has too many values")) {
        Some(ours) => first[ours..].to_owned(),
        // The parser takes `- **/*.key` for an alias; its message would not help.
        None if ["unknown anchor", "alphabetic or numeric"].iter().any(|it| first.contains(it)) => {
            format!("is not YAML: {first}; a text that begins with `*` or `&` needs quotes")
        }
        None => format!("is not YAML: {first}"),
    };
    let place = error.location();
    Fault {
        line: place.as_ref().map(serde_yaml::Location::line),
        column: place.as_ref().map(serde_yaml::Location::column),
        ..Fault::new("", message)
    }
}

struct Reading {
    path: Vec<String>,
    faults: Vec<Fault>,
    values: usize,
}

impl Reading {
    fn fault(&mut self, message: impl Into<String>) {
        // A document can have faults everywhere; more of them would not help.
        if self.faults.len() < 100 {
            self.faults.push(Fault::new(self.path.join("."), message));
        }
    }
}

/// Reads one value; `None` if it is empty or was reported.
struct Node<'r>(&'r mut Reading);

impl Node<'_> {
    fn inside<E: Error, T>(
        &mut self,
        key: String,
        read: impl FnOnce(Node<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.0.path.push(key);
        self.0.values += 1;
        let read = match () {
            () if self.0.path.len() > MAX_DEPTH => Err(E::custom(too_deep())),
            () if self.0.values > MAX_VALUES => {
                Err(E::custom("has too many values once its aliases are written out"))
            }
            () => read(Node(self.0)),
        };
        self.0.path.pop();
        read
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Option<Value>, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Option<Value>, E> {
        self.0.fault(format!("must be a smaller number than `{value}`"));
        Ok(None)
    }

    fn visit_u128<E>(self, value: u128) -> Result<Option<Value>, E> {
        self.0.fault(format!("must be a smaller number than `{value}`"));
        Ok(None)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<Value>, E> {
        let number = Number::from_f64(value);
        if number.is_none() {
            self.0.fault("must be a finite number");
        }
        Ok(number.map(Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut input: A) -> Result<Option<Value>, A::Error> {
        let mut items = Vec::new();
        loop {
            let index = items.len().to_string();
            let item = self.inside(index, |mut node| {
                let reported = node.0.faults.len();
                let item = input.next_element_seed(Node(node.0))?;
                if matches!(item, Some(None)) {
                    node.missing(reported);
                }
                Ok(item)
            })?;
            match item {
                // An empty item keeps its place, so that the paths of later faults are right.
                Some(item) => items.push(item.unwrap_or(Value::Null)),
                None => return Ok(Some(Value::Array(items))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut input: A) -> Result<Option<Value>, A::Error> {
        let mut map = Map::new();
        while let Some(key) = input.next_key_seed(Key)? {
            let Ok(key) = key else {
                self.0.fault("has a key that is not a text; put it in quotes");
                input.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = self.inside(key.clone(), |mut node| {
                let reported = node.0.faults.len();
                let value = input.next_value_seed(Node(node.0))?;
                if value.is_none() {
                    node.missing(reported);
                }
                if map.contains_key(&key) {
                    node.0.fault("is given more than once; keep one");
                }
                Ok(value)
            })?;
            if let Some(value) = value {
                map.entry(key).or_insert(value);
            }
        }
        Ok(Some(Value::Object(map)))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, input: A) -> Result<Option<Value>, A::Error> {
        let (tag, value) = input.variant::<String>()?;
        self.0.fault(format!("has the tag `!{tag}`; tags mean nothing here"));
        value.newtype_variant::<IgnoredAny>()?;
        Ok(None)
    }
}

impl Node<'_> {
    /// Reports an empty value, unless it has another fault.
    fn missing(&mut self, reported: usize) {
        if self.0.faults.len() == reported {
            self.0.fault("has no value; give it one or leave it out");
        }
    }
}

/// Reads a key; the inner error is for a key that is not a text.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Result<String, ()>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Result<String, ()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Ok(key.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Err(()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Err(()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
        while input.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
        while input.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Err(()))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, input: A) -> Result<Self::Value, A::Error> {
        let (_, value) = input.variant::<IgnoredAny>()?;
        value.newtype_variant::<IgnoredAny>()?;
        Ok(Err(()))
    }
}

#[cfg(test)]
mod tests;
