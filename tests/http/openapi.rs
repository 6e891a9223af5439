//! `GET /openapi.json`, `GET /docs`, `GET /`

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Answer, Setup, TestApp};

/// Endpoints that exist since the first version.
const CALLS: &[(&str, &str)] = &[
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("post", "/act"),
    ("post", "/turn"),
    ("get", "/state"),
    ("get", "/meta"),
    ("get", "/events"),
    ("get", "/journal"),
    ("get", "/metrics"),
    ("get", "/policy"),
    ("post", "/policy/validate"),
    ("post", "/policy/reload"),
    ("post", "/check"),
    ("post", "/plan"),
    ("get", "/plans"),
    ("get", "/plans/{id}"),
    ("post", "/llm/chat"),
    ("get", "/llm/status"),
    ("post", "/v1/chat/completions"),
    ("post", "/kill-switch"),
    ("get", "/kill-switch"),
];

async fn document(app: &TestApp) -> Value {
    Answer::of(app.bare(Method::GET, "/openapi.json")).await.ok()
}

fn operations(document: &Value) -> Vec<(String, String, &Map<String, Value>)> {
    let methods = ["get", "post", "put", "delete", "patch", "head", "options"];
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if methods.contains(&method.as_str()) {
                found.push((method.clone(), path.clone(), operation.as_object().unwrap()));
            }
        }
    }
    found
}

#[tokio::test]
async fn the_document_describes_every_endpoint() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["license"].is_object(), "{}", document["info"]);
    let described: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    for (method, path) in CALLS {
        assert!(described.contains(&((*method).to_owned(), (*path).to_owned())), "{method} {path}");
    }
}

#[tokio::test]
async fn every_operation_has_a_unique_id_an_example_and_its_errors() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let call = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{call}");
        assert!(Value::from(operation.clone()).to_string().contains("\"example"), "{call}");
        let responses = operation["responses"].as_object().unwrap();
        let open = [
            "/healthz",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/openapi-actions.json",
            "/docs",
            "/",
        ];
        if !open.contains(&path.as_str()) {
            assert!(responses.contains_key("401"), "{call}");
        }
        if operation.contains_key("requestBody") {
            for status in ["400", "413", "415", "422"] {
                assert!(responses.contains_key(status), "{call} {status}");
            }
        }
    }
}

#[tokio::test]
async fn both_ways_to_send_a_key_are_declared() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let declared = |wanted: Value| {
        schemes.values().any(|scheme| {
            wanted.as_object().unwrap().iter().all(|(key, value)| scheme.get(key) == Some(value))
        })
    };
    assert!(
        declared(json!({"type": "apiKey", "in": "header", "name": "X-API-Key"})),
        "{schemes:?}"
    );
    assert!(declared(json!({"type": "http", "scheme": "bearer"})), "{schemes:?}");
}

#[tokio::test]
async fn every_reference_in_the_document_resolves() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    found.insert(reference.clone());
                }
                map.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_examples_of_the_document_work() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut tried = 0;
    // A chat needs a model, an active kill switch would refuse later requests, and a path with a parameter needs an
    // existing object.
    let can_be_tried = |method: &str, path: &str| {
        let needs = ["/llm/chat", "/kill-switch"];
        let model = path.starts_with("/v1/");
        method == "post" && !model && !needs.contains(&path) && !path.contains('{')
    };
    for (method, path, operation) in operations(&document) {
        if !can_be_tried(&method, &path) {
            continue;
        }
        let body = operation.get("requestBody").unwrap_or(&Value::Null);
        let media = &body["content"]["application/json"];
        let named = media["examples"].as_object().into_iter().flat_map(Map::values);
        for example in named.map(|example| &example["value"]).chain(media.get("example")) {
            let answer = app.post(&path, example).await;
            assert!(answer.status < 300, "{path} {example}: {answer:?}");
            tried += 1;
        }
    }
    assert!(tried >= 5, "only {tried} examples");
}

#[tokio::test]
async fn the_public_address_is_listed_in_servers() {
    let app = Setup::new().set("PUBLIC_SERVER_URL", "https://agent.example").start().await;
    assert_eq!(document(&app).await["servers"][0]["url"], "https://agent.example");
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_other_hosts() {
    let app = TestApp::start().await;
    let answer = Answer::of(app.bare(Method::GET, "/docs")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("Content-Type").unwrap().starts_with("text/html"));
    let page = answer.text();
    let page_url = reqwest::Url::parse("http://x/docs").unwrap();
    let mut assets = 0;
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            let link = rest.split('"').next().unwrap();
            assert!(!link.contains("//"), "`{link}` is loaded from elsewhere");
            let url = page_url.join(link).unwrap();
            let path = url.path();
            let asset = Answer::of(app.bare(Method::GET, path)).await;
            assert_eq!(asset.status, 200, "{path}");
            assets += 1;
        }
    }
    assert!(assets >= 3, "{page}");
}

#[tokio::test]
async fn the_root_redirects_to_the_dashboard() {
    let app = TestApp::start().await;
    let mut connection = crate::support::RawConnection::open(app.addr()).await;
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = connection.answer().await.unwrap();
    assert!([301, 302, 303, 307, 308].contains(&answer.status), "{answer:?}");
    let to = answer.header("Location").unwrap();
    assert_eq!(Answer::of(app.bare(Method::GET, to)).await.status, 200, "{to}");
}
