//! The JSON Schemas of tools, from the descriptions of their endpoints.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::http::describe::Description;

const COMPONENTS: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/$defs/";
const JSON: &str = "/content/application~1json/schema";

/// The schemas of the arguments and of the result.
pub(super) struct Schemas {
    pub(super) input: Value,
    pub(super) output: Option<Value>,
}

impl Schemas {
    /// The schemas of an endpoint: its body, or the parameters of its query; and its response.
    pub(super) fn of(description: Description) -> Result<Self, serde_json::Error> {
        let Description { parameters, body, responses, schemas, .. } = description;
        let mut known = BTreeMap::new();
        for (name, schema) in schemas {
            known.insert(name, serde_json::to_value(schema)?);
        }
        let input = match body {
            Some(body) => serde_json::to_value(body)?.pointer(JSON).cloned(),
            None => Some(of_parameters(&serde_json::to_value(parameters)?)),
        };
        let response = responses.into_iter().find(|(status, _)| *status == 200);
        let response = response.map(|(_, response)| serde_json::to_value(response)).transpose()?;
        let output = response.as_ref().and_then(|response| response.pointer(JSON)).cloned();
        Ok(Self {
            input: bundled(input.unwrap_or_else(|| json!({})), &known),
            output: output.map(|output| bundled(output, &known)),
        })
    }
}

/// An object with a property for each parameter of the path and the query.
fn of_parameters(parameters: &Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for parameter in parameters.as_array().into_iter().flatten() {
        let Some(name) = parameter["name"].as_str().filter(|_| parameter["in"] != "header") else {
            continue;
        };
        let mut schema = parameter["schema"].clone();
        if let (Some(schema), Some(text)) = (schema.as_object_mut(), parameter.get("description")) {
            schema.insert("description".to_owned(), text.clone());
        }
        properties.insert(name.to_owned(), schema);
        if parameter["required"] == true {
            required.push(name.to_owned());
        }
    }
    json!({"properties": properties, "required": required, "additionalProperties": false})
}

/// A schema with everything that it refers to, whose root is an object as MCP requires.
fn bundled(schema: Value, known: &BTreeMap<String, Value>) -> Value {
    let mut root = match schema["$ref"].as_str().and_then(|target| target.strip_prefix(COMPONENTS))
    {
        Some(name) => known.get(name).cloned().unwrap_or(schema),
        None => schema,
    };
    let mut found = BTreeMap::new();
    relocate(&mut root, known, &mut found);
    if let Some(root) = root.as_object_mut() {
        root.insert("type".to_owned(), "object".into());
        if !found.is_empty() {
            root.insert("$defs".to_owned(), found.into_iter().collect::<Map<_, _>>().into());
        }
    }
    root
}

/// Points references to `$defs`, and collects what they refer to.
fn relocate(
    schema: &mut Value,
    known: &BTreeMap<String, Value>,
    found: &mut BTreeMap<String, Value>,
) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, known, found)),
        Value::Object(fields) => {
            if let Some(target) = fields.get_mut("$ref")
                && let Some(name) = target.as_str().and_then(|to| to.strip_prefix(COMPONENTS))
            {
                let name = name.to_owned();
                *target = format!("{DEFINITIONS}{name}").into();
                if let (false, Some(definition)) = (found.contains_key(&name), known.get(&name)) {
                    let mut definition = definition.clone();
                    // Present before its own references are followed: a schema may refer to itself.
                    found.insert(name.clone(), Value::Null);
                    relocate(&mut definition, known, found);
                    found.insert(name, definition);
                }
            }
            fields.values_mut().for_each(|field| relocate(field, known, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_brings_what_it_refers_to() {
        let known = BTreeMap::from([
            ("A".to_owned(), json!({"properties": {"b": {"$ref": "#/components/schemas/B"}}})),
            ("B".to_owned(), json!({"items": {"$ref": "#/components/schemas/B"}})),
            ("C".to_owned(), json!({})),
        ]);
        let bundled = bundled(json!({"$ref": "#/components/schemas/A"}), &known);
        let expected = json!({
            "type": "object",
            "properties": {"b": {"$ref": "#/$defs/B"}},
            "$defs": {"B": {"items": {"$ref": "#/$defs/B"}}},
        });
        assert_eq!(bundled, expected);
    }
}
