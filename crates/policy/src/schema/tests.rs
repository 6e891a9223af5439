//! The schemas agree with the reader.

use serde_json::json;

use super::*;

/// Every object schema, with its path in the schema.
fn objects<'v>(schema: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
    if schema.get("properties").is_some() {
        found.push((path.to_owned(), schema));
    }
    match schema {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| objects(value, &format!("{path}/{key}"), found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, path, found)),
        _ => {}
    }
}

/// Whether the schema contains each key of a document, as an editor looks it up.
fn knows(root: &Value, schema: &Value, document: &Value, path: &str) {
    let schema = match schema.pointer("/allOf/0/$ref").or(schema.get("$ref")) {
        Some(reference) => root.pointer(&reference.as_str().unwrap()[1..]).unwrap(),
        None => schema,
    };
    match document {
        Value::Object(map) => {
            for (key, value) in map {
                let known = schema.pointer(&format!("/properties/{key}"));
                let any = schema.get("additionalProperties").filter(|any| any.is_object());
                let inner = known.or(any).unwrap_or_else(|| panic!("{path}.{key} is unknown"));
                knows(root, inner, value, &format!("{path}.{key}"));
            }
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(map.contains_key(key.as_str().unwrap()), "{path} lacks {key}");
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| knows(root, &schema["items"], item, path));
        }
        _ => {}
    }
}

#[test]
fn unknown_keys_are_faults_for_editors_too() {
    for schema in [policy_schema(), profile_schema()] {
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        let mut found = Vec::new();
        objects(&schema, "", &mut found);
        assert!(found.len() >= 4);
        for (path, object) in found {
            assert_eq!(object["additionalProperties"], false, "{path}");
            for (key, property) in object["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{path}/{key} says nothing");
                assert_ne!(property.get("default"), Some(&Value::Null), "{path}/{key}");
            }
        }
    }
}

#[test]
fn ranges_and_required_keys_are_in_the_schema() {
    let policy = policy_schema();
    assert_eq!(policy["required"], json!(["version", "allowed_dirs"]));
    assert_eq!(policy["properties"]["version"]["const"], "1");
    assert_eq!(policy["properties"]["allowed_dirs"]["minItems"], 1);
    assert_eq!(policy["properties"]["max_diff_lines"]["maximum"], 5000);
    assert_eq!(policy["definitions"]["Llm"]["properties"]["temperature"]["maximum"], 1.0);
    assert_eq!(policy["definitions"]["Rule"]["required"], json!(["id", "match", "effect"]));
    let profile = profile_schema();
    let difficulty = &profile["definitions"]["Action"]["properties"]["difficulty"];
    assert_eq!((&difficulty["minimum"], &difficulty["maximum"]), (&json!(1), &json!(25)));
}

#[test]
fn the_shipped_files_are_what_the_schemas_describe() {
    let policies = [
        include_str!("../../../../policy/policy.yaml"),
        include_str!("../../../../policies/valid.yaml"),
    ];
    for text in policies {
        knows(&policy_schema(), &policy_schema(), &serde_yaml::from_str(text).unwrap(), "");
    }
    let profile = serde_yaml::from_str(crate::profile::BUILT_IN_PROFILE).unwrap();
    knows(&profile_schema(), &profile_schema(), &profile, "");
    for text in policies.into_iter().chain([
        include_str!("../../../../policies/invalid.yaml"),
        crate::profile::BUILT_IN_PROFILE,
    ]) {
        assert!(
            text.starts_with("# yaml-language-server: $schema=./")
                || text.starts_with("# yaml-language-server: $schema=../policy/policy.schema.json")
        );
    }
}
