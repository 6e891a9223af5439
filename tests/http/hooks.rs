//! `POST /hooks/{dialect}` and `life-agent hook`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::{Answer, KEY, Setup, TestApp, binary};

fn claude(command: &str, id: &str) -> Value {
    json!({
        "session_id": "s-1", "transcript_path": "/t", "cwd": "/home/ann/project",
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": command},
        "tool_use_id": id,
    })
}

#[tokio::test]
async fn each_host_gets_its_own_form() {
    let app = TestApp::start().await;
    let allowed = app.post("/hooks/claude-code", &claude("ls", "t-1")).await;
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert_eq!(allowed.json()["hookSpecificOutput"]["permissionDecision"], "allow");
    let asked = app.post("/hooks/claude-code", &claude("git push --force", "t-2")).await.json();
    assert_eq!(asked["hookSpecificOutput"]["permissionDecision"], "ask", "{asked}");
    let denied = app.post("/hooks/codex", &claude("cat ~/.ssh/id_rsa", "t-3")).await.json();
    let output = &denied["hookSpecificOutput"];
    assert_eq!(output["permissionDecision"], "deny", "{denied}");
    assert!(output["permissionDecisionReason"].as_str().unwrap().contains("(row "), "{denied}");
    assert_eq!(app.post("/hooks/codex", &claude("ls", "t-4")).await.json(), json!({}));
    let shell = json!({
        "conversation_id": "c", "hook_event_name": "beforeShellExecution", "command": "npm publish",
        "cwd": "/home/ann/project", "workspace_roots": [],
    });
    assert_eq!(app.post("/hooks/cursor", &shell).await.json()["permission"], "ask");
    let rows = app.journal().await;
    assert_eq!(rows.iter().filter(|row| row.kind == "tool.requested").count(), 5);

    let result = json!({
        "session_id": "s-1", "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {},
        "tool_response": {"stdout": "a"}, "tool_use_id": "t-1", "cwd": "/home/ann/project",
    });
    assert_eq!(app.post("/hooks/claude-code", &result).await.status, 200);
    let rows = app.journal().await;
    let call = rows.iter().find(|row| row.kind == "tool.requested").unwrap().id;
    let finished = rows.iter().find(|row| row.kind == "tool.finished").unwrap();
    assert_eq!(finished.json()["call"], call);
    assert_eq!(app.post("/hooks/unknown", &claude("ls", "t-9")).await.status, 404);
    let broken = app.post("/hooks/codex", &json!({"hook_event_name": "PreToolUse"})).await;
    assert_eq!(broken.status, 422, "{broken:?}");
}

fn hook(arguments: &[&str], url: &str, input: &str) -> Output {
    hook_trusting(None, arguments, url, input)
}

/// The same with the certificates in a file.
fn hook_trusting(roots: Option<&Path>, arguments: &[&str], url: &str, input: &str) -> Output {
    let mut child = Command::new(binary())
        .arg("hook")
        .args(arguments)
        .env("LIFE_AGENT_URL", url)
        .env("LIFE_AGENT_KEY", KEY)
        .envs(roots.map(|path| ("SSL_CERT_FILE", path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_command_decides_like_the_endpoint_and_fails_closed() {
    let app = TestApp::start().await;
    let url = format!("http://{}", app.addr());
    let run = |host: &'static str, url: String, input: String| async move {
        tokio::task::spawn_blocking(move || hook(&[host], &url, &input)).await.unwrap()
    };
    let allowed = run("claude-code", url.clone(), claude("ls", "c-1").to_string()).await;
    assert_eq!(allowed.status.code(), Some(0), "{allowed:?}");
    let output: Value = serde_json::from_slice(&allowed.stdout).unwrap();
    assert_eq!(output["hookSpecificOutput"]["permissionDecision"], "allow");
    let silent = run("codex", url.clone(), claude("ls", "c-2").to_string()).await;
    assert_eq!((silent.status.code(), silent.stdout.is_empty()), (Some(0), true), "{silent:?}");
    // No process listens on the reserved port 9 of loopback.
    for (url, input) in [
        ("http://127.0.0.1:9", claude("ls", "c-3").to_string()),
        ("https://127.0.0.1:9", claude("ls", "c-4").to_string()),
        ("ftp://127.0.0.1", claude("ls", "c-5").to_string()),
    ] {
        let refused = run("claude-code", url.to_owned(), input).await;
        let output: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(output["hookSpecificOutput"]["permissionDecision"], "deny", "{refused:?}");
    }
    for input in ["", "{", "[]", "{\"hook_event_name\": \"PreToolUse\"}"] {
        let refused = run("claude-code", url.clone(), input.to_owned()).await;
        assert_eq!(refused.status.code(), Some(2), "{input}: {refused:?}");
        assert!(!refused.stderr.is_empty());
    }
}

/// A server in front of the service that ends TLS, with a certificate of its own; the files of its certificate and key
/// are in the folder.
fn in_front(folder: &Path, service: SocketAddr) -> SocketAddr {
    let file = |name: &str| folder.join(name);
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=life-agent test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ])
        .arg(file("key.pem"))
        .arg("-out")
        .arg(file("certificate.pem"))
        .output();
    let made = made.expect("OpenSSL's command is required to make a certificate");
    assert!(made.status.success(), "{made:?}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = CertificateDer::pem_file_iter(file("certificate.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            certificates.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(file("key.pem")).unwrap(),
        );
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut client = StreamOwned::new(connection, stream.unwrap());
            let mut request = Vec::new();
            let mut piece = [0; 16 * 1024];
            // A small request ends with its JSON object. A client that trusts other certificates sends none.
            while !request.ends_with(b"}") {
                match client.read(&mut piece) {
                    Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let mut behind = TcpStream::connect(service).unwrap();
            let mut response = Vec::new();
            if request.is_empty() || behind.write_all(&request).is_err() {
                continue;
            }
            behind.read_to_end(&mut response).unwrap();
            client.write_all(&response).unwrap();
            client.conn.send_close_notify();
            let _ = client.flush();
        }
    });
    addr
}

