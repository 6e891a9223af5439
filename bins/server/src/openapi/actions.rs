//! The document that a custom GPT imports, derived from the whole document and the endpoint table.
//!
//! It stays within the limits of GPT Actions: 30 operations, descriptions of 300 characters (700 for a parameter),
//! responses of 100,000 characters, one https server, one security scheme, no header parameters.
//!
//! Reviews, policy reloads and the kill switch are not offered: people use them to oversee agents.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::endpoints;
use crate::http::endpoint::Gpt;

/// The server URL if none is configured; a reserved domain.
pub const PLACEHOLDER: &str = "https://life-agent.example.com";

/// The fields of an act's payload in its schema.
const PAYLOAD: &str = "/properties/payload/properties";

/// The value of every `max_chars` parameter.
const MAX_CHARS: u64 = 90_000;

/// The document for GPT Actions, with its fields in reading order.
#[derive(Debug, Serialize)]
pub struct Actions {
    openapi: &'static str,
    info: Value,
    servers: [Value; 1],
    paths: Map<String, Value>,
    components: Value,
    security: Value,
}

/// Derives the document from the whole document.
pub fn actions(document: &utoipa::openapi::OpenApi) -> Result<Actions, serde_json::Error> {
    Ok(derived(&serde_json::to_value(document)?))
}

/// ChatGPT rejects an address that is not https, so the placeholder replaces it.
fn derived(whole: &Value) -> Actions {
    let server = whole["servers"][0]["url"].as_str().filter(|url| url.starts_with("https://"));
    let schemas = whole["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let mut paths = Map::new();
    for (path, item) in whole["paths"].as_object().into_iter().flatten() {
        let operations = item.as_object().into_iter().flatten();
        let item: Map<_, _> = operations
            .filter_map(|(method, operation)| Some((method.clone(), offered(operation)?)))
            .collect();
        if !item.is_empty() {
            paths.insert(path.clone(), Value::Object(item));
        }
    }
    paths.values_mut().for_each(|item| simplify(item, &schemas));
    let mut schemas = used(&paths, &schemas);
    // ChatGPT sends only described fields, and this is the one payload field that the rules know.
    if let Some(payload) = schemas.get_mut("ActBody").and_then(|act| act.pointer_mut(PAYLOAD)) {
        payload["text"] = json!({"type": "string", "description": "The fact, for `remember`."});
    }
    Actions {
        openapi: "3.1.0",
        info: json!({
            "title": "life-agent",
            "description": "Agents with a life of their own: turns for deeds, state for questions. Each step \
                            passes the gates of a policy, is decided by dice and rules, and is recorded.",
            "version": whole["info"]["version"],
        }),
        servers: [json!({ "url": server.unwrap_or(PLACEHOLDER) })],
        components: json!({
            "schemas": schemas,
            // Only one: ChatGPT rejects a choice of schemes. In its settings: API key, custom header `X-API-Key`.
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        }),
        paths,
        security: json!([{"api_key": []}]),
    }
}

/// An operation as a GPT sees it, if the GPT may call it.
fn offered(operation: &Value) -> Option<Value> {
    let id = operation["operationId"].as_str()?;
    let gpt = endpoints::named(id)?.gpt?;
    let mut seen = json!({
        "operationId": id,
        "summary": operation["summary"],
        "description": gpt.when,
        "x-openai-isConsequential": gpt.consequential,
        "responses": responses(&operation["responses"]),
    });
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = parameters
        .filter(|parameter| parameter["in"] != "header" && parameter["in"] != "cookie")
        .map(|parameter| bounded(gpt, parameter.clone()))
        .collect();
    if !parameters.is_empty() {
        seen["parameters"] = parameters.into();
    }
    if let Some(body) = operation.get("requestBody") {
        seen["requestBody"] = body.clone();
    }
    Some(seen)
}

/// The success responses without their streamed form, and one response for all errors. 202 requires the header
/// `Prefer`, which a GPT cannot send.
fn responses(responses: &Value) -> Value {
    let mut kept = Map::new();
    for (status, response) in responses.as_object().into_iter().flatten() {
        if !status.starts_with('2') || status == "202" {
            continue;
        }
        let mut response = response.clone();
        if let Some(response) = response.as_object_mut() {
            response.remove("headers");
            response.remove("links");
        }
        if let Some(content) = response["content"].as_object_mut() {
            content.remove("text/event-stream");
        }
        kept.insert(status.clone(), response);
    }
    let error = json!({"schema": {"$ref": "#/components/schemas/Error"}});
    kept.insert(
        "default".to_owned(),
        json!({
            "description": "Denied or failed. Tell the user `error.message`, which states what to do next; \
                            do not try to work around it.",
            "content": {"application/json": error},
        }),
    );
    Value::Object(kept)
}

/// Makes `limit` small and required, because the service's default page is larger, and fixes `max_chars`.
fn bounded(gpt: Gpt, mut parameter: Value) -> Value {
    if parameter["name"] == "limit" {
        let most = gpt.max_limit;
        parameter["required"] = true.into();
        parameter["description"] = format!("Largest number of entries, 1 to {most}.").into();
        parameter["schema"] = json!({"type": "integer", "minimum": 1, "maximum": most});
    } else if parameter["name"] == "max_chars" {
        parameter["required"] = true.into();
        parameter["description"] = format!("Always {MAX_CHARS}.").into();
        parameter["schema"] = json!({"type": "integer", "enum": [MAX_CHARS], "default": MAX_CHARS});
    }
    parameter
}

/// Rewrites a schema for ChatGPT: `allOf` and `oneOf` of objects become one object, and every object has
/// `properties`, even if none are known.
fn simplify(value: &mut Value, schemas: &Map<String, Value>) {
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|item| simplify(item, schemas));
    }
    let Value::Object(map) = value else { return };
    map.iter_mut()
        .filter(|(key, _)| *key != "example" && *key != "examples")
        .for_each(|(_, inner)| simplify(inner, schemas));
    for (word, all_apply) in [("allOf", true), ("oneOf", false)] {
        if let Some(parts) = map.get(word).and_then(|parts| objects(parts, schemas)) {
            map.remove(word);
            merge(map, parts, all_apply);
        }
    }
    map.remove("propertyNames");
    let is_object = match map.get("type") {
        Some(Value::Array(types)) => types.contains(&"object".into()),
        other => other == Some(&"object".into()),
    };
    if is_object {
        map.entry("properties").or_insert_with(|| json!({}));
    }
}

