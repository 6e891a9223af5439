//! Traces: spans to a collector over OTLP, `traceparent` in and out, and what happens without a collector

use life_agent_groq::testing::{Answer as Reply, StandIn};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Behavior, COLLECTOR_KEY, Collector, KEY, McpServer, PROVIDER_KEY, Setup, TestApp,
    Traced, chat, model_setup,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// A text of a caller that no span may show.
const PRIVATE: &str = "a-private-remark";

fn parent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// A call as part of the trace of its caller.
async fn traced(app: &TestApp, path: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path).header("traceparent", parent());
    Answer::of(request.header("tracestate", "vendor=opaque").json(body)).await
}

#[track_caller]
fn named<'a>(spans: &'a [Traced], name: &str) -> &'a Traced {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}`: {spans:#?}"))
}

fn act() -> Value {
    json!({"agent_id": "hero", "action": "rest", "payload": {"remark": PRIVATE}})
}

#[tokio::test]
async fn a_request_has_spans_in_the_trace_of_its_caller() {
    let collector = Collector::start().await;
    let setup = Setup::new().set("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=a%20test");
    let mut app = collector.of(setup).start().await;
    let answer = traced(&app, "/act", &act()).await.ok();
    let spans = collector.until("POST /act").await;

    let request = named(&spans, "POST /act");
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, PARENT));
    assert_eq!((request.kind, request.state.as_str()), (SpanKind::Server, "vendor=opaque"));
    let expected = [
        ("http.request.method", "POST"),
        ("http.route", "/act"),
        ("http.response.status_code", "200"),
    ];
    for (name, value) in expected {
        assert_eq!(request.attribute(name), Some(value), "{request:?}");
    }
    assert_eq!(request.service["service.name"], "life-agent");
    assert_eq!(request.service["deployment.environment"], "a test");

    let gates = named(&spans, "gates");
    assert_eq!(
        (&gates.trace, &gates.parent, gates.kind),
        (&request.trace, &request.id, SpanKind::Internal)
    );
    assert_eq!(gates.attribute("life_agent.decision"), Some("allow"));
    assert_eq!(gates.attribute("life_agent.command"), Some("act"));
    assert_eq!(gates.attribute("gen_ai.agent.id"), Some("hero"));
    let commit = named(&spans, "journal commit");
    assert_eq!((&commit.trace, &commit.parent), (&request.trace, &request.id));
    let row = answer["event_id"].to_string();
    assert_eq!(commit.attribute("life_agent.event_id"), Some(row.as_str()));

    let row = app.journal().await.pop().unwrap();
    assert_eq!(row.json()["trace_id"], TRACE);
    assert_eq!(request.attribute("life_agent.request_id"), Some(row.request_id.as_str()));
    let export = &collector.exports()[0];
    assert_eq!(export.line, "POST /v1/traces");
    assert_eq!(export.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(export.header("x-collector-key"), Some(COLLECTOR_KEY));

    assert_eq!(app.post_nothing("/audit/verify").await.ok()["intact"], true);
    app.stop().await;
    let log = String::from_utf8(app.read("logs/app.log")).unwrap();
    let line = log.lines().find(|line| line.contains("\"route\":\"/act\"")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(line).unwrap()["trace_id"], TRACE);
    assert!(!log.contains(COLLECTOR_KEY));
    for export in collector.exports() {
        let text = String::from_utf8_lossy(&export.raw);
        assert!(!text.contains(PRIVATE) && !text.contains(KEY), "{text}");
    }
}

#[tokio::test]
async fn a_denial_names_its_gate_and_the_error_its_trace() {
    let collector = Collector::start().await;
    let policy = "version: '1'\nallowed_dirs: [plans]\nrules:\n- {id: no-rest, match: {actions: [rest]}, effect: deny}\n";
    let app = collector.of(Setup::new().policy(policy)).start().await;
    let denied = traced(&app, "/act", &act()).await;
    assert_eq!(denied.error(403, "rule_deny")["details"]["trace_id"], TRACE);
    let spans = collector.until("POST /act").await;
    let gates = named(&spans, "gates");
    assert_eq!(gates.attribute("life_agent.decision"), Some("deny"));
    assert_eq!(gates.attribute("life_agent.reason"), Some("rule_deny"));
    assert!(!gates.failed, "a denial is no failure of the gates");
    assert_eq!(app.journal().await.pop().unwrap().json()["trace_id"], TRACE);
    let unknown = app.get("/nope").await.error(404, "not_found");
    assert_eq!(unknown["details"]["trace_id"].as_str().map(str::len), Some(32), "{unknown}");
}

