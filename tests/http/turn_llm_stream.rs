//! `POST /turn` with `Accept: text/event-stream`

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    Event, Events, LENIENT, TestApp, credentials, model_setup, with_model, with_model_enforcing,
    with_model_failing,
};

fn request(app: &TestApp) -> RequestBuilder {
    let body = json!({"agent_id": "hero", "input": "explore the keep"});
    app.request(Method::POST, "/turn").header("Accept", "text/event-stream").json(&body)
}

/// Every event up to the end of the stream.
async fn all(mut events: Events) -> Vec<Event> {
    let mut found = Vec::new();
    while let Some(event) = events.block().await {
        found.push(event);
    }
    found
}

async fn told(app: &TestApp) -> Vec<Event> {
    all(Events::open_unready(request(app)).await).await
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_deref().unwrap()).collect()
}

fn text_of(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.name.as_deref() == Some("delta"));
    deltas.map(|event| event.json()["content"].as_str().unwrap().to_owned()).collect()
}

fn words(count: usize) -> Vec<&'static str> {
    let words = ["The ", "road ", "behind ", "the ", "gate ", "is ", "long. "];
    words.into_iter().cycle().take(count).collect()
}

/// A streamed reply with text and a tool call.
fn calling(texts: &[&str], name: &str, arguments: &str) -> Answer {
    let texts = texts.iter().map(|text| chunk(&json!({ "content": text }), &Value::Null));
    let function = json!({"name": name, "arguments": arguments});
    let call = json!({"index": 0, "id": "call_9", "type": "function", "function": function});
    let call = chunk(&json!({"tool_calls": [call]}), &Value::Null);
    let end = chunk(&json!({}), &json!("tool_calls"));
    Answer::events(&texts.chain([call, end]).collect::<Vec<_>>()).done()
}

#[tokio::test]
async fn without_a_model_there_is_one_event_with_the_response() {
    let (app, other) = tokio::join!(TestApp::start(), TestApp::start());
    let events = told(&app).await;
    assert_eq!(names(&events), ["done"]);
    assert_eq!(events[0].json(), other.turn("hero", "explore the keep").await);
}

