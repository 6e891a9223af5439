//! The OpenAPI document and the service agree: real answers have the shapes that it describes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::{test, web};
use life_agent_engine::domain::governance::principal::Scopes;
use life_agent_engine::{Config, Engine};
use life_agent_observer_sqlite::Sqlite;
use life_agent_server::app::create_app;
use life_agent_server::auth::keys::Keys;
use life_agent_server::http::in_flight::InFlight;
use life_agent_server::http::large::LargeRequests;
use life_agent_server::routes::turns::RENDERER;
use life_agent_server::settings::NamedKey;
use life_agent_server::state::AppState;
use life_agent_server::telemetry::metrics;
use life_agent_server::{endpoints, openapi};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Calls that are made one after the other: method, path, the path in the document, body, status.
fn calls(plan: &str) -> Vec<(Method, String, &'static str, Value, u16)> {
    let post = |path: &'static str, body: Value, status| {
        (Method::POST, path.to_owned(), path, body, status)
    };
    let get = |path: &str, described: &'static str| {
        (Method::GET, path.to_owned(), described, Value::Null, 200)
    };
    vec![
        get("/healthz", "/healthz"),
        get("/readyz", "/readyz"),
        post("/act", json!({"agent_id": "a", "action": "rest", "payload": {"x": [1]}}), 200),
        post("/turn", json!({"agent_id": "a", "input": "explore the gate"}), 200),
        post("/turn", json!({"agent_id": "a", "input": "run rm -rf / please"}), 422),
        post("/turn", json!({"agent_id": "a b"}), 422),
        post(
            "/check",
            json!({"kind": "turn", "agent_id": "a", "input": "run rm -rf / please"}),
            200,
        ),
        post("/check", json!({"kind": "act", "agent_id": "a", "action": "rest"}), 200),
        post(
            "/plan",
            json!({"intent": "i", "edits": [{"path": "plans/x", "op": "create", "content": "x\n"}]}),
            200,
        ),
        post("/plan", json!({"intent": "i", "target_paths": ["../x"]}), 403),
        get("/plans", "/plans"),
        get(&format!("/plans/{plan}"), "/plans/{id}"),
        get("/state?agent_id=a", "/state"),
        get("/state", "/state"),
        get("/journal?kind=obs.*", "/journal"),
        get("/meta", "/meta"),
        get("/policy", "/policy"),
        post("/policy/validate", json!({}), 200),
        post("/policy/reload", json!({"path": "/etc/passwd.yaml"}), 403),
        get("/kill-switch", "/kill-switch"),
        post("/kill-switch", json!({"on": true, "reason": "r"}), 200),
        get("/llm/status", "/llm/status"),
        post("/llm/chat", json!({"messages": [{"role": "user", "content": "x"}]}), 503),
    ]
}

#[actix_web::test]
async fn real_answers_have_the_shapes_that_the_document_describes() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path()).await;
    let app = test::init_service(create_app(state.clone())).await;
    let document = serde_json::to_value(openapi::document(None)).unwrap();
    let mut plan = String::new();
    for index in 0..calls("").len() {
        let (method, path, described, body, status) = calls(&plan).swap_remove(index);
        let mut request = test::TestRequest::with_uri(&path)
            .method(method.clone())
            .insert_header(("X-API-Key", "k"));
        if !body.is_null() {
            request = request.set_json(&body);
        }
        let response: ServiceResponse<_> = test::call_service(&app, request.to_request()).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        let answer: Value = test::read_body_json(response).await;
        if described == "/plan" && status == 200 {
            plan = answer["id"].as_str().unwrap().to_owned();
        }
        let operation = &document["paths"][described][method.as_str().to_lowercase()];
        let schema = &operation["responses"][status.to_string()]["content"]["application/json"];
        let schema =
            schema.get("schema").unwrap_or_else(|| panic!("{path} {status} is not described"));
        if let Err(why) = fits(&document, schema, &answer) {
            panic!("{method} {path}: {why} in {answer}");
        }
    }
    state.stopping.cancel();
    state.engine.close().await.unwrap();
}

