//! `POST /turn` with a model, which narrates the outcome and may call tools

use life_agent_groq::testing::{Answer, StandIn};
use serde_json::{Value, json};

use crate::support::{
    LENIENT, TestApp, assert_chained, credentials, hash_of_state, model_setup, with_model,
    with_model_enforcing,
};

/// A text that every gate refuses.
const HOSTILE: &str = "First run rm -rf / --no-preserve-root and all is well.";
/// A minimal policy with a rule about one action.
const NO_SLEEP: &str = "version: '1'\nallowed_dirs: [plans]\nrules: [{id: no-sleep, match: \
                        {actions: ['^sleep$']}, effect: deny}]\n";

/// The data at the end of the last request without tool results.
pub(crate) fn data_of(request: &Value) -> Value {
    let messages = request["messages"].as_array().unwrap();
    let user = messages.iter().rev().find(|message| message["role"] == "user").unwrap();
    let (_, data) = user["content"].as_str().unwrap().split_once('\n').unwrap();
    serde_json::from_str(data).unwrap()
}

/// The tool results in the last request.
fn results(request: &Value) -> Vec<Value> {
    let messages = request["messages"].as_array().unwrap().iter();
    let results = messages.filter(|message| message["role"] == "tool");
    results.map(|m| serde_json::from_str(m["content"].as_str().unwrap()).unwrap()).collect()
}

async fn state_hash(app: &TestApp, agent: &str) -> String {
    hash_of_state(&app.get(&format!("/state?agent_id={agent}")).await.body)
}

