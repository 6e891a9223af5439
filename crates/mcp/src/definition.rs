//! Definitions of tools, in the canonical form that is pinned: name, title, description, schemas, annotations.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::object::RawObject;

/// The fields of a definition that a model reads or that a client relies on.
const FIELDS: [&str; 6] =
    ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];

/// A tool as its server describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    name: String,
    fields: Map<String, Value>,
}

/// A field in which two definitions differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The field.
    pub field: &'static str,
    /// Its pinned value; `null` if there was none.
    pub pinned: Value,
    /// Its present value; `null` if there is none.
    pub present: Value,
}

impl Definition {
    /// The definition in an item of `tools/list`; `None` without a name.
    pub fn of(tool: &RawObject) -> Option<Self> {
        Self::new(
            FIELDS
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), tool.value(name)?)))
                .collect(),
        )
    }

    /// A definition with these fields; others are ignored. `None` without a name.
    pub fn new(mut fields: Map<String, Value>) -> Option<Self> {
        fields.retain(|name, value| FIELDS.contains(&name.as_str()) && !value.is_null());
        let name = fields.get("name")?.as_str()?.to_owned();
        Some(Self { name, fields })
    }

    /// The tool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// SHA-256 of the canonical form, in lower-case hexadecimal.
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(canonical(&Value::Object(self.fields.clone())));
        digest.iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// The fields in which it differs from the pinned definition.
    pub fn changes(&self, pinned: &Definition) -> Vec<Change> {
        let value =
            |of: &Definition, field: &str| of.fields.get(field).cloned().unwrap_or_default();
        let change =
            |field| Change { field, pinned: value(pinned, field), present: value(self, field) };
        let differs = |change: &Change| canonical(&change.pinned) != canonical(&change.present);
        FIELDS.into_iter().map(change).filter(differs).collect()
    }

    /// Every text that a model reads: descriptions and titles, also of parameters.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        self.fields.values().for_each(|value| collect(value, &mut texts));
        texts
    }
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, texts)),
        _ => {}
    }
}

/// JSON without blanks, the fields of every object in the order of their names.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let field = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            };
            format!("{{{}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Definition {
        Definition::of(&RawObject::read(text).unwrap()).unwrap()
    }

    #[test]
    fn the_digest_covers_what_counts_in_any_order() {
        let one = of(r#"{"name":"a","description":"d","inputSchema":{"x":1,"y":[{"b":1,"a":2}]}}"#);
        let same = of(
            r#"{"inputSchema":{"y":[{"a":2,"b":1}],"x":1},"icons":[1],"name":"a","title":null,"description":"d"}"#,
        );
        assert_eq!(one.digest(), same.digest());
        assert_eq!(one.changes(&same), []);
        for other in [
            r#"{"name":"b","description":"d","inputSchema":{"x":1,"y":[{"b":1,"a":2}]}}"#,
            r#"{"name":"a","description":"D","inputSchema":{"x":1,"y":[{"b":1,"a":2}]}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"x":1,"y":[{"b":1,"a":3}]}}"#,
            r#"{"name":"a","title":"t","description":"d","inputSchema":{"x":1,"y":[{"b":1,"a":2}]}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"x":1,"y":[{"b":1,"a":2}]},"annotations":{}}"#,
        ] {
            let other = of(other);
            assert_ne!(one.digest(), other.digest());
            assert_eq!(other.changes(&one).len(), 1);
        }
    }

    #[test]
    fn a_change_names_both_values() {
        let (old, new) = (of(r#"{"name":"a","description":"d"}"#), of(r#"{"name":"a"}"#));
        let change = Change { field: "description", pinned: json!("d"), present: Value::Null };
        assert_eq!(new.changes(&old), [change]);
    }
}
