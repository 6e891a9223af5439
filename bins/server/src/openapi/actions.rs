//! The part of the document that a custom GPT imports: derived from the whole one by rules, never by hand.
//!
//! The limits are those of GPT Actions: 30 operations, descriptions of 300 characters (700 for a
//! parameter), answers of 100,000, one https server, one way to send the key, no header parameters.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Stands where nobody has said under which address the service is reached; reserved, so nobody's.
pub const PLACEHOLDER: &str = "https://life-agent.example.com";

/// The fields of an act's payload in its schema.
const PAYLOAD: &str = "/properties/payload/properties";

/// An operation that a GPT may call.
struct Offered {
    id: &'static str,
    /// Whether it acts, so that the user is asked each time; what reads or drafts does not.
    acts: bool,
    /// When to call it, told to a model.
    when: &'static str,
}

const fn reads(id: &'static str, when: &'static str) -> Offered {
    Offered { id, acts: false, when }
}

const fn acts(id: &'static str, when: &'static str) -> Offered {
    Offered { id, acts: true, when }
}

/// What a GPT is offered. What people oversee agents with (reviews, policy reloads, the kill switch) is
/// left to people, and another model behind the model is of no use to it.
const OFFERED: &[Offered] = &[
    acts(
        "turn",
        "Call it for every deed, attempt or wish of the user, in their own words and language. The rules \
         roll the dice: tell `response`, `turn.outcome` and `turn.deltas` as they are and never decide \
         an outcome yourself.",
    ),
    acts(
        "act",
        "Call it when the user names one action exactly, such as `rest` or `explore`, or wants a fact kept: \
         `remember` with its `text` in `payload`. For free text call `turn`. The answer says what it cost and \
         gained.",
    ),
    reads(
        "state",
        "Call it for questions about how an agent is: vitals, its last turns, how often it did what. It changes \
         nothing. With `agent_id` you get that agent, without it the list of all agents.",
    ),
    reads(
        "memory",
        "Call it for what an agent keeps in mind: facts that it was told to remember. Look for words with \
         `q`, or leave it out for all facts. It changes nothing.",
    ),
    reads(
        "check",
        "Call it to learn whether a call would be allowed, without making it. Give `kind` and the fields \
         that a call of this kind takes, no others.",
    ),
    reads(
        "plan",
        "Call it to draft a change of files as a patch. Nothing is changed: a person reviews the draft. \
         Give `intent`, and `edits` or `target_paths`.",
    ),
    reads("plans", "Call it to list drafted changes, newest first."),
    reads(
        "plan_view",
        "Call it for one drafted change: its checks, its review, whether it is stale.",
    ),
    reads(
        "plan_patch",
        "Call it to show the diff of a drafted change. One that is too long is refused; people read it in \
         the dashboard.",
    ),
    reads(
        "journal",
        "Call it for what happened, in order. Filter by `agent_id` and `kind`, such as `obs.turn` or \
         `gate.denied`. Go on with `next` as `after`. Records in `left_out` are too long to be shown.",
    ),
    reads("journal_head", "Call it for the number and hash of the last record."),
    reads("meta", "Call it for the version, the uptime and the policy in force."),
    reads("policy", "Call it to explain what is allowed and why a call was refused."),
    reads(
        "validate_policy",
        "Call it to find the faults of a policy in `text`. It changes nothing.",
    ),
    reads(
        "kill_switch",
        "Call it when calls are refused with `kill_switch`, to tell since when and why.",
    ),
    reads("llm_status", "Call it to learn whether a language model is set up behind the service."),
];

/// The largest `limit` of each list, so that an answer stays under 100,000 characters: a plan has up to
/// 1,024 of intent, which JSON may write with six each, a fact up to 240, an agent's name up to 64. The
/// journal's rows have no such bound, so its pages end at `MAX_CHARS`.
const LIMITS: &[(&str, u64)] = &[("journal", 50), ("memory", 64), ("plans", 15), ("state", 200)];
/// For lists that are not in the table.
const USUAL_LIMIT: u64 = 20;
/// What `max_chars` is, wherever a call has it.
const MAX_CHARS: u64 = 90_000;

/// The document for GPT Actions, in the order in which people read it.
#[derive(Debug, Serialize)]
pub struct Actions {
    openapi: &'static str,
    info: Value,
    servers: [Value; 1],
    paths: Map<String, Value>,
    components: Value,
    security: Value,
}

