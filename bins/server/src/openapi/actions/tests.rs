//! The limits of GPT Actions.

use super::*;
use crate::openapi::document;

fn document_of(server_url: Option<&str>) -> Value {
    serde_json::to_value(actions(&document(server_url)).unwrap()).unwrap()
}

fn operations(document: &Value) -> Vec<&Value> {
    let items = document["paths"].as_object().unwrap().values();
    items.flat_map(|item| item.as_object().unwrap().values()).collect()
}

/// Every object in the document, with where it is.
fn each<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(at, map);
            map.iter()
                .filter(|(key, _)| *key != "example")
                .for_each(|(key, inner)| each(inner, &format!("{at}/{key}"), visit));
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, at, visit)),
        _ => {}
    }
}

fn length(value: &Value) -> usize {
    value.as_str().unwrap_or_default().chars().count()
}

#[test]
fn it_has_at_most_30_operations_with_short_ids_and_descriptions() {
    let document = document_of(None);
    let operations = operations(&document);
    assert!((10..=30).contains(&operations.len()), "{}", operations.len());
    let mut ids = BTreeSet::new();
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "`{id}` twice");
        assert!(id.len() <= 64, "{id}");
        for part in ["summary", "description"] {
            assert!((1..=300).contains(&length(&operation[part])), "{part} of {id}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!((1..=700).contains(&length(&parameter["description"])), "{parameter} of {id}");
            assert!(["query", "path"].contains(&parameter["in"].as_str().unwrap()), "{parameter}");
        }
    }
    each(&document, "", &mut |at, map| {
        let description = map.get("description").filter(|text| text.is_string());
        let most = if at.starts_with("/components") { 700 } else { 300 };
        assert!(description.is_none_or(|text| length(text) <= most), "{at}: {description:?}");
    });
}

#[test]
fn it_is_3_1_0_with_one_absolute_https_server_and_the_key_in_a_header() {
    for (given, expected) in [
        (None, PLACEHOLDER),
        (Some("https://agent.example/base"), "https://agent.example/base"),
        (Some("http://agent.example"), PLACEHOLDER),
    ] {
        let document = document_of(given);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"], json!([{ "url": expected }]));
        let scheme = json!({"type": "apiKey", "in": "header", "name": "X-API-Key"});
        assert_eq!(document["components"]["securitySchemes"], json!({ "api_key": scheme }));
        assert_eq!(document["security"], json!([{"api_key": []}]));
    }
}

#[test]
fn every_object_schema_has_properties_and_every_reference_leads_somewhere() {
    let document = document_of(None);
    let schemas = &document["components"]["schemas"];
    let mut objects = 0;
    each(&document, "", &mut |at, map| {
        let types = map.get("type").map(ToString::to_string).unwrap_or_default();
        if types.contains("\"object\"") {
            objects += 1;
            assert!(map.get("properties").is_some_and(Value::is_object), "{at}: {map:?}");
        }
        if let Some(reference) = map.get("$ref") {
            let name = reference.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas[name].is_object(), "{at}: {name}");
        }
        assert!(!map.contains_key("allOf"), "{at}");
        assert!(map.get("enum").is_none_or(Value::is_array), "{at}: an `enum` that is no list");
    });
    assert!(objects > 20, "{objects}");
    for name in schemas.as_object().unwrap().keys() {
        let reference = format!("#/components/schemas/{name}\"");
        assert!(document.to_string().contains(&reference), "nothing needs `{name}`");
    }
}

#[test]
fn what_acts_is_consequential_and_what_reads_or_drafts_is_not() {
    let document = document_of(None);
    for operation in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let acts = ["act", "turn"].contains(&id);
        assert_eq!(operation["x-openai-isConsequential"], acts, "{id}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            assert!(["get", "post"].contains(&method.as_str()), "{method} {path}");
        }
    }
    for left_to_people in ["/kill-switch/post", "/policy/reload", "/plans/{id}/review"] {
        let pointer = left_to_people.replace("/kill-switch/post", "/kill-switch");
        let item = &document["paths"][&pointer];
        assert!(item.get("post").is_none(), "{left_to_people}");
    }
}

#[test]
fn every_list_has_a_small_limit_that_must_be_given() {
    let document = document_of(None);
    let mut lists = 0;
    for operation in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["name"] == "limit" {
                lists += 1;
                assert_eq!(parameter["required"], true, "{operation}");
                assert!(parameter["schema"]["maximum"].as_u64().unwrap() <= 200, "{operation}");
            }
        }
    }
    assert!(lists >= 4, "{lists}");
}

#[test]
fn what_can_be_long_is_bounded_in_characters() {
    let document = document_of(None);
    let bounded: Vec<_> = operations(&document)
        .into_iter()
        .filter_map(|operation| {
            let parameters = operation["parameters"].as_array()?;
            let bound = parameters.iter().find(|parameter| parameter["name"] == "max_chars")?;
            assert_eq!(bound["required"], true);
            assert_eq!(bound["schema"]["enum"], json!([90_000]));
            operation["operationId"].as_str()
        })
        .collect();
    assert_eq!(bounded, ["journal", "plan_patch"]);
}

#[test]
fn a_gpt_can_have_facts_remembered() {
    let document = document_of(None);
    let payload = &document["components"]["schemas"]["ActBody"]["properties"]["payload"];
    assert_eq!(payload["properties"]["text"]["type"], "string", "{payload}");
}

#[test]
fn what_the_whole_document_may_gain_does_not_get_in() {
    let mut whole = serde_json::to_value(document(None)).unwrap();
    let turn = &mut whole["paths"]["/turn"]["post"];
    let header = json!({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}});
    let mut parameters = turn["parameters"].as_array().cloned().unwrap_or_default();
    parameters.push(header);
    turn["parameters"] = parameters.into();
    turn["responses"]["200"]["content"]["text/event-stream"] =
        json!({"schema": {"type": "string"}});
    let removal = json!({"operationId": "remove_turn", "summary": "x", "responses": {"204": {"description": "x"}}});
    whole["paths"]["/turns/{id}"] = json!({ "delete": removal });
    let gained = serde_json::to_value(derived(&whole)).unwrap();
    let text = gained.to_string();
    for absent in ["Idempotency-Key", "Prefer", "\"202\"", "text/event-stream", "remove_turn"] {
        assert!(!text.contains(absent), "{absent}");
    }
    assert_eq!(operations(&gained).len(), operations(&document_of(None)).len());
}

#[test]
fn parts_and_choices_of_objects_become_one_object() {
    let schemas = json!({
        "Base": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
    });
    let simplified = |mut schema: Value| {
        simplify(&mut schema, schemas.as_object().unwrap());
        schema
    };
    let all = simplified(json!({"allOf": [
        {"$ref": "#/components/schemas/Base"},
        {"type": "object", "required": ["b"], "properties": {"b": {"type": "object"}}},
    ]}));
    assert_eq!(all["required"], json!(["a", "b"]));
    assert_eq!(all["properties"]["b"], json!({"type": "object", "properties": {}}));
    let op = |name: &str, more: &str| {
        json!({"type": "object", "required": ["op", more],
               "properties": {"op": {"type": "string", "enum": [name]}, more: {"type": "string"}}})
    };
    let one = simplified(json!({"oneOf": [op("create", "content"), op("delete", "path")]}));
    assert_eq!(one["required"], json!(["op"]));
    assert_eq!(one["properties"]["op"]["enum"], json!(["create", "delete"]));
    let nullable = json!({"oneOf": [{"$ref": "#/components/schemas/Base"}, {"type": "null"}]});
    assert_eq!(simplified(nullable.clone()), nullable);
}
