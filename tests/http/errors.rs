//! Invalid requests: each gets the documented error

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, KEY, RawConnection, TestApp};

#[tokio::test]
async fn broken_json_is_malformed() {
    let app = TestApp::start().await;
    for body in
        ["", "{", "{\"agent_id\": \"a\", }", "nul", "{} {}", "{\"a\": 01}", "'a'", "\u{feff}{}"]
    {
        app.post_bytes("/act", body).await.error(400, "malformed_json");
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_malformed() {
    let app = TestApp::start().await;
    for input in [&b"\xff\xfe"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"] {
        let mut body = br#"{"agent_id": "a", "input": ""#.to_vec();
        body.extend_from_slice(input);
        body.extend_from_slice(b"\"}");
        app.post_bytes("/turn", body).await.error(400, "malformed_json");
    }
    // A lone surrogate is another way to invalid text.
    let lone = r#"{"agent_id": "a", "input": "\ud800"}"#;
    app.post_bytes("/turn", lone).await.error(400, "malformed_json");
}

#[tokio::test]
async fn endless_nesting_is_refused_without_a_crash() {
    let app = TestApp::start().await;
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        for levels in [200, 10_000, 100_000] {
            let body = format!(
                r#"{{"agent_id": "a", "action": "x", "payload": {}1{}}}"#,
                open.repeat(levels),
                close.repeat(levels)
            );
            let answer = app.post_bytes("/act", body).await;
            assert!([400, 422].contains(&answer.status), "{levels} levels of {open}: {answer:?}");
            let code = answer.json()["error"]["code"].clone();
            answer.error(answer.status, code.as_str().unwrap());
        }
    }
    app.act("a", "still.there").await;
}

#[tokio::test]
async fn all_faults_of_a_body_are_reported_together() {
    let app = TestApp::start().await;
    let body = json!({"agent_id": 7, "action": ["x"], "payload": "p", "extra": 1, "more": null});
    let paths = app.post("/act", &body).await.fault_paths("validation_error");
    assert_eq!(paths, ["action", "agent_id", "extra", "more", "payload"]);
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let app = TestApp::start().await;
    for (body, path) in [
        (json!({"action": "x"}), "agent_id"),
        (json!({"agent_id": "a"}), "action"),
        (json!({"agent_id": null, "action": "x"}), "agent_id"),
    ] {
        let answer = app.post("/act", &body).await;
        assert_eq!(answer.fault_paths("validation_error"), [path]);
    }
    let paths = app.post("/act", &json!({})).await.fault_paths("validation_error");
    assert_eq!(paths, ["action", "agent_id"]);
}

#[tokio::test]
async fn a_duplicate_field_is_refused() {
    let app = TestApp::start().await;
    let body = r#"{"agent_id": "a", "agent_id": "b", "action": "x"}"#;
    let paths = app.post_bytes("/act", body).await.fault_paths("validation_error");
    assert_eq!(paths, ["agent_id"]);
}

#[tokio::test]
async fn a_body_other_than_an_object_is_refused() {
    let app = TestApp::start().await;
    // The list has the right values in order, which some parsers accept as a struct.
    for body in [json!(["a", "rest", {}]), json!("a"), json!(1), json!(null), json!(true)] {
        let answer = app.post("/act", &body).await;
        answer.error(422, "validation_error");
    }
    assert_eq!(app.state("a").await["version"], 0);
}

#[tokio::test]
async fn unknown_fields_are_refused_in_every_body() {
    let app = TestApp::start().await;
    for (path, mut body) in [
        ("/act", json!({"agent_id": "a", "action": "x"})),
        ("/turn", json!({"agent_id": "a", "input": "x"})),
        ("/plan", json!({"intent": "a", "context": "b", "target_paths": ["plans/a.md"]})),
        ("/kill-switch", json!({"on": false, "reason": "x"})),
        ("/policy/reload", json!({})),
        ("/policy/validate", json!({})),
        ("/check", json!({"kind": "act", "agent_id": "a", "action": "x"})),
        ("/llm/chat", json!({"messages": [{"role": "user", "content": "x"}]})),
    ] {
        body["surprise"] = json!(1);
        let paths = app.post(path, &body).await.fault_paths("validation_error");
        assert_eq!(paths, ["surprise"], "{path}");
    }
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_too_large_in_every_encoding() {
    let app = TestApp::start().await;
    // Sent over a raw socket, because the server may close the connection early.
    let head = format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    );
    let announced = format!("{head}Content-Length: {}\r\n\r\n", (1 << 20) + 1);
    let mut connection = RawConnection::open(app.addr()).await;
    connection.send(announced).await;
    connection.answer().await.unwrap().error(413, "body_too_large");

    let mut connection = RawConnection::open(app.addr()).await;
    connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    for _ in 0..17 {
        connection.send(&chunk).await;
    }
    connection.send("0\r\n\r\n").await;
    connection.answer().await.unwrap().error(413, "body_too_large");
}

#[tokio::test]
async fn a_body_of_exactly_one_mebibyte_is_read() {
    let app = TestApp::start().await;
    let mut body = br#"{"agent_id": "a", "action": "x"}"#.to_vec();
    body.resize(1 << 20, b' ');
    app.post_bytes("/act", body).await.ok();
}

#[tokio::test]
async fn only_json_is_accepted() {
    let app = TestApp::start().await;
    let body = r#"{"agent_id": "a", "action": "x"}"#;
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"]
    {
        let request = app.request(Method::POST, "/act").header("Content-Type", media).body(body);
        Answer::of(request).await.error(415, "unsupported_media_type");
    }
    for media in
        ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"]
    {
        let request = app.request(Method::POST, "/act").header("Content-Type", media).body(body);
        Answer::of(request).await.ok();
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let app = TestApp::start().await;
    for path in ["/nope", "/act/", "/act/more", "/plans/a/b/c", "/%ff", "/state/hero", "/.env"] {
        app.get(path).await.error(404, "not_found");
        app.post(path, &json!({})).await.error(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_returns_the_allowed_methods() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        (Method::GET, "/act", "POST"),
        (Method::DELETE, "/turn", "POST"),
        (Method::PUT, "/state", "GET"),
        (Method::POST, "/healthz", "GET"),
        (Method::PATCH, "/journal", "GET"),
        (Method::POST, "/metrics", "GET"),
        (Method::DELETE, "/kill-switch", "POST"),
        (Method::POST, "/plans/0123456789ab", "GET"),
    ] {
        let answer = Answer::of(app.request(method, path)).await;
        answer.error(405, "method_not_allowed");
        let allow = answer.header("Allow").unwrap_or_default();
        assert!(allow.split(", ").any(|method| method == allowed), "{path}: {allow}");
    }
}

#[tokio::test]
async fn trace_and_connect_are_refused_everywhere() {
    let app = TestApp::start().await;
    for request in [
        "TRACE / HTTP/1.1",
        "TRACE /act HTTP/1.1",
        "TRACE /healthz HTTP/1.1",
        "TRACE /no/such/path HTTP/1.1",
        "CONNECT example.invalid:443 HTTP/1.1",
    ] {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send(format!("{request}\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n")).await;
        let answer = connection.answer().await.unwrap();
        answer.error(405, "method_not_allowed");
    }
}

/// Requests that two parsers could read differently, and invalid requests.
fn torn_requests() -> Vec<(&'static str, String)> {
    let body = r#"{"agent_id":"a","action":"x"}"#;
    let post = |headers: &str, body: &str| {
        format!(
            "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
        )
    };
    let length = body.len();
    vec![
        (
            "a bare LF after a header",
            format!("GET /meta HTTP/1.1\r\nHost: x\nX-API-Key: {KEY}\r\n\r\n"),
        ),
        ("nothing but bare LFs", format!("GET /meta HTTP/1.1\nHost: x\nX-API-Key: {KEY}\n\n")),
        ("two lengths", post(&format!("Content-Length: {length}\r\nContent-Length: 3\r\n"), body)),
        (
            "two equal lengths",
            post(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), body),
        ),
        (
            "a length and chunks",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "chunks and a length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        ),
        ("a negative length", post("Content-Length: -1\r\n", body)),
        ("a signed length", post(&format!("Content-Length: +{length}\r\n"), body)),
        ("a length that is none", post("Content-Length: x\r\n", body)),
        ("a list of lengths", post(&format!("Content-Length: {length}, {length}\r\n"), body)),
        ("an unknown encoding", post("Transfer-Encoding: cow\r\n", body)),
        (
            "chunked, but not at the end",
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ),
        (
            "a chunk size that is none",
            post("Transfer-Encoding: chunked\r\n", "zz\r\nx\r\n0\r\n\r\n"),
        ),
        ("a space before the colon", post(&format!("Content-Length : {length}\r\n"), body)),
        (
            "a header folded over two lines",
            post(&format!("Content-Length: {length}\r\nX-A: b\r\n c\r\n"), body),
        ),
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
    ]
}

#[tokio::test]
async fn a_bare_lf_or_a_smuggled_length_is_a_bad_request() {
    let app = TestApp::start().await;
    let mut taken = Vec::new();
    for (what, request) in torn_requests() {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send(request).await;
        match connection.answer().await {
            Some(answer) if answer.status == 400 => {}
            other => taken.push((what, other)),
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(app.state("a").await["version"], 0, "none of them may act");
}

#[tokio::test]
async fn an_invalid_request_line_gets_the_error_envelope() {
    let app = TestApp::start().await;
    let mut bare = Vec::new();
    for (what, request) in torn_requests() {
        let mut connection = RawConnection::open(app.addr()).await;
        connection.send(request).await;
        let answer = connection.answer().await;
        let body = answer.as_ref().and_then(|a| serde_json::from_slice::<Value>(&a.body).ok());
        if !body.is_some_and(|body| body["error"]["code"].is_string()) {
            bare.push((what, answer));
        }
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

#[tokio::test]
async fn an_incomplete_body_times_out_after_ten_seconds() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.addr()).await;
    let head = format!(
        "POST /act HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    );
    connection.send(head + "{\"agent_id\": ").await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(answer.json()["error"]["code"].is_string());
}

#[tokio::test]
async fn no_error_reveals_the_servers_paths() {
    let app = TestApp::start().await;
    let folder = app.folder();
    let home = folder.parent().unwrap().to_str().unwrap();
    let policy = json!({"path": "policies/missing.yaml"});
    let plan = json!({"intent": "x", "context": "y", "target_paths": ["../x"]});
    for answer in [
        app.post("/policy/reload", &policy).await,
        app.post("/policy/reload", &json!({"path": "policies/invalid.yaml"})).await,
        app.post("/policy/reload", &json!({"path": "/etc/passwd"})).await,
        app.post("/plan", &plan).await,
        app.get("/plans/nope").await,
        app.get("/meta").await,
        app.get("/policy").await,
        app.get("/readyz").await,
    ] {
        assert!(!answer.text().contains(home), "{answer:?}");
    }
    let rows = serde_json::to_string(&app.get("/journal").await.ok()).unwrap();
    assert!(!rows.contains(home), "{rows}");
}