/// Derives it from the whole document.
pub fn actions(document: &utoipa::openapi::OpenApi) -> Result<Actions, serde_json::Error> {
    Ok(derived(&serde_json::to_value(document)?))
}

/// An address that is not https would be refused by ChatGPT, so the placeholder stands for it.
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
    // ChatGPT sends no field that is not described, and of a payload's the rules know this one.
    if let Some(payload) = schemas.get_mut("ActBody").and_then(|act| act.pointer_mut(PAYLOAD)) {
        payload["text"] = json!({"type": "string", "description": "The fact, for `remember`."});
    }
    Actions {
        openapi: "3.1.0",
        info: json!({
            "title": "life-agent",
            "description": "Agents with a life of their own: turns for deeds, state for questions. Each step \
                            passes the gates of a policy, is settled by dice and rules, and is on the record.",
            "version": whole["info"]["version"],
        }),
        servers: [json!({ "url": server.unwrap_or(PLACEHOLDER) })],
        components: json!({
            "schemas": schemas,
            // One way only: ChatGPT takes no choice of schemes. There: API key, auth type Bearer.
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        }),
        paths,
        security: json!([{"bearer": []}]),
    }
}

/// An operation as a GPT sees it, if it is one that it may call.
fn offered(operation: &Value) -> Option<Value> {
    let id = operation["operationId"].as_str()?;
    let Offered { acts, when, .. } = OFFERED.iter().find(|offered| offered.id == id)?;
    let mut seen = json!({
        "operationId": id,
        "summary": operation["summary"],
        "description": when,
        "x-openai-isConsequential": acts,
        "responses": answers(&operation["responses"]),
    });
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = parameters
        .filter(|parameter| parameter["in"] != "header" && parameter["in"] != "cookie")
        .map(|parameter| bounded(id, parameter.clone()))
        .collect();
    if !parameters.is_empty() {
        seen["parameters"] = parameters.into();
    }
    if let Some(body) = operation.get("requestBody") {
        seen["requestBody"] = body.clone();
    }
    Some(seen)
}

/// Success, without its streamed form, and one shape for everything else. 202 is what only the header
/// `Prefer` leads to, which a GPT cannot send.
fn answers(responses: &Value) -> Value {
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
            "description": "Refused or failed. Tell the user `error.message`, which says what to do next; \
                            do not try to get around it.",
            "content": {"application/json": error},
        }),
    );
    Value::Object(kept)
}

/// `limit` becomes small, and required, since without it the service would choose a larger page; so does
/// `max_chars`, which leaves no choice.
fn bounded(id: &str, mut parameter: Value) -> Value {
    if parameter["name"] == "limit" {
        let most = LIMITS.iter().find(|(of, _)| *of == id).map_or(USUAL_LIMIT, |(_, most)| *most);
        parameter["required"] = true.into();
        parameter["description"] = format!("At most so many of a list, 1 to {most}.").into();
        parameter["schema"] = json!({"type": "integer", "minimum": 1, "maximum": most});
    } else if parameter["name"] == "max_chars" {
        parameter["required"] = true.into();
        parameter["description"] = format!("Always {MAX_CHARS}.").into();
        parameter["schema"] = json!({"type": "integer", "enum": [MAX_CHARS], "default": MAX_CHARS});
    }
    parameter
}

/// Makes each schema one that ChatGPT reads: parts and choices of objects become one object, and every
/// object says its properties, even if it has none that are known.
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

/// The parts, if all of them are objects.
fn objects(parts: &Value, schemas: &Map<String, Value>) -> Option<Vec<Value>> {
    let resolved = |part: &Value| {
        let name = part["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let mut part = name.and_then(|name| schemas.get(name)).unwrap_or(part).clone();
        simplify(&mut part, schemas);
        (part["type"] == "object").then_some(part)
    };
    parts.as_array()?.iter().map(resolved).collect()
}

/// One object of many. What any of them has, it may have; it must have what all of them need, or, where
/// all apply, what any of them needs.
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

/// Adds the values that the same property has elsewhere.
fn widen(known: &mut Value, other: &Value) {
    if let (Some(values), Some(more)) = (known["enum"].as_array_mut(), other["enum"].as_array()) {
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
