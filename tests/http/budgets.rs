//! Budgets of model calls and `GET /usage`, against a provider that misreports, breaks off and lies.

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer as Told, ENFORCING, KEY, TestApp, chat, model_setup};

const COMPLETIONS: &str = "/v1/chat/completions";

fn policy(budgets: &str) -> String {
    format!(
        "version: '1'\nallowed_dirs: [plans]\nbudgets: {budgets}\nprices:\n  \
         openai/gpt-oss-120b: {{input: 1, output: 2}}\n  cheap-*: {{input: 0, output: 0}}\n"
    )
}

async fn with_budget(script: Vec<Answer>, budgets: &str) -> (StandIn, TestApp) {
    let provider = StandIn::start(script).await.unwrap();
    let setup = model_setup(&provider).policy(&policy(budgets));
    // The default key reads everything; `ann` has the budget.
    let app =
        setup.set("API_TOKENS", "ann=key-of-ann-0123456789,bob=key-of-bob-0123456789").start();
    (provider, app.await)
}

fn as_ann(app: &TestApp, path: &str) -> reqwest::RequestBuilder {
    app.bare(Method::POST, path).header("X-API-Key", "key-of-ann-0123456789")
}

/// An answer that reports this usage.
fn reporting(prompt: Value, completion: Value) -> Answer {
    Answer::json(
        200,
        &json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "openai/gpt-oss-120b",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": "fine"}}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": completion}
        }),
    )
}

fn small(said: &str) -> Value {
    let mut body = chat(said);
    body["max_tokens"] = 10.into();
    body
}

async fn used(app: &TestApp, key: &str) -> Value {
    let request = app.bare(Method::GET, "/whoami").header("X-API-Key", key);
    Told::of(request).await.ok()["budget"][0].clone()
}

async fn usage(app: &TestApp, query: &str) -> Value {
    app.get(&format!("/usage{query}")).await.ok()
}

/// Tokens that the rows of the account charge.
async fn charged(app: &TestApp) -> u64 {
    let (mut open, mut total) = (std::collections::BTreeMap::new(), 0);
    for row in app.journal_of("&kind=budget.*").await {
        let data = row.json();
        let tokens =
            data["prompt_tokens"].as_u64().unwrap() + data["completion_tokens"].as_u64().unwrap();
        if row.kind == "budget.reserved" {
            open.insert(row.id, tokens);
            total += tokens;
        } else {
            total -= open.remove(&data["reserved"].as_u64().unwrap()).unwrap();
            total += tokens;
        }
    }
    total
}