/// The parts, if all are objects.
fn objects(parts: &Value, schemas: &Map<String, Value>) -> Option<Vec<Value>> {
    let resolved = |part: &Value| {
        let name = part["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let mut part = name.and_then(|name| schemas.get(name)).unwrap_or(part).clone();
        simplify(&mut part, schemas);
        (part["type"] == "object").then_some(part)
    };
    parts.as_array()?.iter().map(resolved).collect()
}

/// Merges objects into one with the properties of all. Required are the properties that every part requires, or, if
/// all parts apply, those that any part requires.
fn merge(map: &mut Map<String, Value>, parts: Vec<Value>, all_apply: bool) {
    let mut properties = Map::new();
    let mut required: Option<BTreeSet<String>> = None;
    for part in parts {
        let names = part["required"].as_array().into_iter().flatten();
        let needed: BTreeSet<_> =
            names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        required = Some(match required {
            None => needed,
            Some(before) if all_apply => &before | &needed,
            Some(before) => &before & &needed,
        });
        for (name, property) in part["properties"].as_object().cloned().unwrap_or_default() {
            match properties.get_mut(&name) {
                Some(known) => widen(known, &property),
                None => drop(properties.insert(name, property)),
            }
        }
    }
    map.insert("type".to_owned(), "object".into());
    map.insert("properties".to_owned(), properties.into());
    let required: Vec<_> = required.unwrap_or_default().into_iter().map(Value::from).collect();
    if !required.is_empty() {
        map.insert("required".to_owned(), required.into());
    }
}

/// Adds the values that the same property has in another part.
fn widen(known: &mut Value, other: &Value) {
    let values = known.get_mut("enum").and_then(Value::as_array_mut);
    if let (Some(values), Some(more)) = (values, other["enum"].as_array()) {
        values.extend(more.iter().cloned());
    }
}

/// The schemas that the operations need, simplified.
fn used(paths: &Map<String, Value>, schemas: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut wanted: Vec<String> = paths.values().flat_map(references).collect();
    while let Some(name) = wanted.pop() {
        let Some(schema) = schemas.get(&name).filter(|_| !kept.contains_key(&name)) else {
            continue;
        };
        let mut schema = schema.clone();
        simplify(&mut schema, schemas);
        wanted.extend(references(&schema));
        kept.insert(name, schema);
    }
    kept
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|reference| reference.rsplit('/').next()).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