#[tokio::test]
async fn a_malformed_traceparent_begins_a_new_trace_and_a_caller_may_forgo_spans() {
    let collector = Collector::start().await;
    let app = collector.of(Setup::new()).start().await;
    for malformed in
        ["", "x", &parent().to_uppercase(), &parent().replace("00-", "ff-"), &(parent() + "-1")]
    {
        let request = app.request(Method::POST, "/act").header("traceparent", malformed);
        Answer::of(request.json(&act())).await.ok();
        let row = app.journal().await.pop().unwrap();
        let trace = row.json()["trace_id"].as_str().unwrap().to_owned();
        assert!(trace.len() == 32 && trace != TRACE, "`{malformed}`: {trace}");
    }
    let unsampled = parent().replace("-01", "-00");
    let request = app.request(Method::POST, "/turn").header("traceparent", unsampled);
    Answer::of(request.json(&json!({"agent_id": "hero", "input": "look"}))).await.ok();
    assert_eq!(app.journal().await.pop().unwrap().json()["trace_id"], TRACE);
    app.get("/state?agent_id=hero").await.ok();
    let spans = collector.until("GET /state").await;
    assert!(
        spans.iter().all(|span| span.trace != TRACE && span.name != "POST /turn"),
        "{spans:#?}"
    );
    assert!(
        spans.iter().filter(|span| span.name == "POST /act").all(|span| span.parent.is_empty())
    );
}