#[tokio::test]
async fn a_narration_is_streamed_and_ends_with_the_response() {
    let script =
        vec![calling(&words(200), "act", r#"{"action": "rest"}"#), Answer::stream(&words(300))];
    let (provider, app) = with_model(script).await;
    let events = Events::open_unready(request(&app)).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let events = all(events).await;
    let names = names(&events);
    let tool = names.iter().position(|name| *name == "tool").unwrap();
    assert!(tool > 0 && names[tool + 1] == "delta", "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "delta").count(), names.len() - 2);
    let step = events[tool].json();
    assert_eq!((&step["tool"], &step["decision"]), (&json!("act"), &json!("allow")));
    let done = events.last().unwrap();
    assert_eq!(done.name.as_deref(), Some("done"));
    let done = done.json();
    let whole = format!("{}\n\n{}", words(200).concat(), words(300).concat());
    assert_eq!((&done["response"], &done["source"]), (&json!(whole), &json!("llm")));
    assert_eq!(text_of(&events), whole);
    let row = app.journal_of("&kind=obs.turn").await.remove(0);
    assert_eq!((&row.json()["response"], done["event_id"].as_u64()), (&json!(whole), Some(row.id)));
    assert_eq!(done["state_version"], 2);
    // The next request contains the model's text next to its call.
    assert_eq!(provider.seen()[1].body["messages"][2]["content"], words(200).concat());
}

#[tokio::test]
async fn a_credential_split_over_chunks_or_replies_is_never_sent() {
    for credential in credentials() {
        let before = words(150).concat();
        let text = format!("{before}\n{}\n{before}", credential.text);
        let chunks: Vec<_> = text.as_bytes().chunks(7).collect();
        let chunks: Vec<_> = chunks.iter().map(|c| std::str::from_utf8(c).unwrap()).collect();
        let script =
            vec![calling(&words(120), "act", r#"{"action": "rest"}"#), Answer::stream(&chunks)];
        let provider = StandIn::start(script).await.unwrap();
        let app = model_setup(&provider).policy(LENIENT).start().await;
        let events = told(&app).await;
        let text = text_of(&events);
        let half = &credential.secret[..credential.secret.len() / 2];
        assert!(text.contains("[redacted:") && !text.contains(half), "{}", credential.shape);
        assert_eq!(events.last().unwrap().json()["response"], text, "{}", credential.shape);
    }
}

#[tokio::test]
async fn after_a_refusal_only_the_sentence_of_the_rules_follows() {
    let mut chunks = words(300);
    chunks.extend(["Now run ", "rm ", "-rf ", "/ ", "--no-preserve-root ", "at once. "]);
    chunks.extend(words(300));
    let (_provider, app) = with_model_enforcing(vec![Answer::stream(&chunks)]).await;
    let events = told(&app).await;
    let text = text_of(&events);
    assert!(text.starts_with("The road ") && !text.contains("rm "), "{text}");
    let done = events.last().unwrap().json();
    assert_eq!(names(&events).iter().filter(|name| **name != "delta").count(), 1);
    assert_eq!(
        (&done["source"], &done["withheld"]["code"]),
        (&json!("offline"), &json!("prompt_risky"))
    );
    assert!(done["response"].as_str().unwrap().starts_with("Processed"), "{done}");
    let kinds: Vec<_> = app.journal().await.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["service.started", "llm.begun", "gate.denied", "obs.turn"]);
}

#[tokio::test]
async fn a_failure_before_the_first_text_is_an_ordinary_error() {
    let begun = chunk(&json!({"content": "The road"}), &Value::Null);
    for broken in [
        Answer::error(404, "model_not_found", "no such model"),
        Answer::events(std::slice::from_ref(&begun)).cut_off(),
        Answer::events(&[begun.clone(), json!({"x_groq": {"error": "over capacity"}})]),
    ] {
        let (_provider, app) = with_model_failing(vec![broken]).await;
        let answer = crate::support::Answer::of(request(&app)).await;
        answer.error(502, "llm_failed");
        assert_eq!(app.state("hero").await["version"], 0);
        assert_eq!(app.journal_of("&kind=llm.chat&agent_id=hero").await.len(), 1);
    }
}

#[tokio::test]
async fn a_failure_during_the_stream_is_its_last_event_without_effects() {
    let chunks: Vec<_> =
        words(300).iter().map(|word| chunk(&json!({ "content": word }), &Value::Null)).collect();
    let script =
        vec![calling(&[], "act", r#"{"action": "rest"}"#), Answer::events(&chunks).cut_off()];
    let (_provider, app) = with_model_failing(script).await;
    let events = told(&app).await;
    let last = events.last().unwrap();
    assert_eq!(
        (last.name.as_deref(), &last.json()["error"]["code"]),
        (Some("error"), &json!("llm_failed"))
    );
    assert_eq!(names(&events)[0], "tool");
    assert_eq!(app.state("hero").await["version"], 0);
    assert_eq!(app.journal_of("&kind=obs.*").await.len(), 0);
}

#[tokio::test]
async fn a_disconnected_reader_does_not_lose_the_turn() {
    // Enough for a first delta, then a pause before the rest.
    let first = words(200).concat();
    let slow = Answer::stream(&[&first, "And then ", "some more."]);
    let slow = slow.slowly(Duration::from_micros(50));
    let (_provider, app) = with_model(vec![slow]).await;
    let mut record = app.events("?kind=obs.turn").await;
    let mut events = Events::open_unready(request(&app)).await;
    assert_eq!(events.next().await.name.as_deref(), Some("delta"));
    drop(events);
    let row = record.next().await.json();
    assert_eq!(row["data"]["response"], format!("{first}And then some more."));
}
