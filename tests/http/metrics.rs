//! `GET /metrics`

use life_agent_groq::testing::{Answer as Reply, StandIn};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Setup, TestApp, chat, credentials, model_setup, with_model};

#[tokio::test]
async fn it_is_prometheus_text() {
    let app = TestApp::start().await;
    let answer = Answer::of(app.bare(Method::GET, "/metrics")).await;
    assert_eq!(
        (answer.status, answer.header("Content-Type")),
        (200, Some("text/plain; version=0.0.4"))
    );
    for line in answer.text().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name_end = series.find('{').unwrap_or(series.len());
        let name_char = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        assert!(series[..name_end].chars().all(name_char), "{line}");
    }
}

#[tokio::test]
async fn steps_denials_and_requests_are_counted_and_timed() {
    let app = TestApp::start().await;
    app.act("a", "rest").await;
    app.act("a", "rest").await;
    app.turn("a", "hello").await;
    app.post("/plan", &json!({"intent": "x", "context": "y", "target_paths": ["plans/a.md"]}))
        .await
        .ok();
    app.post("/turn", &json!({"agent_id": "a", "input": "../../../../etc/passwd"})).await;
    app.post("/plan", &json!({"intent": "x", "context": "y", "target_paths": ["../a.md"]})).await;
    let text = app.metrics().await;
    let value = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no `{series}` in\n{text}")).parse().unwrap()
    };
    assert_eq!(value(r#"actions_total{kind="act",outcome="allowed"}"#), 2.0);
    assert_eq!(value(r#"actions_total{kind="turn",outcome="allowed"}"#), 1.0);
    for kind in ["turn", "plan"] {
        let denied = format!(r#"{{kind="{kind}",outcome="denied"}}"#);
        assert_eq!(value(&format!("actions_total{denied}")), 1.0);
        assert_eq!(value(&format!("act_seconds_count{denied}")), 1.0);
    }
    assert_eq!(value(r#"actions_total{kind="act",outcome="denied"}"#), 0.0);
    assert_eq!(value(r#"policy_denied_total{reason="risk_pattern"}"#), 1.0);
    assert_eq!(value(r#"policy_denied_total{reason="path_forbidden"}"#), 1.0);
    assert_eq!(value(r#"act_seconds_count{kind="act",outcome="allowed"}"#), 2.0);
    assert!(value("plan_seconds_count") >= 1.0);
    assert!(value("journal_commit_seconds_count") >= 6.0);
    assert!(value("journal_batch_rows_sum") >= 7.0);
    assert!(value(r#"gate_seconds_count{gate="risk"}"#) >= 6.0);
    assert_eq!(value(r#"http_requests_total{method="POST",route="/act",status="200"}"#), 2.0);
    assert_eq!(value(r#"http_request_seconds_count{route="/act"}"#), 2.0);
    // Histograms, not summaries.
    assert!(text.contains(r#"act_seconds_bucket{kind="act",outcome="allowed",le="#), "{text}");
    assert!(text.contains("journal_commit_seconds_bucket{le="), "{text}");
    assert!(text.contains("process_resident_memory_bytes "), "{text}");
}

#[tokio::test]
async fn every_reason_exists_before_the_first_denial() {
    let app = TestApp::start().await;
    for reason in [
        "risk_pattern",
        "path_forbidden",
        "opa_deny",
        "rule_deny",
        "rate_limited",
        "kill_switch",
        "plan_limit",
    ] {
        let series = format!(r#"policy_denied_total{{reason="{reason}"}}"#);
        assert_eq!(app.metric(&series).await, Some(0.0), "{reason}");
    }
}

#[tokio::test]
async fn denied_tool_calls_and_requests_for_approvals_are_counted_as_denied() {
    let policy = "version: '1'\nallowed_dirs: [plans]\nrules: [{id: ask, match: {actions: [x]}, \
                  effect: ask}]\ntools: [{names: [Bash], effect: deny}]\n";
    let app = Setup::new().policy(policy).start().await;
    app.post("/act", &json!({"agent_id": "a", "action": "x"}))
        .await
        .error(403, "approval_required");
    let tool = json!({"agent_id": "a", "tool": "Bash", "arguments": {"command": "ls"}});
    app.post("/tool", &tool).await.error(403, "tool_denied");
    for kind in ["act", "tool"] {
        for (outcome, count) in [("denied", 1.0), ("allowed", 0.0)] {
            let series = format!(r#"actions_total{{kind="{kind}",outcome="{outcome}"}}"#);
            assert_eq!(app.metric(&series).await, Some(count), "{series}");
        }
    }
}

#[tokio::test]
async fn selected_labels_have_a_bounded_number_of_values() {
    let app = Setup::new().set("METRICS_LABELS", "principal, agent").start().await;
    for nth in 0..105 {
        app.act(&format!("agent-{nth}"), "rest").await;
    }
    app.post("/turn", &json!({"agent_id": "agent-7", "input": "../../../../etc/passwd"})).await;
    app.post("/plan", &json!({"intent": "x", "target_paths": ["plans/a.md"]})).await.ok();
    let text = app.metrics().await;
    let act = |agent: &str| {
        let labels = r#"kind="act",outcome="allowed",principal="default""#;
        format!("actions_total{{{labels},agent=\"{agent}\"}}")
    };
    for (series, count) in [
        (act("agent-7"), 1),
        (act("agent-99"), 1),
        (act("other"), 5),
        (r#"actions_total{kind="plan",outcome="allowed",principal="default",agent=""}"#.into(), 1),
        (
            r#"policy_denied_total{reason="risk_pattern",principal="default",agent="agent-7"}"#
                .to_owned(),
            1,
        ),
    ] {
        assert!(text.contains(&format!("{series} {count}\n")), "{series}:\n{text}");
    }
    assert!(!text.contains("agent-100"), "{text}");
    let acts = r#"act_seconds_count{kind="act",outcome="allowed"} 105"#;
    assert!(text.contains(acts), "{text}");
}

#[tokio::test]
async fn every_model_is_named_if_the_operator_selects_it_and_no_credential_is() {
    let provider = StandIn::start(vec![Reply::text("Hello.")]).await.unwrap();
    let app = model_setup(&provider).set("METRICS_LABELS", "model").start().await;
    let secret = credentials().remove(0).secret;
    for model in ["first/model", "second/model", "first/model", secret.as_str()] {
        let mut ask = chat("hello");
        ask["model"] = json!(model);
        app.post("/v1/chat/completions", &ask).await;
    }
    let requests = |model: &str| format!(r#"llm_requests_total{{model="{model}"}}"#);
    assert_eq!(app.metric(&requests("first/model")).await, Some(2.0));
    assert_eq!(app.metric(&requests("second/model")).await, Some(1.0));
    assert!(!app.metrics().await.contains(&secret));
    let refused = Setup::new().set("METRICS_LABELS", "route").refused().await;
    assert!(refused.stderr.contains("METRICS_LABELS"), "{refused:?}");
}

#[tokio::test]
async fn a_model_of_a_reloaded_policy_is_named() {
    let (_provider, app) = with_model(vec![Reply::text("Hello.")]).await;
    let requests = |model: &str| format!(r#"llm_requests_total{{model="{model}"}}"#);
    let mut ask = chat("hello");
    ask["model"] = json!("new/model");
    app.post("/llm/chat", &ask).await.ok();
    assert_eq!(app.metric(&requests("other")).await, Some(1.0));
    let policy = "version: '1'\nallowed_dirs: [plans]\nllm: {model: new/model}\n";
    std::fs::write(app.folder().join("policy/policy.yaml"), policy).unwrap();
    app.post_nothing("/policy/reload").await.ok();
    app.post("/llm/chat", &ask).await.ok();
    assert_eq!(app.metric(&requests("new/model")).await, Some(1.0));
    assert_eq!(app.metric(&requests("other")).await, Some(1.0));
}

#[tokio::test]
async fn open_streams_are_counted() {
    let app = TestApp::start().await;
    assert_eq!(app.metric("sse_subscribers").await, Some(0.0));
    let (one, two) = (app.events("").await, app.events("").await);
    assert_eq!(app.metric("sse_subscribers").await, Some(2.0));
    drop((one, two));
}

#[tokio::test]
async fn no_label_contains_a_callers_text() {
    let app = TestApp::start().await;
    let mark = "mark4711";
    app.act(&format!("agent-{mark}"), &format!("action-{mark}")).await;
    app.get(&format!("/nope-{mark}")).await;
    app.get(&format!("/plans/{mark}")).await;
    app.get(&format!("/state?agent_id={mark}")).await;
    app.post("/turn", &json!({"agent_id": mark, "input": mark, mark: 1})).await;
    let odd = Method::from_bytes(mark.to_uppercase().as_bytes()).unwrap();
    Answer::of(app.request(odd, "/act")).await;
    let text = app.metrics().await.to_lowercase();
    assert!(!text.contains(mark), "{text}");
    assert!(text.contains(r#"route="/plans/{id}""#), "{text}");
}
