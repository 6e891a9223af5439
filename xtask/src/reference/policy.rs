//! The keys of a policy as tables, one per section, from the JSON Schema of the policy.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The sections, with every key below them.
pub(super) fn tables(schema: &Value) -> String {
    let walk = Walk { schema };
    let mut text = String::new();
    for (name, section) in properties(schema) {
        let section_type = walk.type_of(section);
        let description = sentence(section);
        let _ = write!(text, "\n## `{name}`\n\n{description} Type: {section_type}.");
        let default = default_of(section);
        let mut rows = String::new();
        walk.below(section, "", &mut rows);
        if rows.is_empty() {
            let shown =
                if default.is_empty() { String::new() } else { format!(" Default: {default}.") };
            let _ = writeln!(text, "{shown}");
        } else {
            let head = "| key | type | default | meaning |\n| --- | --- | --- | --- |";
            let _ = write!(text, "\n\n{head}\n{rows}");
        }
    }
    text + "\n"
}

struct Walk<'a> {
    schema: &'a Value,
}

impl<'a> Walk<'a> {
    /// The schema itself, or the definition that it refers to.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        let name = reference.and_then(|path| path.strip_prefix("#/definitions/"));
        name.map_or(schema, |name| &self.schema["definitions"][name])
    }

    /// Adds a row for each key below `schema`, with its path.
    fn below(&self, schema: &'a Value, path: &str, rows: &mut String) {
        let schema = self.resolved(schema);
        if let Some(choices) = schema["anyOf"].as_array() {
            // A short and a long form: the long form comes last and has the keys of both.
            if let Some(last) = choices.last() {
                self.below(last, path, rows);
            }
        }
        for (name, property) in properties(schema) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let required = schema["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|required| required.as_str() == Some(name)));
            let default = if required { "required".to_owned() } else { default_of(property) };
            let (kind, meaning) = (self.type_of(property), sentence(property));
            let _ = writeln!(rows, "| `{path}` | {kind} | {default} | {meaning} |");
            self.below(property, &path, rows);
        }
        if schema["items"].is_object() {
            let path = if path.is_empty() { String::new() } else { format!("{path}[]") };
            self.below(&schema["items"], &path, rows);
        }
        if schema["additionalProperties"].is_object() {
            let path = if path.is_empty() { "NAME".to_owned() } else { format!("{path}.NAME") };
            self.below(&schema["additionalProperties"], &path, rows);
        }
    }

    /// The type in words, with the values of an enumeration.
    fn type_of(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        let choices = schema["enum"].as_array().into_iter().flatten();
        let choices: Vec<_> = choices
            .chain(
                schema["oneOf"].as_array().into_iter().flatten().filter_map(|one| one.get("const")),
            )
            .chain(schema.get("const"))
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        if !choices.is_empty() {
            return choices.join(", ");
        }
        if let Some(forms) = schema["anyOf"].as_array() {
            let forms: Vec<_> = forms.iter().map(|form| self.type_of(form)).collect();
            return forms.join(", or ");
        }
        let name = match &schema["type"] {
            Value::Array(names) => names.first().and_then(Value::as_str).unwrap_or_default(),
            name => name.as_str().unwrap_or_default(),
        };
        match name {
            "array" => match self.type_of(&schema["items"]).as_str() {
                "map" => "list of maps".to_owned(),
                "text" => "list of texts".to_owned(),
                other => format!("list of {other}"),
            },
            "object" => "map".to_owned(),
            "string" => "text".to_owned(),
            "integer" | "number" => bounded(schema, name),
            "boolean" => "`true`, `false`".to_owned(),
            other => other.to_owned(),
        }
    }
}

/// A number with its bounds.
fn bounded(schema: &Value, name: &str) -> String {
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(low), Some(high)) => format!("{name}, {low} to {high}"),
        (Some(low), None) => format!("{name} from {low}"),
        _ => name.to_owned(),
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

/// The default of a scalar or a list; keys of maps have rows with defaults of their own.
fn default_of(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null | Value::Object(_) => String::new(),
        value => format!("`{value}`"),
    }
}

/// The description on one line.
fn sentence(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_name_every_key_of_the_schema() {
        let schema = life_agent_policy::schema::policy_schema();
        let text = tables(&schema);
        for definition in schema["definitions"].as_object().unwrap().values() {
            for (name, _) in properties(definition) {
                let named = [format!("`{name}`"), format!(".{name}`"), format!("{name}`")];
                assert!(named.iter().any(|name| text.contains(name)), "{name}");
            }
        }
        for row in [
            "| `mode` | `enforce`, `observe` | `\"enforce\"` |",
            "| `id` | text | required |",
            "| `patterns[].pattern` | text | required |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
    }
}