#[tokio::test]
async fn the_command_reaches_a_service_over_https_and_checks_its_certificate() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("https://{}", in_front(folder.path(), app.addr()));
    let roots = folder.path().join("certificate.pem");
    let decision = |output: &Output| {
        let output: Value = serde_json::from_slice(&output.stdout).unwrap();
        output["hookSpecificOutput"]["permissionDecision"].clone()
    };
    let decide = |roots: Option<PathBuf>, command: &'static str| {
        let (url, input) = (url.clone(), claude(command, command).to_string());
        let run = move || hook_trusting(roots.as_deref(), &["claude-code"], &url, &input);
        async { tokio::task::spawn_blocking(run).await.unwrap() }
    };
    let allowed = decide(Some(roots.clone()), "ls").await;
    assert_eq!(decision(&allowed), "allow", "{allowed:?}");
    let denied = decide(Some(roots), "cat ~/.ssh/id_rsa").await;
    assert_eq!(decision(&denied), "deny", "{denied:?}");
    assert_eq!(app.journal_of("&kind=tool.requested").await.len(), 2);
    // The system's store does not know the certificate.
    let refused = decide(None, "ls -la").await;
    assert_eq!(decision(&refused), "deny", "{refused:?}");
    assert_eq!(app.journal_of("&kind=tool.requested").await.len(), 2);
}

#[tokio::test]
async fn a_call_that_needs_an_approval_passes_once_a_person_has_approved_it() {
    let keys = "agent[agent]=the-key-of-the-agent,ann[reviewer]=the-key-of-ann-12345";
    let app = Setup::new().set("API_TOKENS", keys).start().await;
    let by = |key: &'static str, path: String, body: Value| {
        let request = app.bare(Method::POST, &path).header("X-API-Key", key).json(&body);
        async move { Answer::of(request).await }
    };
    let call = |id: &str| claude("git push --force origin main", id);
    let agent = "the-key-of-the-agent";
    for (dialect, pointer) in [
        ("claude-code", "/hookSpecificOutput/permissionDecision"),
        ("codex", "/hookSpecificOutput/permissionDecision"),
    ] {
        let hooks = format!("/hooks/{dialect}");
        let first = by(agent, hooks.clone(), call(&format!("{dialect}-1"))).await.ok();
        let asked = first.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        // A host without a prompt of its own refuses, and shows where to approve.
        assert_eq!(asked, if dialect == "codex" { "deny" } else { "ask" }, "{first}");
        let reason = first["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap();
        let id = reason.split("/ui#/approvals/").nth(1).unwrap_or_default();
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        assert!(!id.is_empty(), "{reason}");
        let decision = json!({"decision": "approve"});
        by("the-key-of-ann-12345", format!("/approvals/{id}/decision"), decision).await.ok();
        let again = by(agent, hooks.clone(), call(&format!("{dialect}-2"))).await.ok();
        assert!(again.pointer(pointer).is_none_or(|decision| decision == "allow"), "{again}");
        // It passes once.
        let third = by(agent, hooks, call(&format!("{dialect}-3"))).await.ok();
        assert_ne!(third.pointer(pointer), Some(&json!("allow")), "{third}");
        assert!(third.pointer(pointer).is_some(), "{third}");
        let rows = app.journal().await;
        let decisions: Vec<_> = rows.iter().filter(|row| row.kind == "tool.requested").collect();
        let decisions: Vec<_> =
            decisions.iter().map(|row| row.json()["decision"].clone()).collect();
        assert_eq!(decisions[decisions.len() - 3..], ["ask", "allow", "ask"]);
    }
}