#[tokio::test]
async fn a_model_call_has_a_span_and_the_provider_gets_its_context() {
    let replies = || Reply::text("Well met.");
    for (path, stream, provider_name) in [
        ("/llm/chat", false, "default"),
        ("/llm/chat", true, "default"),
        ("/v1/chat/completions", false, "default"),
        ("/v1/chat/completions", true, "default"),
    ] {
        let reply = if stream { Reply::stream(&["Well ", "met."]) } else { replies() };
        let provider = StandIn::start(vec![reply]).await.unwrap();
        let collector = Collector::start().await;
        let app = collector.of(model_setup(&provider)).start().await;
        let mut body = chat(PRIVATE);
        body["stream"] = stream.into();
        body["model"] = "openai/gpt-oss-120b".into();
        let answer = traced(&app, path, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (request, name) = (format!("POST {path}"), "chat openai/gpt-oss-120b");
        collector.until(&request).await;
        let spans = collector.until(name).await;
        let call = named(&spans, name);
        assert_eq!(
            (&call.parent, call.kind),
            (&named(&spans, &request).id, SpanKind::Client),
            "{path}"
        );
        for (name, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", provider_name),
            ("gen_ai.request.model", "openai/gpt-oss-120b"),
            ("gen_ai.usage.input_tokens", "11"),
            ("gen_ai.usage.output_tokens", "7"),
            ("gen_ai.response.finish_reasons", "stop"),
        ] {
            assert_eq!(call.attribute(name), Some(value), "{path} {stream}: {call:?}");
        }
        let seen = &provider.seen()[0];
        assert_eq!(seen.header("traceparent"), Some(call.header().as_str()), "{path} {stream}");
        assert_eq!(seen.header("tracestate"), Some("vendor=opaque"));
        for export in collector.exports() {
            let text = String::from_utf8_lossy(&export.raw);
            assert!(
                !text.contains(PRIVATE)
                    && !text.contains("Well met")
                    && !text.contains(PROVIDER_KEY)
            );
        }
    }
}

#[tokio::test]
async fn a_failed_model_call_has_a_failed_span() {
    let provider = StandIn::start(vec![Reply::error(400, "bad", "no")]).await.unwrap();
    let collector = Collector::start().await;
    let app = collector.of(model_setup(&provider)).start().await;
    for path in ["/llm/chat", "/v1/chat/completions"] {
        let mut body = chat("hello");
        body["model"] = path.trim_start_matches('/').into();
        traced(&app, path, &body).await;
        let spans = collector.until(&format!("POST {path}")).await;
        let call = spans.iter().rfind(|span| span.kind == SpanKind::Client).unwrap();
        assert!(call.failed && call.attribute("error.type").is_some(), "{path}: {call:?}");
    }
}

#[tokio::test]
async fn the_tool_calls_of_a_turn_have_spans() {
    let script = vec![
        Reply::tool_call("act", r#"{"action":"rest","payload":{}}"#),
        Reply::text("You rest."),
    ];
    let provider = StandIn::start(script).await.unwrap();
    let collector = Collector::start().await;
    let app = collector.of(model_setup(&provider)).start().await;
    traced(&app, "/turn", &json!({"agent_id": "hero", "input": "rest"})).await.ok();
    let spans = collector.until("POST /turn").await;
    let tool = named(&spans, "execute_tool act");
    assert_eq!(tool.attribute("gen_ai.operation.name"), Some("execute_tool"), "{tool:?}");
    assert_eq!(tool.attribute("gen_ai.tool.name"), Some("act"));
    let inner: Vec<_> = spans.iter().filter(|span| span.parent == tool.id).collect();
    assert!(inner.iter().any(|span| span.name == "gates"), "{spans:#?}");
    let calls = spans.iter().filter(|span| span.name.starts_with("chat ")).count();
    assert_eq!(calls, 2, "{spans:#?}");
    assert!(
        app.journal()
            .await
            .iter()
            .filter(|row| row.kind != "service.started")
            .all(|row| row.json()["trace_id"] == TRACE)
    );
}

#[tokio::test]
async fn a_call_through_the_gateway_takes_its_context_to_the_server() {
    let tool =
        json!({"name": "search", "description": "Searches.", "inputSchema": {"type": "object"}});
    let server = McpServer::start(Behavior {
        has_sessions: false,
        tools: vec![tool],
        result: json!({"content": [{"type": "text", "text": PRIVATE}], "isError": false}),
        streams: false,
        refuses: None,
        stalls: false,
    })
    .await;
    let policy = format!(
        "version: '1'\nallowed_dirs: [plans]\nmcp: {{servers: {{web: {{url: '{}'}}}}}}\n",
        server.url()
    );
    let collector = Collector::start().await;
    let app = collector.of(Setup::new().policy(&policy)).start().await;
    let mut pin = app.command();
    pin.args(["mcp", "pin", "web"]);
    let pinned = tokio::task::spawn_blocking(move || pin.output().unwrap()).await.unwrap();
    assert!(pinned.status.success(), "{pinned:?}");
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "search", "arguments": {"q": PRIVATE}}});
    traced(&app, "/mcp/web", &message).await.ok();
    let spans = collector.until("POST /mcp/{server}").await;
    let request = named(&spans, "POST /mcp/{server}");
    let call = named(&spans, "tools/call search");
    assert_eq!((&call.parent, call.kind), (&request.id, SpanKind::Client));
    assert_eq!(call.attribute("mcp.method.name"), Some("tools/call"));
    assert_eq!(call.attribute("life_agent.mcp.server"), Some("web"));
    assert_eq!(server.calls()[0].headers["traceparent"], call.header());
    let decided = named(&spans, "execute_tool search");
    assert_eq!(decided.parent, request.id);
    assert!(
        spans.iter().any(|span| span.name == "gates" && span.parent == decided.id),
        "{spans:#?}"
    );
    for export in collector.exports() {
        assert!(!String::from_utf8_lossy(&export.raw).contains(PRIVATE));
    }
}

#[tokio::test]
async fn a_tool_of_the_own_mcp_endpoint_is_part_of_the_trace() {
    let collector = Collector::start().await;
    let app = collector.of(Setup::new()).start().await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "act", "arguments": {"agent_id": "hero", "action": "rest"}}});
    let answer = traced(&app, "/mcp", &message).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let spans = collector.until("POST /mcp").await;
    let call = spans.iter().find(|span| span.name.starts_with("tools/call ")).unwrap();
    assert_eq!(call.parent, named(&spans, "POST /mcp").id);
    assert_eq!(named(&spans, "gates").parent, call.id);
    assert_eq!(app.journal().await.pop().unwrap().json()["trace_id"], TRACE);
}

