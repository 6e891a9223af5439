//! Approvals of calls through the MCP gateway: clients that can are asked to show the approval's page.

use reqwest::Method;
use serde_json::{Value, json};

use crate::mcp_gateway::{behavior, call, call_message, listed, mcp_command, refusal, send, setup};
use crate::support::{Answer, Behavior, McpServer, TestApp};

const REVIEWER: &str = "key-of-the-reviewer-0123";

/// A service that asks about calls of `post`, with its tools pinned.
async fn asking(server: &McpServer) -> TestApp {
    let app = setup(server).set("API_TOKENS", &format!("eve[reviewer]={REVIEWER}")).start().await;
    mcp_command(&app, &["pin", "web"]).await;
    let policy = app.folder().join("policy/policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap()
        + "- {id: ask-post, match: {kinds: [tool], servers: [web], tools: [post]}, effect: ask}\n";
    std::fs::write(&policy, text).unwrap();
    app.post_nothing("/policy/reload").await.ok();
    app
}

async fn decide(app: &TestApp, url: &str, decision: &str) {
    let (_, id) = url.rsplit_once('/').unwrap();
    let request = app.bare(Method::POST, &format!("/approvals/{id}/decision"));
    Answer::of(request.bearer_auth(REVIEWER).json(&json!({"decision": decision}))).await.ok();
}

/// A call of `post` in revision 2026-07-28, by a client with these capabilities.
async fn post_call(app: &TestApp, text: &str, capabilities: Value, more: Value) -> Value {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities, "life-agent/idempotency-key": text});
    let mut message = call_message("post", &json!({"text": text}), &meta);
    for (name, value) in more.as_object().unwrap() {
        message["params"][name] = value.clone();
    }
    let request = app.request(Method::POST, "/mcp/web").header("Mcp-Method", "tools/call");
    let request = request.header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Name", "post");
    Answer::of(request.json(&message)).await.ok()["result"].clone()
}

#[tokio::test]
async fn an_approved_call_passes_once() {
    let server = McpServer::start(behavior()).await;
    let app = asking(&server).await;
    assert!(listed(&app).await.contains(&"post".to_owned()));
    let asked = refusal(&call(&app, "post", json!({"text": "hello"})).await);
    assert_eq!(asked["code"], "approval_required", "{asked}");
    let id = asked["details"]["approval_id"].as_u64().unwrap();
    let status = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
                        "params": {"name": "approval_status", "arguments": {"id": id.to_string()}}});
    let read =
        || async { app.post("/mcp", &status).await.ok()["result"]["structuredContent"].clone() };
    assert_eq!(read().await["status"], "pending");
    let decision =
        app.bare(Method::POST, &format!("/approvals/{id}/decision")).bearer_auth(REVIEWER);
    Answer::of(decision.json(&json!({"decision": "approve"}))).await.ok();
    assert_eq!(read().await["status"], "approved");
    assert_eq!(call(&app, "post", json!({"text": "hello"})).await["isError"], false);
    let again = refusal(&call(&app, "post", json!({"text": "hello"})).await);
    assert_eq!(again["code"], "approval_required", "{again}");
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_client_that_can_is_asked_to_show_the_approval() {
    let server = McpServer::start(behavior()).await;
    let app = asking(&server).await;
    let opens = || json!({"elicitation": {"url": {}}});
    let asked = post_call(&app, "hello", opens(), json!({})).await;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let input = asked["inputRequests"]["life-agent-approval"].clone();
    assert_eq!(
        (&input["method"], &input["params"]["mode"]),
        (&json!("elicitation/create"), &json!("url"))
    );
    let url = input["params"]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("http://{}/ui#/approvals/", app.addr())), "{url}");
    // The person opens the page, and the repeated call waits for the decision.
    let opened = json!({"inputResponses": {"life-agent-approval": {"action": "accept"}}});
    let mut events = app.events("?kind=tool.requested").await;
    let (again, ()) = tokio::join!(post_call(&app, "hello", opens(), opened.clone()), async {
        events.next().await;
        decide(&app, &url, "approve").await;
    });
    assert_eq!(again["content"][0]["text"], "found", "{again}");
    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].body["params"].get("inputResponses"), None, "{:?}", calls[0]);
    // A denial is the end of it, and so is a person who does not open the page.
    let asked = post_call(&app, "more", opens(), json!({})).await;
    let url =
        asked["inputRequests"]["life-agent-approval"]["params"]["url"].as_str().unwrap().to_owned();
    let declined = json!({"inputResponses": {"life-agent-approval": {"action": "decline"}}});
    let refused = refusal(&post_call(&app, "more", opens(), declined).await);
    assert_eq!(refused["code"], "approval_required", "{refused}");
    let mut events = app.events("?kind=tool.requested").await;
    let (denied, ()) = tokio::join!(post_call(&app, "more", opens(), opened.clone()), async {
        events.next().await;
        decide(&app, &url, "deny").await;
    });
    assert_eq!(refusal(&denied)["message"], "a person denied this request", "{denied}");
    // Saying that a page was opened permits nothing, and other clients get the refusal.
    for capabilities in [json!({}), json!({"elicitation": {"form": {}}})] {
        let refused = refusal(&post_call(&app, "other", capabilities, json!({})).await);
        assert_eq!(refused["code"], "approval_required", "{refused}");
    }
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_client_of_the_older_era_is_asked_by_an_error() {
    let server = McpServer::start(Behavior { has_sessions: true, ..behavior() }).await;
    let app = asking(&server).await;
    let open = |capabilities: Value| {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}}});
        let app = &app;
        async move { send(app, &message).await.ok() }
    };
    let post = |version: &'static str| {
        let request = app.request(Method::POST, "/mcp/web").header("Mcp-Session-Id", "s-1");
        let message = call_message("post", &json!({"text": "hello"}), &json!({}));
        Answer::of(request.header("MCP-Protocol-Version", version).json(&message))
    };
    open(json!({"elicitation": {"url": {}}})).await;
    let asked = post("2025-11-25").await.ok();
    assert_eq!(asked["error"]["code"], -32042, "{asked}");
    let elicitation = asked["error"]["data"]["elicitations"][0].clone();
    assert_eq!(elicitation["mode"], "url", "{asked}");
    let url = elicitation["url"].as_str().unwrap();
    assert!(url.ends_with(elicitation["elicitationId"].as_str().unwrap()), "{asked}");
    // Revision 2025-06-18 has no such error, and a client may open a session without the capability.
    assert_eq!(refusal(&post("2025-06-18").await.ok()["result"])["code"], "approval_required");
    open(json!({"elicitation": {}})).await;
    assert_eq!(refusal(&post("2025-11-25").await.ok()["result"])["code"], "approval_required");
    decide(&app, url, "approve").await;
    assert_eq!(post("2025-11-25").await.ok()["result"]["content"][0]["text"], "found");
}
