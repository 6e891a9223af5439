//! `llm.on_failure: offline`: turns and plans go on without a model that fails.

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use reqwest::Method;
use serde_json::{Value, json};

use super::audit::run_json;
use crate::approvals::{self, asked, decide};
use crate::support::{
    Answer as Told, Events, LENIENT, PROVIDER_KEY, Setup, TestApp, chat, model_setup, with_model,
};

const FILE: &str = "plans/a.md";

fn turn() -> Value {
    json!({"agent_id": "hero", "input": "explore the keep"})
}

fn plan() -> Value {
    json!({"intent": "greet", "target_paths": [FILE]})
}

fn missing_model() -> Answer {
    Answer::error(404, "model_not_found", "no such model")
}

/// A server with this model whose calls time out after a second.
async fn impatient(script: Vec<Answer>) -> (StandIn, TestApp) {
    let provider = StandIn::start(script).await.unwrap();
    let app = model_setup(&provider).set("GROQ_TIMEOUT_SECONDS", "1").start().await;
    (provider, app)
}

/// The ways in which a model fails, and the code of the fallback.
fn failures() -> Vec<(&'static str, Answer, &'static str)> {
    let full = |status| Answer::error(status, "full", "come again").header("retry-after", "60");
    let wrong = format!("no such key: {PROVIDER_KEY}");
    vec![
        ("wrong key", Answer::error(401, "invalid_api_key", &wrong), "llm_failed"),
        ("no model", missing_model(), "llm_failed"),
        ("unsuited", Answer::error(400, "invalid_request", "no tools here"), "llm_failed"),
        ("500", Answer::error(500, "internal", "out of order"), "llm_failed"),
        ("limit", full(429), "overloaded"),
        ("capacity", full(498), "overloaded"),
        ("HTML", Answer::new(200, "text/html", "<html>welcome</html>"), "llm_failed"),
        ("broken", Answer::new(200, "application/json", "{\"choices\": [{"), "llm_failed"),
        ("no message", Answer::json(200, &json!({"choices": [{"message": 3}]})), "llm_failed"),
        ("cut", Answer::text("The gate").cut_off(), "llm_failed"),
        ("hang up", Answer::hang_up(), "llm_failed"),
        ("silence", Answer::silence(), "timeout"),
    ]
}

