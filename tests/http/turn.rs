//! `POST /turn`

use serde_json::{Value, json};

use crate::support::{Setup, TestApp};

#[tokio::test]
async fn a_turn_returns_a_sentence_and_its_decision() {
    let app = TestApp::start().await;
    let body = json!({"agent_id": "held", "input": "untersuche das Tor der Festung"});
    let answer = app.post("/turn", &body).await;
    assert_eq!(answer.status, 200);
    let turned = answer.json();
    assert_eq!(turned["status"], "ok");
    assert_eq!(turned["echo"], body);
    assert!(turned["response"].as_str().unwrap().starts_with("Processed"), "{turned}");
    assert_eq!(turned["source"], "offline");
    assert_eq!(turned["state_version"], 1);
    assert_eq!(turned["score"].as_f64(), Some(0.0));
    let turn = &turned["turn"];
    assert_eq!(turn["number"], 1);
    assert_eq!(turn["intent"], "explore");
    assert!((1..=20).contains(&turn["roll"].as_u64().unwrap()), "{turn}");
    let outcomes = ["critical_success", "success", "partial", "failure", "critical_failure"];
    assert!(outcomes.contains(&turn["outcome"].as_str().unwrap()), "{turn}");
    assert!(turn["deltas"].is_object());
    let row = app.journal().await.pop().unwrap();
    assert_eq!(Some(row.id), turned["event_id"].as_u64());
    assert_eq!((row.kind.as_str(), row.agent_id.as_deref()), ("obs.turn", Some("held")));
    assert_eq!((&row.json()["input"], &row.json()["turn"]), (&body["input"], turn));
}

#[tokio::test]
async fn the_shipped_profile_understands_german_and_english() {
    let app = TestApp::start().await;
    for (german, english) in [
        ("untersuche die Höhle", "explore the cave"),
        ("ruhe dich aus", "rest for a while"),
        ("lerne die alte Sprache", "learn the old language"),
        ("baue eine Brücke", "build a bridge"),
    ] {
        let intents = [app.turn("polyglot", german).await, app.turn("polyglot", english).await]
            .map(|turned| turned["turn"]["intent"].as_str().unwrap().to_owned());
        assert_eq!(intents[0], intents[1], "`{german}` and `{english}`");
    }
}

#[tokio::test]
async fn turns_are_numbered_by_turns_and_versions_by_steps() {
    let app = TestApp::start().await;
    app.turn("hero", "look around").await;
    app.act("hero", "rest").await;
    let second = app.turn("hero", "look again").await;
    assert_eq!((&second["turn"]["number"], &second["state_version"]), (&json!(2), &json!(3)));
    let state = app.state("hero").await;
    assert_eq!((&state["turns"], &state["version"]), (&json!(2), &json!(3)));
}

/// The parts of a response that two servers must agree on.
async fn story(app: &TestApp) -> Vec<Value> {
    let mut told = Vec::new();
    for input in ["explore the keep", "schlafe bis zum Morgen", "learn to read", "zzz", "build"] {
        let mut turned = app.turn("hero", input).await;
        // Row numbers depend on other rows of the journal.
        turned.as_object_mut().unwrap().remove("event_id");
        told.push(turned);
    }
    told.push(app.state("hero").await);
    told
}

#[tokio::test]
async fn the_same_seed_and_inputs_give_the_same_responses_on_any_database() {
    let (one, two) = tokio::join!(TestApp::start(), TestApp::start());
    two.turn("bystander", "someone else was here before").await;
    assert_eq!(story(&one).await, story(&two).await);
}

#[tokio::test]
async fn another_seed_gives_other_outcomes() {
    let other = Setup::new().set("DETERMINISTIC_SEED", "43").start();
    let (one, two) = tokio::join!(TestApp::start(), other);
    let rolls = |told: Vec<Value>| -> Vec<_> {
        told.iter().map(|turned| turned["turn"]["roll"].clone()).collect()
    };
    assert_ne!(rolls(story(&one).await), rolls(story(&two).await));
}

#[tokio::test]
async fn an_input_is_measured_in_characters_not_bytes() {
    let app = TestApp::start().await;
    for input in ["x".to_owned(), "ä".repeat(8192), "🗝".repeat(8192)] {
        app.turn("hero", &input).await;
    }
    for input in [String::new(), "ä".repeat(8193)] {
        let answer = app.post("/turn", &json!({"agent_id": "hero", "input": input})).await;
        assert_eq!(answer.fault_paths("validation_error"), ["input"]);
    }
}

#[tokio::test]
async fn unusual_but_harmless_text_is_accepted_unchanged() {
    let app = TestApp::start().await;
    for input in ["line\nbreak\ttab", "\u{200b}", "\u{feff}", "e\u{301}", "\u{202e}rtl", "\"", "\\"]
    {
        let turned = app.turn("hero", input).await;
        assert_eq!(turned["echo"]["input"], input);
    }
}

#[tokio::test]
async fn an_input_with_a_nul_causes_no_failure() {
    let app = TestApp::start().await;
    let answer = app.post("/turn", &json!({"agent_id": "hero", "input": "a\u{0}b"})).await;
    assert!([200, 422].contains(&answer.status), "{answer:?}");
    app.turn("hero", "and on it goes").await;
}
