//! Replay of narrated turns: `life-agent replay`, and a history from recorded replies

use life_agent_groq::testing::{Answer, Seen, StandIn};
use serde_json::{Value, json};

use super::audit::run_json;
use super::turn_llm::data_of;
use crate::support::{TestApp, assert_chained, hash_of_state, model_setup, with_model_failing};

const TURNS: usize = 50;
const INPUTS: [&str; 4] = ["explore the keep", "rest a while", "learn to read", "build a bridge"];
const HOSTILE: &str = "First run rm -rf / --no-preserve-root and all is well.";

/// A model that uses every tool, depending on the number of the turn.
fn player(_: usize, seen: &Seen) -> Answer {
    let number = data_of(&seen.body)["outcome"]["number"].as_u64().unwrap();
    let messages = seen.body["messages"].as_array().unwrap();
    let done = messages.iter().filter(|message| message["role"] == "tool").count();
    let text = || Answer::text(&format!("Turn {number} is over, and the road goes on."));
    match (number % 8, done) {
        (1, 0) => Answer::tool_call("act", r#"{"action": "rest"}"#),
        (2, 0) => {
            Answer::tool_call("remember", &json!({"text": format!("gate {number}")}).to_string())
        }
        (3, 0) => Answer::tool_call("recall", r#"{"query": "gate"}"#),
        (4, 0) => Answer::tool_call("act", "{\"action\": "),
        (5, 0) => Answer::tool_call("plan", r#"{"intent": "x", "target_paths": ["plans/x.md"]}"#),
        (5, 1) => Answer::tool_call(
            "act",
            r#"{"action": "x", "payload": {"cmd": "rm -rf / --no-preserve-root"}}"#,
        ),
        (6, _) => Answer::tool_call("act", r#"{"action": "explore"}"#),
        (7, _) => Answer::text(HOSTILE),
        _ => text(),
    }
}

async fn play(app: &TestApp, turns: std::ops::Range<usize>) {
    for nth in turns {
        app.turn("hero", INPUTS[nth % INPUTS.len()]).await;
    }
}

async fn state_hash(app: &TestApp) -> String {
    hash_of_state(&app.get("/state?agent_id=hero").await.body)
}

/// The recorded replies of the model, in order.
async fn recorded(app: &TestApp) -> Vec<Answer> {
    let mut script = Vec::new();
    for row in app.journal_of("&kind=obs.turn").await {
        let telling = row.json()["telling"].take();
        let replies = telling["exchanges"].as_array().unwrap().iter();
        script.extend(replies.map(|heard| Answer::json(200, &heard["reply"])));
        // Refused replies are not stored.
        if telling["withheld"]["gate"] == "risk" {
            script.push(Answer::text(HOSTILE));
        }
    }
    script
}

#[tokio::test]
async fn a_long_history_with_a_model_replays_without_it_and_from_its_record() {
    let provider = StandIn::answering(player).await.unwrap();
    let mut app = model_setup(&provider).start().await;
    play(&app, 0..TURNS / 2).await;
    app.restart().await;
    play(&app, TURNS / 2..TURNS).await;
    assert_chained(&app.journal().await);
    drop(provider);
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!(report["divergences"], json!([]), "{report}");
    assert_eq!(report["told"], TURNS, "{report}");
    let sources: Vec<Value> = app
        .journal_of("&kind=obs.turn")
        .await
        .iter()
        .map(|row| row.json()["source"].take())
        .collect();
    assert!(sources.contains(&json!("llm")) && sources.contains(&json!("offline")));

    let script = recorded(&app).await;
    let asked = script.len();
    let tape = StandIn::start(script).await.unwrap();
    let again = model_setup(&tape).start().await;
    play(&again, 0..TURNS).await;
    assert_eq!(tape.seen().len(), asked);
    assert_eq!(state_hash(&again).await, state_hash(&app).await);
    assert!(app.state("hero").await["facts"].is_array());
}

#[tokio::test]
async fn a_long_history_without_a_model_is_deterministic() {
    let (one, two) = tokio::join!(TestApp::start(), TestApp::start());
    play(&one, 0..TURNS).await;
    play(&two, 0..TURNS).await;
    assert_eq!(state_hash(&one).await, state_hash(&two).await);
    assert_eq!(run_json(&one, 0, &["replay"])["steps"], TURNS);
}

#[tokio::test]
async fn a_gate_that_would_now_refuse_a_tool_call_is_a_divergence() {
    let script = vec![
        Answer::tool_call("act", r#"{"action": "rest"}"#),
        Answer::text("You rest under the old oak."),
    ];
    let provider = StandIn::start(script).await.unwrap();
    let app = model_setup(&provider).start().await;
    app.turn("hero", "explore").await;
    let shipped = String::from_utf8(app.read("policy/policy.yaml")).unwrap();
    for (file, rule, what) in [
        ("no-rest.yaml", "{id: no-rest, match: {actions: ['^rest$']}, effect: deny}", "tool"),
        (
            "no-oak.yaml",
            "{id: no-oak, match: {kinds: [chat], inputs: [oak]}, effect: deny}",
            "telling",
        ),
    ] {
        let at = shipped.find("\nrules:").unwrap_or(shipped.len());
        std::fs::write(app.folder().join(file), format!("{}\nrules: [{rule}]\n", &shipped[..at]))
            .unwrap();
        let report = run_json(&app, 1, &["replay", "--policy", file]);
        assert_eq!(report["divergences"][0]["what"], what, "{report}");
    }
}

#[tokio::test]
async fn failed_turns_and_chats_do_not_disturb_a_replay_or_a_backtest() {
    let script = vec![
        Answer::tool_call("act", r#"{"action": "rest"}"#),
        Answer::error(404, "model_not_found", "no such model"),
        Answer::text("Hello."),
    ];
    let (_provider, app) = with_model_failing(script).await;
    let body = json!({"agent_id": "hero", "input": "explore"});
    app.post("/turn", &body).await.error(502, "llm_failed");
    app.post("/llm/chat", &crate::support::chat("hello")).await.ok();
    app.turn("hero", "explore").await;
    let report = run_json(&app, 0, &["replay"]);
    assert_eq!((&report["told"], &report["divergence_count"]), (&json!(1), &json!(0)), "{report}");
    let report = app.post_nothing("/policy/backtest").await.ok();
    assert_eq!(report["divergence_count"], 0, "{report}");
}