async fn total_tokens(app: &TestApp) -> i64 {
    let db = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    db.query_row("select ifnull(sum(total_tokens), 0) from llm_usage", [], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn the_model_narrates_the_decision_of_the_rules() {
    let (provider, app) = with_model(vec![Answer::text("The gate creaks open.")]).await;
    let turned = app.turn("hero", "explore the keep").await;
    assert_eq!(
        (&turned["source"], &turned["response"]),
        (&json!("llm"), &json!("The gate creaks open."))
    );
    assert_eq!(turned["usage"]["total_tokens"], 18, "{turned}");
    assert!(turned.get("withheld").is_none() && turned.get("steps").is_none(), "{turned}");

    let offline = TestApp::start().await;
    let plain = offline.turn("hero", "explore the keep").await;
    assert_eq!(turned["turn"], plain["turn"], "the model has no say in it");
    assert_eq!(turned["state_hash"], plain["state_hash"]);

    let rows = app.journal().await;
    assert_chained(&rows);
    let [_, row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((turned["event_id"].as_u64(), row.kind.as_str()), (Some(row.id), "obs.turn"));
    let data = row.json();
    assert_eq!((&data["response"], &data["source"]), (&turned["response"], &json!("llm")));
    assert_eq!(data["telling"]["exchanges"].as_array().unwrap().len(), 1);
    assert!(data["timing"]["model_us"].as_u64().unwrap() > 0, "{data}");
    assert_eq!(total_tokens(&app).await, 18);
    assert_eq!(app.metric(r#"actions_total{kind="turn",outcome="allowed"}"#).await, Some(1.0));
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn agents_with_narrated_turns_only_are_loaded_from_few_rows() {
    let provider = StandIn::start(vec![Answer::text("So be it.")]).await.unwrap();
    let app = model_setup(&provider).set("MAX_AGENTS_IN_MEMORY", "1").start().await;
    for _ in 0..20 {
        for agent in ["a", "b", "c"] {
            app.turn(agent, "explore the keep").await;
        }
    }
    let db = rusqlite::Connection::open(app.folder().join("agent.db")).unwrap();
    let oldest = "select min(version) from snapshots";
    let oldest: i64 = db.query_row(oldest, [], |row| row.get(0)).unwrap();
    assert!(oldest > 10, "{oldest}: the policy alone would have one at the first step");
}

#[tokio::test]
async fn the_prompt_has_voice_vitals_memory_and_the_agents_record() {
    let (provider, app) = with_model(vec![Answer::text("So be it.")]).await;
    app.turn("hero", "explore the keep").await;
    let hostile = json!({"agent_id": "hero", "input": "cat ../../../../etc/passwd"});
    app.post("/turn", &hostile).await.error(422, "prompt_risky");
    app.post(
        "/act",
        &json!({"agent_id": "hero", "action": "remember", "payload": {"text": "the key is iron"}}),
    )
    .await
    .ok();
    let turned = app.turn("hero", "rest a while").await;

    let body = provider.seen()[1].body.clone();
    assert_eq!(body["seed"], life_agent_groq::seed(42, "hero", 2));
    assert_eq!((&body["temperature"], &body["max_completion_tokens"]), (&json!(0.0), &json!(2048)));
    assert_eq!(body["model"], "openai/gpt-oss-120b");
    let tools = body["tools"].as_array().unwrap().iter();
    let tools: Vec<_> = tools.map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(tools, ["act", "remember", "recall", "plan"]);
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    let system = messages[0]["content"].as_str().unwrap();
    assert!(system.contains("calm and curious companion"), "{system}");
    assert!(!system.contains("iron"), "what agents keep in mind is data: {system}");
    assert_eq!(messages[1]["content"], "explore the keep");
    assert_eq!(messages[2]["content"], "So be it.");
    let data = data_of(&body);
    assert_eq!((&data["outcome"], &data["input"]), (&turned["turn"], &json!("rest a while")));
    assert_eq!(data["vitals"], app.state("hero").await["vitals"]);
    assert_eq!(data["facts"][0]["text"], "the key is iron");
    assert!(data["memory"][0].as_str().unwrap().contains("explore the keep"), "{data}");
    let record = &data["own_record"];
    assert_eq!((&record["rows"], &record["denials"]), (&json!(3), &json!(1)), "{record}");
    assert!(record["mean_score"].as_f64().unwrap() > 0.0 && record["mean_latency_ms"].is_u64());
}

#[tokio::test]
async fn history_stays_within_the_policys_limit() {
    let provider = StandIn::start(vec![Answer::text("So be it.")]).await.unwrap();
    let policy = "version: '1'\nallowed_dirs: [plans]\nllm: {history_tokens: 0}\n";
    let app = model_setup(&provider).policy(policy).start().await;
    app.turn("hero", "explore").await;
    app.turn("hero", "rest").await;
    assert_eq!(provider.seen()[1].body["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_models_acts_are_ordinary_steps() {
    let (provider, mut app) = with_model(vec![
        Answer::tool_call("act", r#"{"action": "rest", "payload": {"where": "inn"}}"#),
        Answer::tool_call("remember", r#"{"text": "the inn is warm"}"#),
        Answer::tool_call(
            "plan",
            r#"{"intent": "note the inn", "target_paths": ["plans/inn.md"],
            "edits": [{"op": "create", "path": "plans/inn.md", "content": "warm\n"}]}"#,
        ),
        Answer::text("You sleep well."),
        Answer::tool_call("recall", r#"{"query": "inn"}"#),
        Answer::text("The inn, of course."),
    ])
    .await;
    let turned = app.turn("hero", "explore the town").await;
    assert_eq!(turned["response"], "You sleep well.");
    assert_eq!((&turned["turn"]["number"], &turned["state_version"]), (&json!(1), &json!(3)));
    assert_eq!(turned["usage"]["total_tokens"], 4 * 18);
    let steps = turned["steps"].as_array().unwrap();
    let tools: Vec<_> = steps.iter().map(|step| step["tool"].as_str().unwrap()).collect();
    assert_eq!(tools, ["act", "remember", "plan"]);
    assert!(steps.iter().all(|step| step["decision"] == "allow"), "{turned}");
    assert_eq!(steps[0]["arguments"]["action"], "rest");
    assert_eq!(steps[0]["result"]["known"], true, "{turned}");

    let rows = app.journal().await;
    assert_chained(&rows);
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["service.started", "obs.plan", "plan.created", "obs.turn", "obs.act", "obs.act"]
    );
    assert_eq!(steps[0]["event_id"], rows[4].id);
    assert_eq!(steps[2]["event_id"], rows[2].id);
    // A reviewer sees who asked for the plan: in its row, in the API and in the patch mail.
    let id = rows[2].json()["id"].as_str().unwrap().to_owned();
    let view = app.get(&format!("/plans/{id}")).await.ok();
    for plan in [rows[2].json(), view] {
        let asked = (&plan["by"], &plan["agent_id"], &plan["turn"]);
        assert_eq!(asked, (&json!("model"), &json!("hero"), &json!(1)), "{plan}");
    }
    let act = rows[4].json();
    assert_eq!(
        (&act["by"], &act["turn"], &act["action"]),
        (&json!("model"), &json!(1), &json!("rest"))
    );
    assert_eq!(rows[3].json()["state_version"], 1);
    assert_eq!(rows[5].json()["state_hash"], turned["state_hash"]);
    let id = steps[2]["result"]["id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/plans/{id}")).await.ok()["status"], "created");
    assert!(!app.folder().join("plans/inn.md").exists());
    assert_eq!(app.metric(r#"actions_total{kind="turn",outcome="allowed"}"#).await, Some(1.0));

    let seen = provider.seen();
    let told = results(&seen[3].body);
    assert_eq!(
        (&told[0]["status"], &told[1]["remembered"]),
        (&json!("done"), &json!("the inn is warm"))
    );
    let second = app.turn("hero", "explore again").await;
    assert_eq!(second["steps"][0]["result"]["facts"][0]["text"], "the inn is warm", "{second}");
    let state = app.state("hero").await;
    assert_eq!((&state["facts"][0]["uses"], &state["actions"]["rest"]), (&json!(1), &json!(1)));
    let before = state_hash(&app, "hero").await;
    assert_eq!(second["state_hash"], before);
    app.restart().await;
    assert_eq!(state_hash(&app, "hero").await, before);
}

#[tokio::test]
async fn a_refused_tool_call_has_no_effect_and_is_returned_to_the_model() {
    let script = vec![
        Answer::tool_call("act", r#"{"action": "sleep"}"#),
        Answer::tool_call("plan", r#"{"intent": "x", "target_paths": ["/etc/passwd"]}"#),
        Answer::tool_call("remember", r#"{"text": "rm -rf / --no-preserve-root"}"#),
        Answer::text("You stay awake."),
    ];
    let provider = StandIn::start(script).await.unwrap();
    let app = model_setup(&provider).policy(NO_SLEEP).start().await;
    let turned = app.turn("hero", "explore").await;
    assert_eq!(
        (&turned["response"], &turned["state_version"]),
        (&json!("You stay awake."), &json!(1))
    );
    let steps = turned["steps"].as_array().unwrap();
    let codes: Vec<_> = steps.iter().map(|step| step["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["rule_deny", "path_forbidden", "prompt_risky"]);
    assert!(steps.iter().all(|step| step["decision"] == "deny"), "{turned}");
    let rows = app.journal_of("&kind=gate.denied").await;
    assert_eq!(rows.len(), 3);
    for (row, step) in rows.iter().zip(steps) {
        assert_eq!(step["event_id"], row.id);
    }
    assert_eq!(results(&provider.seen()[1].body)[0]["code"], "rule_deny");
    assert!(app.state("hero").await.get("facts").is_none());
}

#[tokio::test]
async fn a_malformed_tool_call_is_returned_to_the_model_and_counts() {
    let bad = [
        ("act", "{\"action\": "),
        ("act", r#"{"action": "rest", "approve": true}"#),
        ("approve_plan", r#"{"id": "x"}"#),
        ("remember", "[]"),
    ];
    let calls = bad.iter().map(|(name, arguments)| Answer::tool_call(name, arguments));
    let (provider, app) = with_model(calls.chain([Answer::text("Well.")]).collect()).await;
    let turned = app.turn("hero", "explore").await;
    assert_eq!((&turned["response"], &turned["state_version"]), (&json!("Well."), &json!(1)));
    let steps = turned["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 4, "{turned}");
    for step in steps {
        assert_eq!(
            (&step["decision"], &step["code"]),
            (&json!("error"), &json!("validation_error"))
        );
    }
    assert_eq!(
        (&steps[2]["tool"], &steps[0]["arguments"]),
        (&json!("unknown"), &json!("{\"action\": "))
    );
    assert_eq!(results(&provider.seen()[4].body).len(), 4);
}

#[tokio::test]
async fn a_model_that_only_calls_tools_does_not_narrate() {
    let (provider, app) = with_model(vec![Answer::tool_call("act", r#"{"action": "rest"}"#)]).await;
    let turned = app.turn("hero", "explore").await;
    assert_eq!(
        (&turned["source"], &turned["withheld"]["gate"]),
        (&json!("offline"), &json!("turn"))
    );
    assert!(turned["response"].as_str().unwrap().starts_with("Processed"), "{turned}");
    assert_eq!(turned["steps"].as_array().unwrap().len(), 5);
    assert_eq!(turned["state_version"], 6);
    let seen = provider.seen();
    assert_eq!(seen.len(), 6);
    assert_eq!(
        (&seen[4].body["tool_choice"], &seen[5].body["tool_choice"]),
        (&json!("auto"), &json!("none"))
    );
}

#[tokio::test]
async fn a_refused_text_is_replaced_by_the_sentence_of_the_rules() {
    let (_provider, app) = with_model_enforcing(vec![
        Answer::tool_call("act", r#"{"action": "rest"}"#),
        Answer::text(HOSTILE),
        Answer::text("Fine."),
    ])
    .await;
    let answer = app.post("/turn", &json!({"agent_id": "hero", "input": "explore"})).await;
    let turned = answer.ok();
    assert_eq!((&turned["source"], &turned["state_version"]), (&json!("offline"), &json!(2)));
    assert!(turned["response"].as_str().unwrap().starts_with("Processed"), "{turned}");
    let withheld = &turned["withheld"];
    assert_eq!((&withheld["gate"], &withheld["code"]), (&json!("risk"), &json!("prompt_risky")));
    assert!(withheld["message"].as_str().unwrap().contains("the model's answer"), "{turned}");
    assert!(!answer.text().contains("no-preserve-root"), "{turned}");
    let turn = app.journal_of("&kind=obs.turn").await.remove(0);
    assert!(!turn.data.get().contains("no-preserve-root"), "{turn:?}");
    assert_eq!(app.journal_of("&kind=gate.denied").await.len(), 1);
    assert_eq!(total_tokens(&app).await, 36, "it was paid for all the same");
    let next = app.turn("hero", "explore").await;
    assert_eq!((&next["source"], &next["turn"]["number"]), (&json!("llm"), &json!(2)));
}

#[tokio::test]
async fn a_credential_of_the_model_is_never_returned_or_stored() {
    for credential in credentials() {
        let note = json!({"text": format!("it is {}", credential.text)}).to_string();
        let script = vec![
            Answer::tool_call("remember", &note),
            Answer::text(&format!("It is {} and nothing else.", credential.text)),
        ];
        let provider = StandIn::start(script).await.unwrap();
        let app = model_setup(&provider).policy(LENIENT).start().await;
        let answer = app.post("/turn", &json!({"agent_id": "hero", "input": "what is it?"})).await;
        assert!(answer.ok()["response"].as_str().unwrap().contains("[redacted:"), "{answer:?}");
        let told_back = provider.seen()[1].body.to_string();
        let state = app.state("hero").await.to_string();
        let rows: String = app.journal().await.iter().map(|row| row.data.get()).collect();
        for text in [answer.text(), told_back, state, rows] {
            assert!(!text.contains(&credential.secret), "{}: {text}", credential.shape);
        }
    }
}
