//! Properties of every response

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, KEY, RawConnection, TestApp};

/// Responses of every sort: success, error, public, protected, unknown.
async fn answers_of_every_sort(app: &TestApp) -> Vec<Answer> {
    let mut answers = Vec::new();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/",
        "/meta",
        "/state",
        "/journal",
        "/policy",
        "/kill-switch",
        "/plans",
        "/llm/status",
        "/nope",
        "/state?agent_id=a%20b",
    ] {
        answers.push(app.get(path).await);
        answers.push(Answer::of(app.bare(Method::GET, path)).await);
    }
    answers.push(app.post("/act", &json!({"agent_id": "a", "action": "x"})).await);
    answers.push(app.post_bytes("/act", "{").await);
    answers.push(app.post("/act", &json!({})).await);
    answers.push(
        app.post("/turn", &json!({"agent_id": "a", "input": "../../../../etc/passwd"})).await,
    );
    answers.push(
        app.post("/llm/chat", &json!({"messages": [{"role": "user", "content": "x"}]})).await,
    );
    answers.push(Answer::of(app.request(Method::DELETE, "/act")).await);
    answers.push(Answer::of(app.request(Method::OPTIONS, "/act")).await);
    answers.push(Answer::of(app.request(Method::HEAD, "/healthz")).await);
    answers.push(Answer::of(app.request(Method::POST, "/act").body("x")).await);
    let mut trace = RawConnection::open(app.addr()).await;
    trace.send("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answers.push(trace.answer().await.unwrap());
    answers
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let app = TestApp::start().await;
    for answer in answers_of_every_sort(&app).await {
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}: {answer:?}");
        }
        let policy = answer.header("Content-Security-Policy");
        let policy = policy.unwrap_or_else(|| panic!("no policy: {answer:?}"));
        assert!(policy.contains("default-src 'none'") || policy.contains("default-src 'self'"));
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{policy}");
    }
}

#[tokio::test]
async fn every_response_has_a_unique_request_id() {
    let app = TestApp::start().await;
    let answers = answers_of_every_sort(&app).await;
    let mut ids: Vec<_> = answers
        .iter()
        .map(|answer| answer.header("X-Request-Id").unwrap_or_else(|| panic!("{answer:?}")))
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(ids.iter().all(|id| (1..=128).contains(&id.len()) && id.chars().all(allowed)));
}

#[tokio::test]
async fn a_callers_request_id_is_in_response_row_and_log() {
    let mut app = TestApp::start().await;
    for id in ["x", "Trace-7.b_c", &"y".repeat(128)] {
        let body = json!({"agent_id": "a", "action": "rest"});
        let request = app.request(Method::POST, "/act").header("X-Request-Id", id).json(&body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.header("X-Request-Id"), Some(id));
        answer.ok();
        assert_eq!(app.journal_of("&kind=obs.act").await.pop().unwrap().request_id, id);
    }
    assert!(app.stop().await.success());
    let log = String::from_utf8(app.read("logs/app.log")).unwrap();
    assert!(log.lines().any(|line| line.contains("\"Trace-7.b_c\"")), "{log}");
}

#[tokio::test]
async fn a_malformed_request_id_is_replaced() {
    let app = TestApp::start().await;
    let too_long = "y".repeat(129);
    for id in ["", "a b", "a/b", "<script>", "a\u{e9}", "a;b", "{\"a\":1}", &too_long] {
        let request = app.request(Method::GET, "/meta").header("X-Request-Id", id.as_bytes());
        let answer = Answer::of(request).await;
        let made = answer.header("X-Request-Id").unwrap();
        assert!(made != id && !made.is_empty(), "{id}");
        answer.ok();
    }
}

#[tokio::test]
async fn an_error_contains_its_request_id() {
    let app = TestApp::start().await;
    let request = app.request(Method::GET, "/nope").header("X-Request-Id", "mine-1");
    assert_eq!(Answer::of(request).await.error(404, "not_found")["request_id"], "mine-1");
}

#[tokio::test]
async fn head_equals_get_without_a_body() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let head = connection.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        // The next response on the connection starts at its first byte, so no body preceded it.
        connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let both = connection.read_until(r#"{"status":"ok"}"#).await;
        assert!(both[head.len()..].starts_with("HTTP/1.1 200"), "{both}");
    }
}

#[tokio::test]
async fn requests_can_be_pipelined() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.addr()).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    connection.send(one("/healthz") + &one("/nope") + &one("/meta")).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(connection.answer().await.unwrap().status);
    }
    assert_eq!(statuses, [200, 404, 200]);
}

#[tokio::test]
async fn only_configured_origins_may_read_responses() {
    let origins = "https://one.example,https://two.example";
    let configured = crate::support::Setup::new().set("ALLOWED_ORIGINS", origins).start();
    let (app, default) = tokio::join!(configured, TestApp::start());
    for (app, origin, allowed) in [
        (&app, "https://one.example", true),
        (&app, "https://two.example", true),
        (&app, "https://chat.openai.com", true),
        (&app, "https://one.example.evil.example", false),
        (&app, "http://one.example", false),
        (&app, "null", false),
        (&default, "https://chat.openai.com", true),
        (&default, "https://chatgpt.com", true),
        (&default, "https://evil.example", false),
    ] {
        let request = app.request(Method::GET, "/meta").header("Origin", origin);
        let answer = Answer::of(request).await;
        let granted = answer.header("Access-Control-Allow-Origin");
        assert_eq!(granted, allowed.then_some(origin), "{origin}: {answer:?}");
        let preflight = app
            .bare(Method::OPTIONS, "/turn")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type, x-api-key");
        let answer = Answer::of(preflight).await;
        let granted = answer.header("Access-Control-Allow-Origin");
        assert_eq!(granted, allowed.then_some(origin), "preflight of {origin}: {answer:?}");
        if allowed {
            assert!((200..300).contains(&answer.status), "{answer:?}");
            let headers = answer.header("Access-Control-Allow-Headers").unwrap().to_lowercase();
            assert!(headers.contains("x-api-key") && headers.contains("content-type"), "{headers}");
        }
    }
}