#[tokio::test]
async fn a_call_beyond_the_budget_is_refused_until_the_period_ends() {
    let budgets = "[{id: team, match: {principals: [ann]}, requests_per_day: 2}]";
    let (provider, app) = with_budget(vec![reporting(json!(11), json!(7))], budgets).await;
    for _ in 0..2 {
        Told::of(as_ann(&app, "/llm/chat").json(&small("hello"))).await.ok();
    }
    let refused = Told::of(as_ann(&app, "/llm/chat").json(&small("hello"))).await;
    let error = refused.error(429, "budget_exceeded");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`requests_per_day` of the budget `team`"), "{message}");
    assert_eq!(error["details"]["gate"], "budget");
    assert_eq!(error["details"]["rule"], "team/requests_per_day");
    let resets_at = error["details"]["resets_at"].as_str().unwrap();
    assert!(resets_at.ends_with("T00:00:00.000000Z") && message.contains(resets_at), "{resets_at}");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    for (path, body) in [
        (
            COMPLETIONS,
            json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            COMPLETIONS,
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        ("/v1/embeddings", json!({"model": "m", "input": "hi"})),
    ] {
        let refused = Told::of(as_ann(&app, path).json(&body)).await;
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(refused.header("Retry-After").is_some());
        assert!(refused.text().contains("budget"), "{refused:?}");
    }
    assert_eq!(provider.seen().len(), 2, "nothing was sent");
    // Others have no such budget.
    app.post("/llm/chat", &small("hello")).await.ok();
    let denied = app.journal_of("&kind=gate.denied").await;
    assert_eq!(denied.len(), 4);
    assert!(denied.iter().all(|row| row.json()["reason"] == "budget_exceeded"));
    assert_eq!(app.metric(r#"policy_denied_total{reason="budget_exceeded"}"#).await, Some(4.0));
}

#[tokio::test]
async fn concurrent_calls_never_exceed_a_budget_together_and_a_restart_changes_nothing() {
    // Reports no more than what was reserved, so that responses in progress cannot exceed the budget either.
    let budgets = "[{id: team, match: {principals: [ann]}, tokens_per_day: 500}]";
    let (provider, mut app) = with_budget(vec![reporting(json!(3), json!(10))], budgets).await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..64 {
        let path = if n % 2 == 0 { "/llm/chat" } else { COMPLETIONS };
        let mut body = small("hello");
        body["model"] = "openai/gpt-oss-120b".into();
        calls.spawn(Told::of(as_ann(&app, path).json(&body)));
    }
    let answers = calls.join_all().await;
    let fine = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(fine + refused, 64);
    assert_eq!(provider.seen().len(), fine);
    assert!(fine >= 1 && refused >= 1 && fine * 13 <= 500, "{fine} calls");
    let budget = used(&app, "key-of-ann-0123456789").await;
    assert_eq!(budget["tokens_today"], fine * 13);
    assert_eq!(budget["requests_today"], fine);
    assert_eq!(charged(&app).await, (fine * 13) as u64);
    let total = usage(&app, "?by=principal").await;
    assert_eq!(total["usage"][0]["name"], "ann");
    assert_eq!(total["total"]["prompt_tokens"], fine * 3);
    assert_eq!(total["total"]["completion_tokens"], fine * 10);
    let cost = total["total"]["cost"].as_f64().unwrap();
    assert!((cost - (fine * 23) as f64 / 1e6).abs() < 1e-12, "{cost}");
    app.kill_9();
    app.start_again().await;
    assert_eq!(used(&app, "key-of-ann-0123456789").await["tokens_today"], fine * 13);
    assert_eq!(usage(&app, "?by=principal").await["total"], total["total"]);
}

#[tokio::test]
async fn lies_and_silence_about_usage_are_charged_in_full() {
    let budgets = "[{id: team, match: {principals: [ann]}, tokens_per_day: 100000}]";
    let script = vec![
        reporting(json!(5), json!(5)),
        reporting(Value::Null, Value::Null),
        Answer::json(
            200,
            &json!({"model": "m", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "no usage at all"}}]}),
        ),
        reporting(json!(-7), json!("many")),
        reporting(json!(50_000), json!(60_000)),
    ];
    let (_provider, app) = with_budget(script, budgets).await;
    let mut before = 0;
    for expected in ["settled", "reserved", "reserved", "reserved", "settled"] {
        Told::of(as_ann(&app, "/llm/chat").json(&small("hello"))).await.ok();
        let rows = app.journal_of("&kind=budget.*").await;
        assert_eq!(rows.last().unwrap().kind, format!("budget.{expected}"));
        let now = charged(&app).await;
        assert!(now >= before);
        assert_eq!(used(&app, "key-of-ann-0123456789").await["tokens_today"], now, "{expected}");
        before = now;
    }
    // The last reply used more than the budget: no further call is made.
    assert!(before > 100_000);
    let refused = Told::of(as_ann(&app, "/llm/chat").json(&small("hello"))).await;
    refused.error(429, "budget_exceeded");
}

#[tokio::test]
async fn interrupted_calls_stay_charged_and_rejected_ones_do_not() {
    let budgets = "[{id: team, match: {principals: [ann]}, tokens_per_day: 100000}]";
    let partial = Answer::events(&[chunk(&json!({"content": "once"}), &Value::Null)]);
    let script = vec![
        Answer::error(400, "bad", "no such parameter"),
        partial.clone().cut_off(),
        Answer::stream(&["a ", "whole ", "story"]),
    ];
    let (_provider, mut app) = with_budget(script, budgets).await;
    let stream = json!({"model": "m", "max_tokens": 500, "stream": true,
        "messages": [{"role": "user", "content": "tell"}]});
    let rejected = Told::of(as_ann(&app, COMPLETIONS).json(&stream)).await;
    assert_eq!(rejected.status, 400, "{rejected:?}");
    let budget = used(&app, "key-of-ann-0123456789").await;
    assert_eq!((&budget["tokens_today"], &budget["requests_today"]), (&json!(0), &json!(0)));
    let _broken = Told::of(as_ann(&app, COMPLETIONS).json(&stream)).await;
    let after_break = used(&app, "key-of-ann-0123456789").await["tokens_today"].as_u64().unwrap();
    assert!(after_break > 500, "the reply may have been complete: {after_break}");
    Told::of(as_ann(&app, COMPLETIONS).json(&stream)).await;
    let budget = used(&app, "key-of-ann-0123456789").await;
    assert_eq!(budget["tokens_today"], after_break + 18);
    app.restart().await;
    assert_eq!(used(&app, "key-of-ann-0123456789").await["tokens_today"], after_break + 18);
    assert_eq!(charged(&app).await, after_break + 18);
}

