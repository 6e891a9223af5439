//! A JSON object whose fields keep their order and their bytes: what a gateway does not look at passes unchanged.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An object as it was written.
#[derive(Debug, Clone, Default)]
pub struct RawObject(Vec<(String, Box<RawValue>)>);

impl RawObject {
    /// The object in this text; `None` if it is anything else.
    pub fn read(text: &str) -> Option<Self> {
        // Serde reads a map from nothing but an object.
        serde_json::from_str(text).ok()
    }

    /// A field as it was written.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_ref())
    }

    /// A field that is itself an object.
    pub fn object(&self, name: &str) -> Option<RawObject> {
        Self::read(self.get(name)?.get())
    }

    /// A field of another type.
    pub fn value<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Replaces a field, or adds it at the end.
    pub fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(field, _)| field == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Keeps the fields with these names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as JSON text.
    ///
    /// # Errors
    /// None in practice: texts and raw values can always be written.
    pub fn raw(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(self)
    }
}

impl Serialize for RawObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without duplicate fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    // Two readers could see two different values.
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("duplicate field `{name}`")));
                    }
                    fields.push((name, value));
                }
                Ok(RawObject(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_keeps_its_bytes() {
        let text = r#"{"z": 1.50, "a":{"y":[ ]},"m":"\u0041"}"#;
        let mut object = RawObject::read(text).unwrap();
        assert_eq!(object.raw().unwrap().get(), r#"{"z":1.50,"a":{"y":[ ]},"m":"\u0041"}"#);
        assert_eq!(object.value::<String>("m").as_deref(), Some("A"));
        object.set("a", RawValue::from_string("2".to_owned()).unwrap());
        object.set("new", RawValue::from_string("3".to_owned()).unwrap());
        object.retain(|name| name != "m");
        assert_eq!(object.raw().unwrap().get(), r#"{"z":1.50,"a":2,"new":3}"#);
    }

    #[test]
    fn only_an_object_without_duplicates_is_read() {
        for text in ["[]", "1", "null", "", r#"{"a":1,"a":2}"#, "{"] {
            assert!(RawObject::read(text).is_none(), "{text}");
        }
    }
}