#[tokio::test]
async fn a_turn_goes_on_without_a_model_that_fails() {
    let offline = Setup::new().start().await.turn("hero", "explore the keep").await;
    assert!(offline.get("fallback").is_none(), "no model was to take part: {offline}");
    for (what, failure, code) in failures() {
        let (_provider, mut app) = impatient(vec![failure]).await;
        let answer = app.post("/turn", &turn()).await;
        let turned = answer.ok();
        for field in ["response", "turn", "state_version", "state_hash", "source"] {
            assert_eq!(turned[field], offline[field], "{what}: {turned}");
        }
        assert_eq!(turned["fallback"]["code"], code, "{what}: {turned}");
        assert!(!turned["fallback"]["message"].as_str().unwrap().is_empty(), "{what}");
        assert!(turned.get("withheld").is_none() && !answer.text().contains(PROVIDER_KEY));
        let rows = app.journal_of("&agent_id=hero").await;
        let [failed, row] = rows.as_slice() else { panic!("{what}: {rows:?}") };
        assert_eq!(failed.json()["outcome"], "failed", "{what}");
        assert_eq!((row.kind.as_str(), turned["event_id"].as_u64()), ("obs.turn", Some(row.id)));
        let data = row.json();
        assert_eq!((&data["source"], &data["response"]), (&json!("offline"), &turned["response"]));
        assert_eq!(data["telling"]["fallback"], turned["fallback"], "{what}");
        let counted = format!(r#"llm_fallbacks_total{{kind="turn",reason="{code}"}}"#);
        assert_eq!(app.metric(&counted).await, Some(1.0), "{what}");
        app.stop().await;
        let report = run_json(&app, 0, &["replay"]);
        assert_eq!(report["divergences"], json!([]), "{what}: {report}");
    }
}

#[tokio::test]
async fn a_plan_becomes_a_statement_of_intent_if_the_model_fails() {
    for (what, failure, code) in failures() {
        let (_provider, app) = impatient(vec![failure]).await;
        let planned = app.post("/plan", &plan()).await.ok();
        assert_eq!((&planned["patch"], &planned["drafted_by"]), (&Value::Null, &Value::Null));
        assert_eq!(planned["fallback"]["code"], code, "{what}: {planned}");
        let id = planned["id"].as_str().unwrap();
        let shown = app.get(&format!("/plans/{id}")).await.ok();
        assert_eq!(
            (&shown["fallback"], &shown["has_patch"]),
            (&planned["fallback"], &json!(false))
        );
        let artifact = app.read(planned["artifact"].as_str().unwrap());
        let artifact: Value = serde_json::from_slice(&artifact).unwrap();
        assert_eq!(artifact["fallback"], planned["fallback"], "{what}");
        assert_eq!(artifact["targets"], json!([FILE]));
        let row = app.journal_of("&kind=plan.created").await.remove(0).json();
        assert_eq!(row["fallback"], planned["fallback"], "{what}");
        let failed = app.journal_of("&kind=llm.chat").await;
        assert!(failed.iter().all(|row| row.json()["outcome"] == "failed"), "{what}");
        let counted = format!(r#"llm_fallbacks_total{{kind="plan",reason="{code}"}}"#);
        assert_eq!(app.metric(&counted).await, Some(1.0), "{what}");
    }
}

#[tokio::test]
async fn drafts_that_stay_faulty_leave_a_statement_of_intent_with_the_faults() {
    let create = |path: &str| json!({"edits": [{"op": "create", "path": path, "content": "x\n"}]});
    for (draft, code, denied) in [
        (Answer::text("I would rather not."), "draft_malformed", false),
        (Answer::text(&create("plans/b.md").to_string()), "not_a_target", false),
        (Answer::text(&create("policy/policy.yaml").to_string()), "path_forbidden", true),
        (Answer::tool_call("open_gate", "{}"), "draft_malformed", false),
    ] {
        let provider = StandIn::start(vec![draft]).await.unwrap();
        let app = model_setup(&provider).policy(LENIENT).start().await;
        let planned = app.post("/plan", &plan()).await.ok();
        assert_eq!(planned["fallback"]["code"], "plan_invalid", "{planned}");
        let message = planned["fallback"]["message"].as_str().unwrap();
        assert!(message.contains("3 drafts") && message.contains(code), "{message}");
        assert_eq!((&planned["patch"], provider.seen().len()), (&Value::Null, 3));
        // The attempt of the model is on the record all the same.
        let denials = app.journal_of("&kind=gate.denied").await.len();
        assert_eq!(denials, usize::from(denied), "{code}");
    }
}

#[tokio::test]
async fn targets_that_the_caller_must_not_name_are_refused_as_before() {
    let (provider, app) = with_model(vec![missing_model()]).await;
    let body = json!({"intent": "x", "target_paths": ["src/main.rs"]});
    app.post("/plan", &body).await.error(403, "path_forbidden");
    assert!(provider.seen().is_empty());
    assert_eq!(app.get("/plans").await.ok()["plans"], json!([]));
}

#[tokio::test]
async fn calls_of_the_model_itself_still_report_the_failure() {
    let (_provider, app) = with_model(vec![missing_model()]).await;
    app.post("/llm/chat", &chat("hello")).await.error(502, "llm_failed");
    let forwarded = app.post("/v1/chat/completions", &chat("hello")).await;
    assert_eq!(forwarded.status, 404, "{forwarded:?}");
}

#[tokio::test]
async fn what_the_model_did_before_it_failed_stays_and_is_paid_once() {
    let (_provider, mut app) = with_model(vec![
        Answer::tool_call("act", r#"{"action": "rest"}"#),
        Answer::tool_call("remember", r#"{"text": "the gate is shut"}"#),
        missing_model(),
    ])
    .await;
    let turned = app.post("/turn", &turn()).await.ok();
    assert_eq!((&turned["source"], &turned["state_version"]), (&json!("offline"), &json!(3)));
    assert_eq!(turned["steps"].as_array().unwrap().len(), 2, "{turned}");
    assert_eq!(turned["usage"]["total_tokens"], 36);
    let state = app.state("hero").await;
    assert_eq!((&state["actions"]["rest"], &state["turns"]), (&json!(1), &json!(1)));
    assert_eq!(state["facts"][0]["text"], "the gate is shut");
    let used = app.get("/usage?by=agent").await.ok();
    assert_eq!(used["usage"][0]["total_tokens"], 36, "{used}");
    app.stop().await;
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!((&report["told"], &report["divergence_count"]), (&json!(1), &json!(0)), "{report}");
}

#[tokio::test]
async fn a_turn_whose_time_is_up_is_answered_by_the_rules() {
    let slow = Answer::text("late").slowly(Duration::from_secs(1));
    for never in [Answer::silence(), slow] {
        let provider =
            StandIn::start(vec![Answer::tool_call("act", r#"{"action": "rest"}"#), never]);
        let provider = provider.await.unwrap();
        let policy = "version: '1'\nallowed_dirs: [plans]\nllm: {turn_seconds: 1}\n";
        let mut app = model_setup(&provider).policy(policy).start().await;
        let turned = app.post("/turn", &turn()).await.ok();
        assert_eq!(turned["fallback"]["code"], "timeout", "{turned}");
        assert_eq!(turned["state_version"], 2);
        app.stop().await;
        assert_eq!(run_json(&app, 0, &["replay"])["divergence_count"], 0);
    }
}

#[tokio::test]
async fn an_unreachable_provider_and_an_open_breaker_take_nothing_away() {
    let setup = Setup::new().set("GROQ_API_KEY", PROVIDER_KEY);
    let app = setup.set("GROQ_BASE_URL", "http://127.0.0.1:9/v1").start().await;
    let mut codes = std::collections::BTreeSet::new();
    for number in 1..=12 {
        let turned = app.post("/turn", &turn()).await.ok();
        assert_eq!(turned["turn"]["number"], number);
        codes.insert(turned["fallback"]["code"].as_str().unwrap().to_owned());
    }
    assert!(codes.contains("llm_failed") && codes.contains("overloaded"), "{codes:?}");
    assert_eq!(app.get("/llm/status").await.ok()["breaker"], "open");
    assert_eq!(app.post("/plan", &plan()).await.ok()["fallback"]["code"], "overloaded");
    // The begun call of a stream has an end on the record although no request was sent.
    let request = app.request(Method::POST, "/turn").header("Accept", "text/event-stream");
    let mut events = Events::open_unready(request.json(&turn())).await;
    let done = events.next().await;
    assert_eq!(done.name.as_deref(), Some("done"));
    assert_eq!(done.json()["fallback"]["code"], "overloaded");
    let kinds: Vec<_> = app.journal().await.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds[kinds.len() - 3..], ["llm.begun", "llm.chat", "obs.turn"]);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_the_sentence_of_the_rules() {
    let words: Vec<_> =
        (0..300).map(|_| chunk(&json!({"content": "long road "}), &Value::Null)).collect();
    let (_provider, app) = with_model(vec![Answer::events(&words).cut_off()]).await;
    let request = app.request(Method::POST, "/turn").header("Accept", "text/event-stream");
    let mut events = Events::open_unready(request.json(&turn())).await;
    let mut seen = Vec::new();
    while let Some(event) = events.block().await {
        seen.push(event);
    }
    assert_eq!(seen[0].name.as_deref(), Some("delta"));
    let done = seen.last().unwrap();
    assert_eq!(done.name.as_deref(), Some("done"));
    let done = done.json();
    assert_eq!(
        (&done["source"], &done["fallback"]["code"]),
        (&json!("offline"), &json!("llm_failed"))
    );
    assert!(done["response"].as_str().unwrap().starts_with("Processed"), "{done}");
    let kinds: Vec<_> = app.journal_of("").await.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["service.started", "llm.begun", "llm.chat", "obs.turn"]);
}

#[tokio::test]
async fn a_budget_is_released_for_a_rejected_call_and_kept_for_a_broken_one() {
    for (failure, is_charged) in [(missing_model(), false), (Answer::text("x").cut_off(), true)] {
        let provider = StandIn::start(vec![failure]).await.unwrap();
        let policy =
            "version: '1'\nallowed_dirs: [plans]\nbudgets: [{id: day, tokens_per_day: 9000}]\n";
        let app = model_setup(&provider).policy(policy).start().await;
        app.post("/turn", &turn()).await.ok();
        app.post("/plan", &plan()).await.ok();
        let (reserved, settled) = (
            app.journal_of("&kind=budget.reserved").await.len(),
            app.journal_of("&kind=budget.settled").await.len(),
        );
        assert_eq!((reserved, settled), (2, if is_charged { 0 } else { 2 }));
        let budget = app.get("/whoami").await.ok()["budget"][0].clone();
        assert_eq!(budget["tokens_today"] == 0, !is_charged, "{budget}");
    }
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_no_failure_of_the_model() {
    let provider = StandIn::start(vec![missing_model()]).await.unwrap();
    let policy = "version: '1'\nallowed_dirs: [plans]\nbudgets: [{id: day, tokens_per_day: 1}]\n";
    let app = model_setup(&provider).policy(policy).start().await;
    app.post("/plan", &plan()).await.error(429, "budget_exceeded");
    let turned = app.post("/turn", &turn()).await.ok();
    assert_eq!(turned["withheld"]["code"], "budget_exceeded", "{turned}");
    assert!(turned.get("fallback").is_none());
}

#[tokio::test]
async fn a_switch_that_was_turned_while_the_model_failed_denies_the_turn_and_the_plan() {
    for (path, body) in [("/turn", turn()), ("/plan", plan())] {
        let (mut provider, app) = impatient(vec![Answer::silence()]).await;
        let request = app.request(Method::POST, path).json(&body);
        let waiting = tokio::spawn(Told::of(request));
        provider.until_open(1).await;
        app.post("/kill-switch", &json!({"on": true, "reason": "drill"})).await.ok();
        waiting.await.unwrap().error(503, "kill_switch");
        assert_eq!(app.state("hero").await["version"], 0);
        let kinds: Vec<_> = app.journal().await.into_iter().map(|row| row.kind).collect();
        let expected =
            ["service.started", "kill_switch.on", "llm.chat", "gate.denied"].map(str::to_owned);
        assert_eq!(kinds, expected, "{path}");
    }
}

#[tokio::test]
async fn an_approval_of_a_plan_or_a_turn_is_used_by_its_fallback() {
    let provider = StandIn::start(vec![missing_model()]).await.unwrap();
    let setup = approvals::setup().policy(&approvals::policy(""));
    let setup = setup.set("GROQ_API_KEY", PROVIDER_KEY);
    let app = setup.set("GROQ_BASE_URL", provider.base_url()).start().await;
    let launch = json!({"agent_id": "gpt-1", "input": "launch it"});
    for (path, body) in [("/plan", plan()), ("/turn", launch)] {
        let id = asked(&approvals::post(&app, "gpt", path, &body).await);
        decide(&app, "eve", id, "approve").await.ok();
        let passed = approvals::post(&app, "gpt", path, &body).await.ok();
        assert_eq!(passed["fallback"]["code"], "llm_failed", "{passed}");
        let shown = app.get(&format!("/approvals/{id}")).await.ok();
        assert_eq!(shown["status"], "used", "{shown}");
        assert_ne!(asked(&approvals::post(&app, "gpt", path, &body).await), id);
    }
}

#[tokio::test]
async fn a_queued_turn_goes_on_without_the_model_and_says_so_after_a_restart_too() {
    let (_provider, mut app) = with_model(vec![missing_model()]).await;
    let mut record = app.events("?kind=obs.turn").await;
    let request = app.request(Method::POST, "/turn").header("Prefer", "respond-async");
    let queued = Told::of(request.json(&turn())).await;
    assert_eq!(queued.status, 202, "{queued:?}");
    record.next().await;
    drop(record);
    app.restart().await;
    let id = queued.json()["id"].as_str().unwrap().to_owned();
    let ended = app.get(&format!("/turns/{id}")).await.ok();
    assert_eq!(ended["result"]["fallback"]["code"], "llm_failed", "{ended}");
}