#[actix_web::test]
async fn queued_turns_have_the_shapes_that_the_document_describes() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path()).await;
    let app = test::init_service(create_app(state.clone())).await;
    let document = serde_json::to_value(openapi::document(None)).unwrap();
    let with_key = |request: test::TestRequest| request.insert_header(("X-API-Key", "k"));
    let check = |operation: &str, status: u16, answer: &Value| {
        let schema = format!("{operation}/responses/{status}/content/application~1json/schema");
        let schema = document.pointer(&schema).unwrap_or_else(|| panic!("no {schema}"));
        fits(&document, schema, answer).unwrap_or_else(|why| panic!("{why} in {answer}"));
    };
    // Nothing is taken, so that turns wait.
    state.engine.start_queue(RENDERER).await.unwrap();
    state.engine.hold_queue();
    let queue = || async {
        let request = with_key(test::TestRequest::post().uri("/turn"));
        let body = json!({"agent_id": "a", "input": "explore the gate"});
        let request = request.insert_header(("Prefer", "respond-async")).set_json(body);
        let response = test::call_service(&app, request.to_request()).await;
        assert_eq!(response.status().as_u16(), 202);
        let answer: Value = test::read_body_json(response).await;
        check("/paths/~1turn/post", 202, &answer);
        format!("/turns/{}", answer["id"].as_str().unwrap())
    };
    let (taken, cancelled) = (queue().await, queue().await);
    let request = with_key(test::TestRequest::delete().uri(&cancelled)).to_request();
    let answer: Value = test::call_and_read_body_json(&app, request).await;
    assert_eq!(answer["status"], "cancelled");
    check("/paths/~1turns~1{id}/delete", 200, &answer);
    state.engine.close().await.unwrap();

    let state = self::state(dir.path()).await;
    let app = test::init_service(create_app(state.clone())).await;
    let mut rows = state.engine.journal().follow(None, Default::default());
    state.engine.start_queue(RENDERER).await.unwrap();
    rows.next_batch(1).await.unwrap();
    let request = with_key(test::TestRequest::get().uri(&taken)).to_request();
    let answer: Value = test::call_and_read_body_json(&app, request).await;
    assert_eq!(answer["status"], "done");
    check("/paths/~1turns~1{id}/get", 200, &answer);
    state.stopping.cancel();
    state.engine.close().await.unwrap();
}

async fn state(dir: &Path) -> web::Data<AppState> {
    std::fs::create_dir_all(dir.join("plans")).unwrap();
    let config = Config { rate_limit_rps: 0, ..Config::below(dir) };
    let stopping = CancellationToken::new();
    web::Data::new(AppState {
        max_model_body: 1 << 20,
        engine: Engine::open(config, Sqlite::at(dir.join("agent.db"))).await.unwrap(),
        keys: Arc::new(
            Keys::new(
                &[NamedKey { name: "k".to_owned(), key: "k".into(), scopes: Scopes::all() }],
                0,
            )
            .unwrap(),
        ),
        rate_limit_rps: 0,
        new_agents_per_minute: 0,
        metrics: metrics::start(&stopping),
        openapi: openapi::documents(None),
        public_url: None,
        allowed_origins: Vec::new(),
        started: Instant::now(),
        stopping,
        in_flight: InFlight::new(64, endpoints::bounded_paths()),
        large: LargeRequests::start().unwrap(),
        backtesting: Arc::new(Semaphore::new(1)),
        verifying: Arc::new(Semaphore::new(1)),
    })
}

/// Whether a value is as a schema says: types, no key that is not described, none missing.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolved(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let tried: Vec<_> = choices.iter().map(|choice| fits(document, choice, value)).collect();
        return if tried.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{tried:?}")) };
    }
    type_fits(&schema, value)?;
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        return values.iter().try_for_each(|value| fits(document, items, value));
    }
    let Some(fields) = value.as_object() else { return Ok(()) };
    let (properties, required) = fields_of(document, &schema);
    if properties.is_empty() {
        return Ok(());
    }
    for (name, value) in fields {
        let property = properties.iter().find(|(known, _)| known == name);
        let (_, property) = property.ok_or_else(|| format!("`{name}` is not described"))?;
        fits(document, property, value).map_err(|why| format!("`{name}`: {why}"))?;
    }
    match required.iter().find(|name| !fields.contains_key(*name)) {
        Some(name) => Err(format!("`{name}` is missing")),
        None => Ok(()),
    }
}

fn type_fits(schema: &Value, value: &Value) -> Result<(), String> {
    let known: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) if known.contains(&"number") => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let listed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    if known.contains(&is) && listed { Ok(()) } else { Err(format!("{is} {value} for {schema}")) }
}

/// Properties and required keys, those of flattened parts included.
fn fields_of(document: &Value, schema: &Value) -> (Vec<(String, Value)>, Vec<String>) {
    let own = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut properties: Vec<_> = own.into_iter().collect();
    let names = schema["required"].as_array().cloned().unwrap_or_default();
    let mut required: Vec<_> = names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, needed) = fields_of(document, &resolved(document, part));
        properties.extend(more);
        required.extend(needed);
    }
    (properties, required)
}

fn resolved(document: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference}")).clone()
        }
        None => schema.clone(),
    }
}