#[tokio::test]
async fn opa_and_the_webhook_get_the_context() {
    let opa = StandIn::start(vec![Reply::json(200, &json!({"result": true}))]).await.unwrap();
    let receiver = StandIn::start(vec![Reply::new(204, "text/plain", "")]).await.unwrap();
    let policy = format!(
        "version: '1'\nallowed_dirs: [plans]\napprovals: {{webhook: '{}/hook'}}\n",
        receiver.base_url()
    );
    let collector = Collector::start().await;
    let setup = Setup::new()
        .policy(&policy)
        .set("OPA_ENABLE", "true")
        .set("OPA_URL", opa.base_url().strip_suffix("/v1").unwrap())
        .set("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let app = collector.of(setup).start().await;
    let plan = json!({"intent": "greet", "target_paths": ["plans/a.md"], "edits": [
        {"op": "create", "path": "plans/a.md", "content": "Hello.\n"}]});
    traced(&app, "/plan", &plan).await.ok();
    receiver.until_seen(1).await;
    let mut spans = collector.until("POST /plan").await;
    while spans.iter().filter(|span| span.name == "POST").count() < 2 {
        spans = collector.until("POST").await;
    }
    let of = |service: &str| {
        spans.iter().find(|span| span.attribute("peer.service") == Some(service)).unwrap()
    };
    let (asked, sent) = (of("opa"), of("webhook"));
    assert_eq!(opa.seen()[0].header("traceparent"), Some(asked.header().as_str()));
    assert_eq!(asked.parent, named(&spans, "gates").id);
    assert_eq!(receiver.seen()[0].header("traceparent"), Some(sent.header().as_str()));
    assert_eq!(
        (sent.trace.as_str(), sent.attribute("http.response.status_code")),
        (TRACE, Some("204"))
    );
}

#[tokio::test]
async fn a_queued_turn_stays_in_the_trace_of_its_request() {
    let collector = Collector::start().await;
    let app = collector.of(Setup::new()).start().await;
    let turn = json!({"agent_id": "hero", "input": "look around"});
    let mut turns = app.events("?kind=obs.turn").await;
    let request = app.request(Method::POST, "/turn").header("Prefer", "respond-async");
    let queued = Answer::of(request.header("traceparent", parent()).json(&turn)).await;
    assert_eq!(queued.status, 202, "{queued:?}");
    let row = turns.next().await.json();
    assert_eq!(row["data"]["trace_id"], TRACE, "{row}");
}

#[tokio::test]
async fn without_a_collector_nothing_is_traced_or_passed_on() {
    let provider = StandIn::start(vec![Reply::text("Well met.")]).await.unwrap();
    let app = model_setup(&provider).start().await;
    traced(&app, "/llm/chat", &chat("hello")).await.ok();
    assert_eq!(provider.seen()[0].header("traceparent"), None);
    for row in app.journal().await {
        assert!(row.json().get("trace_id").is_none(), "{row:?}");
    }
    let error = app.get("/nope").await.error(404, "not_found");
    assert!(error.get("details").is_none(), "{error}");
    let disabled = Collector::start().await;
    let app = disabled.of(Setup::new()).set("OTEL_SDK_DISABLED", "true").start().await;
    traced(&app, "/act", &act()).await.ok();
    assert!(app.journal().await.pop().unwrap().json().get("trace_id").is_none());
}

#[tokio::test]
async fn a_collector_that_is_dead_or_silent_delays_and_fails_nothing() {
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let silent = Collector::answering(Reply::silence()).await;
    for setup in
        [silent.of(Setup::new()).set("OTEL_EXPORTER_OTLP_ENDPOINT", &dead), silent.of(Setup::new())]
    {
        let mut app =
            setup.set("OTEL_BSP_MAX_QUEUE_SIZE", "1").set("RATE_LIMIT_RPS", "0").start().await;
        for _ in 0..50 {
            traced(&app, "/act", &act()).await.ok();
        }
        let dropped = app.metric(r#"trace_spans_total{outcome="dropped"}"#).await.unwrap();
        assert!(dropped > 50.0, "{dropped}");
        assert!(app.stop().await.success());
    }
    let refusing = Collector::answering(Reply::new(401, "text/plain", "no")).await;
    let mut app = refusing.of(Setup::new()).start().await;
    traced(&app, "/act", &act()).await.ok();
    refusing.until("POST /act").await;
    assert!(app.stop().await.success());
    let log = String::from_utf8(app.read("logs/app.log")).unwrap();
    assert_eq!(log.matches("traces cannot be exported").count(), 1, "{log}");
}

#[tokio::test]
async fn the_headers_of_the_export_are_secret_and_the_protocol_is_checked() {
    let collector = Collector::start().await;
    let app = collector.of(Setup::new()).start().await;
    let output = app.command().arg("config").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("OTEL_EXPORTER_OTLP_HEADERS") && !text.contains(COLLECTOR_KEY), "{text}");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b c"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ] {
        let refused = collector.of(Setup::new()).set(name, value).refused().await;
        assert!(refused.in_words().contains(name), "{name}: {refused:?}");
    }
}
