//! `POST /llm/chat` with `stream: true`

use std::time::Duration;

use life_agent_groq::testing::{Answer, StandIn, chunk};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Answer as Told, Event, Events, LENIENT, TestApp, chat, credentials, model_setup, with_model,
    with_model_enforcing,
};

fn streamed(said: &str) -> Value {
    let mut body = chat(said);
    body["stream"] = true.into();
    body
}

async fn open(app: &TestApp, said: &str) -> Events {
    Events::open_unready(app.request(Method::POST, "/llm/chat").json(&streamed(said))).await
}

/// Every event up to the end of the stream.
async fn all(mut events: Events) -> Vec<Event> {
    let mut found = Vec::new();
    while let Some(event) = events.block().await {
        found.push(event);
    }
    found
}

fn text_of(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.name.as_deref() == Some("delta"));
    deltas.map(|event| event.json()["content"].as_str().unwrap().to_owned()).collect()
}

/// Harmless words in chunks, as a model streams them.
fn words(count: usize) -> Vec<&'static str> {
    let words = ["The ", "road ", "behind ", "the ", "gate ", "is ", "long. "];
    words.into_iter().cycle().take(count).collect()
}

#[tokio::test]
async fn a_long_response_is_streamed_in_deltas_and_ends_with_the_result() {
    let words = words(700);
    let (_provider, app) = with_model(vec![Answer::stream(&words)]).await;
    let events = open(&app, "Where does the road lead?").await;
    let header = |name: &str| events.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("x-accel-buffering"), "no");
    let events = all(events).await;
    assert!(events.len() > 5, "{}", events.len());
    assert_eq!(text_of(&events), words.concat());
    let done = events.last().unwrap();
    assert_eq!(done.name.as_deref(), Some("done"));
    let done = done.json();
    assert_eq!(done["content"], words.concat());
    assert_eq!(
        (&done["usage"]["total_tokens"], &done["finish_reason"]),
        (&json!(18), &json!("stop"))
    );
    let rows = app.journal_of("&kind=llm.chat&expand=texts").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(done["event_id"], rows[0].id);
    assert_eq!(rows[0].json()["content"], words.concat());
    assert_eq!(app.metric(r#"actions_total{kind="chat",outcome="allowed"}"#).await, Some(1.0));
}

#[tokio::test]
async fn text_is_streamed_before_the_response_is_complete() {
    let chunks: Vec<_> =
        words(400).iter().map(|word| chunk(&json!({"content": word}), &Value::Null)).collect();
    let (_provider, app) = with_model(vec![Answer::events(&chunks).stalling()]).await;
    let mut events = open(&app, "Where does the road lead?").await;
    let first = events.take(8).await;
    assert!(text_of(&first).starts_with("The road "), "{first:?}");
}

#[tokio::test]
async fn a_credential_split_over_chunks_is_never_sent() {
    for credential in credentials() {
        let before = words(150).concat();
        let text = format!("{before}\n{}\n{before}", credential.text);
        for size in [1, 7, 31] {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            let chunks: Vec<_> =
                chunks.iter().map(|chunk| std::str::from_utf8(chunk).unwrap()).collect();
            let provider = StandIn::start(vec![Answer::stream(&chunks)]).await.unwrap();
            let app = model_setup(&provider).policy(LENIENT).start().await;
            let answer = app.post("/llm/chat", &streamed("What is it?")).await;
            assert!(!answer.text().contains(&credential.secret), "{}", credential.shape);
            // The text that a reader assembles from the deltas.
            let events = events_in(&answer);
            let text = text_of(&events);
            assert!(text.contains("[redacted:"), "{}: {text}", credential.shape);
            let half = &credential.secret[..credential.secret.len() / 2];
            assert!(!text.contains(half), "{}: {text}", credential.shape);
            assert_eq!(events.last().unwrap().json()["content"], text);
        }
    }
}

fn events_in(answer: &Told) -> Vec<Event> {
    answer.text().split_terminator("\n\n").map(Event::parse).collect()
}

#[tokio::test]
async fn a_hostile_response_ends_the_stream() {
    let mut chunks = words(300);
    chunks.extend(["Now run ", "rm ", "-rf ", "/ ", "--no-preserve-root ", "at once. "]);
    chunks.extend(words(300));
    let (_provider, app) = with_model_enforcing(vec![Answer::stream(&chunks)]).await;
    let events = all(open(&app, "How do I tidy up?").await).await;
    let last = events.last().unwrap();
    assert_eq!(last.name.as_deref(), Some("error"));
    let error = &last.json()["error"];
    assert_eq!(error["code"], "response_withheld");
    assert!(error["message"].as_str().unwrap().contains("the model's answer"), "{error}");
    assert!(error["request_id"].is_string());
    assert_eq!(events.iter().filter(|event| event.name.as_deref() != Some("delta")).count(), 1);
    let text = text_of(&events);
    assert!(text.starts_with("The road ") && !text.contains("rm "), "{text}");
    let kinds: Vec<_> = app.journal().await.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["service.started", "llm.begun", "gate.denied", "llm.chat"]);
}

#[tokio::test]
async fn a_failure_before_the_first_event_is_an_ordinary_error() {
    let failing = Answer::error(500, "internal", "out of order");
    let (_provider, app) = with_model_enforcing(vec![failing]).await;
    app.post("/llm/chat", &streamed("hello")).await.error(502, "llm_failed");
    app.post("/llm/chat", &streamed("cat ../../../../etc/passwd")).await.error(422, "prompt_risky");
}

#[tokio::test]
async fn a_failure_during_the_stream_is_its_last_event() {
    let chunks = [chunk(&json!({"content": "The road"}), &Value::Null)];
    let gone = Answer::events(&chunks).cut_off();
    let given_up = [chunks[0].clone(), json!({"x_groq": {"error": "over capacity"}})];
    for broken in [gone, Answer::events(&given_up), Answer::events(&chunks)] {
        let (_provider, app) = with_model(vec![broken]).await;
        let events = all(open(&app, "Where does it lead?").await).await;
        let last = events.last().unwrap();
        assert_eq!(last.name.as_deref(), Some("error"), "{events:?}");
        assert_eq!(last.json()["error"]["code"], "llm_failed");
        let rows = app.journal_of("&kind=llm.chat").await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].json()["error"], "cut");
    }
}

#[tokio::test]
async fn a_disconnected_reader_does_not_lose_the_call() {
    let slow = Answer::stream(&words(40)).slowly(Duration::from_micros(50));
    let (_provider, app) = with_model(vec![slow]).await;
    let mut record = app.events("?kind=llm.chat").await;
    drop(open(&app, "Where does the road lead?").await);
    let row = record.next().await.json();
    assert_eq!(row["data"]["content"], words(40).concat());
}

#[tokio::test]
async fn a_stop_ends_a_stream_cleanly_and_records_it() {
    let chunks = [chunk(&json!({"content": "The road"}), &Value::Null)];
    let (_provider, mut app) = with_model(vec![Answer::events(&chunks).stalling()]).await;
    let events = open(&app, "Where does it lead?").await;
    app.signal(Signal::TERM);
    let events = all(events).await;
    let last = events.last().unwrap().json();
    assert_eq!(last["error"]["code"], "overloaded", "{last}");
    assert_eq!(app.exit().await.code(), Some(0), "{}", app.complained());
    app.start_again().await;
    let rows = app.journal().await;
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    let expected =
        ["service.started", "llm.begun", "llm.chat", "service.stopped", "service.started"];
    assert_eq!(kinds, expected);
    assert_eq!(rows[2].json()["error"], "stopped");
}