#[tokio::test]
async fn a_caller_that_disconnects_leaves_its_reservation() {
    let budgets = "[{id: team, match: {principals: [ann]}, tokens_per_day: 100000}]";
    let slow = Answer::stream(&["a ", "very ", "long ", "story"]).slowly(Duration::from_millis(20));
    let (_provider, app) = with_budget(vec![slow], budgets).await;
    let stream = json!({"model": "m", "max_tokens": 500, "stream": true,
        "messages": [{"role": "user", "content": "tell"}]});
    let response = as_ann(&app, COMPLETIONS).json(&stream).send().await.unwrap();
    drop(response);
    let row = wait_for_row(&app, "llm.chat").await;
    assert_eq!(row["outcome"], "stopped");
    assert!(used(&app, "key-of-ann-0123456789").await["tokens_today"].as_u64().unwrap() > 500);
}

async fn wait_for_row(app: &TestApp, kind: &str) -> Value {
    for _ in 0..300 {
        if let Some(row) = app.journal_of(&format!("&kind={kind}")).await.first() {
            return row.json();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no `{kind}`");
}

#[tokio::test]
async fn a_turn_beyond_the_budget_is_told_by_the_rules_and_a_draft_is_refused() {
    let budgets = "[{id: team, match: {principals: [ann]}, requests_per_day: 1}]";
    let (provider, app) = with_budget(vec![Answer::text("The gate opens.")], budgets).await;
    let turn = json!({"agent_id": "hero", "input": "look around"});
    let first = Told::of(as_ann(&app, "/turn").json(&turn)).await.ok();
    assert_eq!(first["source"], "llm");
    let second = Told::of(as_ann(&app, "/turn").json(&turn)).await.ok();
    assert_eq!(second["source"], "offline", "{second}");
    assert_eq!(second["withheld"]["code"], "budget_exceeded");
    assert_eq!(second["withheld"]["gate"], "budget");
    assert!(second["withheld"]["message"].as_str().unwrap().contains("until"));
    std::fs::write(app.folder().join("plans/hello.txt"), "hello\n").unwrap();
    let plan = json!({"intent": "greet", "target_paths": ["plans/hello.txt"], "draft": true});
    let refused = Told::of(as_ann(&app, "/plan").json(&plan)).await;
    refused.error(429, "budget_exceeded");
    assert_eq!(provider.seen().len(), 1);
    let by_agent = usage(&app, "?by=agent").await;
    assert_eq!(by_agent["usage"][0]["name"], "hero");
    assert_eq!(by_agent["usage"][0]["total_tokens"], 18);
    // The decisions can be repeated from the journal.
    let replayed = app.command().args(["replay"]).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
}

#[tokio::test]
async fn money_is_counted_at_the_prices_of_the_policy() {
    // 10 tokens of a reply cost 20 microdollars, so the reservation of one call fits and of two does not.
    let budgets = "[{id: purse, cost_per_day: 0.0002}]";
    let (_provider, app) = with_budget(vec![reporting(json!(40), json!(50))], budgets).await;
    let chat = |model: &str| {
        let mut body = small("hello");
        body["model"] = model.into();
        body
    };
    app.post("/llm/chat", &chat("openai/gpt-oss-120b")).await.ok();
    let budget = used(&app, KEY).await;
    assert!((budget["cost_today"].as_f64().unwrap() - 0.000_14).abs() < 1e-12, "{budget}");
    let error = app.post("/llm/chat", &chat("openai/gpt-oss-120b")).await;
    assert_eq!(error.error(429, "budget_exceeded")["details"]["rule"], "purse/cost_per_day");
    app.post("/llm/chat", &chat("cheap-and-good")).await.ok();
    let error = app.post("/llm/chat", &chat("unknown")).await.error(429, "budget_exceeded");
    assert!(error["message"].as_str().unwrap().contains("no price"), "{error}");
}

#[tokio::test]
async fn a_minute_ends_sooner_than_a_day() {
    let budgets = "[{id: burst, tokens_per_minute: 100}, {id: all, tokens_per_day: 1000000}]";
    let (_provider, app) = with_budget(vec![reporting(json!(90), json!(90))], budgets).await;
    app.post("/llm/chat", &small("hello")).await.ok();
    let refused = app.post("/llm/chat", &small("hello")).await;
    // The minute may have ended in between.
    if refused.status == 429 {
        let error = refused.error(429, "budget_exceeded");
        assert_eq!(error["details"]["rule"], "burst/tokens_per_minute");
        assert!(refused.header("Retry-After").unwrap().parse::<u64>().unwrap() <= 60);
    }
    let budgets = app.get("/whoami").await.ok()["budget"].clone();
    assert_eq!(budgets[1]["limits"], json!({"tokens_per_day": 1_000_000}));
}

#[tokio::test]
async fn a_key_without_read_sees_its_own_usage_only() {
    let provider = StandIn::start(vec![reporting(json!(3), json!(4))]).await.unwrap();
    let tokens = "ann[agent]=key-of-ann-0123456789,bob[agent]=key-of-bob-0123456789";
    let app = model_setup(&provider).set("API_TOKENS", tokens).start().await;
    for key in ["key-of-ann-0123456789", "key-of-bob-0123456789"] {
        let call = app.bare(Method::POST, "/llm/chat").header("X-API-Key", key);
        Told::of(call.json(&small("hello"))).await.ok();
    }
    let own = app.bare(Method::GET, "/usage").header("X-API-Key", "key-of-ann-0123456789");
    let own = Told::of(own).await.ok();
    assert_eq!(own["usage"].as_array().unwrap().len(), 1);
    assert_eq!(own["usage"][0]["name"], "ann");
    assert_eq!(own["total"]["cost"], Value::Null, "no price");
    let all = usage(&app, "?by=principal").await;
    assert_eq!(all["total"]["calls"], 2);
    assert_eq!(usage(&app, "?by=model").await["usage"][0]["name"], "openai/gpt-oss-120b");
    assert_eq!(usage(&app, "?since=2999-01-01T00:00:00Z").await["total"]["calls"], 0);
    for bad in ["?by=key", "?since=today", "?until=1"] {
        app.get(&format!("/usage{bad}")).await.error(422, "validation_error");
    }
    assert_eq!(app.get("/whoami").await.ok()["budget"], Value::Null);
}

#[tokio::test]
async fn a_key_may_have_a_budget_of_its_own() {
    use sha2::Digest;
    let digest = hex::encode(sha2::Sha256::digest("key-of-eve-0123456789"));
    let file = format!(
        "keys: [{{name: eve, digest: 'sha256:{digest}', roles: [agent], budget: {{requests_per_day: 1}}}}]"
    );
    let provider = StandIn::start(vec![Answer::text("fine")]).await.unwrap();
    let setup = model_setup(&provider).set("KEYS_FILE", "keys.yaml").file("keys.yaml", file);
    let app = setup.start().await;
    let call = || app.bare(Method::POST, "/llm/chat").header("X-API-Key", "key-of-eve-0123456789");
    Told::of(call().json(&small("hello"))).await.ok();
    let error = Told::of(call().json(&small("hello"))).await.error(429, "budget_exceeded");
    assert_eq!(error["details"]["rule"], "key:eve/requests_per_day");
    assert_eq!(used(&app, "key-of-eve-0123456789").await["id"], "key:eve");
    app.post("/llm/chat", &small("hello")).await.ok();
}

#[tokio::test]
async fn a_stream_that_a_gate_ends_midway_is_part_of_the_usage() {
    let words = "The road behind the gate is long. ".repeat(40);
    let hostile = "Now run rm -rf / --no-preserve-root at once. ";
    let policy = format!("{ENFORCING}llm: {{on_failure: fail}}\n");
    for path in ["/llm/chat", COMPLETIONS] {
        let answer = Answer::stream(&[&words, hostile, &words, &words, &words]);
        let provider = StandIn::start(vec![answer]).await.unwrap();
        let app = model_setup(&provider).policy(&policy).start().await;
        let mut body = chat("what is behind the gate?");
        body["stream"] = json!(true);
        let told = app.post(path, &body).await.text();
        assert!(told.contains("long") && !told.contains("no-preserve-root"), "{told}");
        assert_eq!(app.journal_of("&kind=gate.denied").await.len(), 1, "{path}");
        let used = usage(&app, "?by=model").await["usage"][0].clone();
        assert_eq!(used["calls"], 1, "{path}: {used}");
        let (prompt, completion) = (&used["prompt_tokens"], &used["completion_tokens"]);
        assert!(prompt.as_u64().unwrap() > 5, "{path}: {used}");
        let least = words.len() as u64 / 3;
        assert!(completion.as_u64().unwrap() >= least, "{path}: {used}");
    }
}
