//! Authentication: which keys are accepted, and the responses to others

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{Answer, KEY, RawConnection, Setup, TestApp};

/// One call of every route that requires a key.
const CLOSED: &[(&str, &str)] = &[
    ("POST", "/act"),
    ("POST", "/turn"),
    ("GET", "/state"),
    ("GET", "/state?agent_id=a"),
    ("GET", "/meta"),
    ("GET", "/events"),
    ("GET", "/journal"),
    ("GET", "/journal/head"),
    ("GET", "/policy"),
    ("POST", "/policy/validate"),
    ("POST", "/policy/reload"),
    ("POST", "/check"),
    ("POST", "/plan"),
    ("GET", "/plans"),
    ("GET", "/plans/0123456789ab"),
    ("POST", "/llm/chat"),
    ("GET", "/llm/status"),
    ("POST", "/kill-switch"),
    ("GET", "/kill-switch"),
];

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

fn is_missing(answer: &Answer) {
    answer.error(401, "missing_api_key");
    assert_eq!(answer.header("WWW-Authenticate"), Some(r#"Bearer realm="life-agent""#));
}

fn is_invalid(answer: &Answer) {
    answer.error(401, "invalid_api_key");
    let challenge = answer.header("WWW-Authenticate").unwrap();
    assert!(challenge.starts_with(r#"Bearer realm="life-agent""#), "{challenge}");
    assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
}

#[tokio::test]
async fn every_protected_route_requires_a_key() {
    let app = TestApp::start().await;
    let before = app.last_id().await;
    for (name, path) in CLOSED {
        is_missing(&Answer::of(app.bare(method(name), path)).await);
        let wrong = app.bare(method(name), path).header("X-API-Key", "wrong");
        is_invalid(&Answer::of(wrong).await);
    }
    // Only the failures themselves are recorded, together.
    let rows = app.journal().await.into_iter().filter(|row| row.id > before);
    assert!(rows.map(|row| row.kind).all(|kind| kind == "auth.failed"));
}

#[tokio::test]
async fn the_document_states_which_operations_need_a_key() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.ok();
    let mut closed = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (name, operation) in item.as_object().unwrap() {
            let open =
                ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi-actions.json"]
                    .contains(&path.as_str())
                    || ["/docs", "/ui"].iter().any(|pages| path.starts_with(pages));
            assert_eq!(operation["responses"].get("401").is_none(), open, "{name} {path}");
            if !open {
                let path = path.replace("{id}", "0123456789ab");
                is_missing(&Answer::of(app.bare(method(&name.to_uppercase()), &path)).await);
                closed += 1;
            }
        }
    }
    assert!(closed >= CLOSED.len() - 2, "only {closed}");
}

#[tokio::test]
async fn public_routes_need_no_key() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"] {
        let answer = Answer::of(app.bare(Method::GET, path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn both_headers_carry_a_key_and_the_scheme_ignores_case() {
    let app = TestApp::start().await;
    let with = |name: &str, value: String| app.bare(Method::GET, "/meta").header(name, value);
    for request in [
        with("X-API-Key", KEY.to_owned()),
        with("x-api-key", KEY.to_owned()),
        with("Authorization", format!("Bearer {KEY}")),
        with("Authorization", format!("bearer {KEY}")),
        with("authorization", format!("BEARER {KEY}")),
    ] {
        Answer::of(request).await.ok();
    }
}

#[tokio::test]
async fn an_almost_correct_key_is_refused() {
    let app = TestApp::start().await;
    let with = |name: &str, value: &str| app.bare(Method::GET, "/meta").header(name, value);
    let refused: Vec<RequestBuilder> = vec![
        with("X-API-Key", &KEY[..KEY.len() - 1]),
        with("X-API-Key", &format!("{KEY}x")),
        with("X-API-Key", &KEY.to_uppercase()),
        with("X-API-Key", &format!("Bearer {KEY}")),
        with("Authorization", &format!("Basic {KEY}")),
        with("Authorization", &format!("Bearer{KEY}")),
        with("Authorization", "Bearer"),
        with("Authorization", KEY),
        with("X-API-Key", ""),
    ];
    for request in refused {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("WWW-Authenticate").is_some());
        assert!(!answer.text().contains(KEY));
    }
}

#[tokio::test]
async fn two_key_headers_are_refused_even_if_both_are_valid() {
    let app = TestApp::start().await;
    let twice = app.request(Method::GET, "/meta").header("X-API-Key", KEY);
    assert_eq!(Answer::of(twice).await.status, 401);
}

#[tokio::test]
async fn a_caller_without_a_key_is_refused_before_the_body_is_read() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.addr()).await;
    // The body is announced and never sent: only a server that does not wait for it can respond.
    connection
        .send("POST /act HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        .await;
    is_missing(&connection.answer().await.unwrap());
    // The content of the body does not matter either.
    let broken = app.bare(Method::POST, "/act").header("Content-Type", "text/plain").body("{");
    is_missing(&Answer::of(broken).await);
    let huge = app.bare(Method::POST, "/act").body(vec![b'x'; 2 << 20]);
    if let Ok(answer) = Answer::try_of(huge).await {
        is_missing(&answer);
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_bypasses_the_key() {
    let app = TestApp::start().await;
    for path in [
        "/journal/",
        "//journal",
        "/./journal",
        "/healthz/../journal",
        "/docs/../journal",
        "/docs/..%2fjournal",
        "/%6aournal",
        "/%2fjournal",
        "/journal;x",
        "/JOURNAL",
        "/journal%20",
        "/journal%00",
        "/journal?",
        "http://x/journal",
        "/metrics/../journal",
        "/openapi.json/../journal",
    ] {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let answer = connection.answer().await.unwrap();
        assert!([400, 401, 404].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.text().contains("service.started"), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found_without_a_key() {
    let app = TestApp::start().await;
    Answer::of(app.bare(Method::GET, "/no/such/path")).await.error(404, "not_found");
}

#[tokio::test]
async fn each_of_several_keys_is_valid() {
    let setup = Setup::new().set("API_TOKENS", "anna=first-0001, second-0002 ,bob=third-0003");
    let app = setup.start().await;
    for key in [KEY, "first-0001", "second-0002", "third-0003"] {
        Answer::of(app.bare(Method::GET, "/meta").header("X-API-Key", key)).await.ok();
    }
    for key in ["anna", "anna=first-0001", "bob", ""] {
        let request = app.bare(Method::GET, "/meta").header("X-API-Key", key);
        assert_eq!(Answer::of(request).await.status, 401, "{key}");
    }
}

#[tokio::test]
async fn without_a_key_one_is_generated_and_printed_once() {
    let app = Setup::new().unset("API_KEY").start().await;
    let line = app.printed_line("curl ").await;
    // The printed line works when pasted.
    let output = std::process::Command::new("sh").arg("-c").arg(&line).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains('{'), "{line}\n{output:?}");
    assert!(!shown.contains("missing_api_key") && !shown.contains("invalid_api_key"), "{shown}");
    let key = key_in(&line).unwrap_or_else(|| panic!("no key in `{line}`"));
    Answer::of(app.bare(Method::GET, "/meta").header("X-API-Key", &key)).await.ok();
    assert!(key.len() >= 32, "a short key can be guessed: {}", key.len());
    assert!(!app.complained().contains(&key));
    assert!(!String::from_utf8(app.read("logs/app.log")).unwrap().contains(&key));
    let other = Setup::new().unset("API_KEY").start().await;
    assert!(!other.printed().contains(&key), "the next run has another key");
}

fn key_in(line: &str) -> Option<String> {
    let after = ["X-API-Key: ", "x-api-key: ", "Bearer "]
        .iter()
        .find_map(|start| line.split_once(start))?
        .1;
    Some(after.chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect())
}

#[tokio::test]
async fn a_configured_key_is_never_printed() {
    let app = TestApp::start().await;
    app.post("/act", &json!({"agent_id": "a", "action": "rest"})).await.ok();
    assert!(!app.printed().contains(KEY) && !app.complained().contains(KEY));
    assert!(!String::from_utf8(app.read("logs/app.log")).unwrap().contains(KEY));
}

#[tokio::test]
async fn without_a_key_it_serves_loopback_only() {
    let refused = Setup::new().unset("API_KEY").set("HOST", "0.0.0.0").refused().await;
    let words = refused.in_words();
    assert!(words.contains("API_KEY"), "{words}");
    assert!(words.contains("0.0.0.0"), "{words}");
}
