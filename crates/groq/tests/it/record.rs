//! Record and replay: the same answers again without a provider, and no secret on the tape.

use std::sync::Arc;

use futures_util::StreamExt;
use life_agent_groq::testing::{Answer, StandIn};
use life_agent_groq::{
    ChatError, ChatMessage, ChatRequest, Clean, Delta, Exchange, MemoryTape, Model, Outcome,
    Recorder, Replayer,
};
use serde_json::json;

use crate::support::{SECRET, Stars, client, request, settings};

/// Records what `ask` makes of a client with this script.
async fn record(script: Vec<Answer>, ask: impl AsyncFn(&dyn Model)) -> Vec<Exchange> {
    let provider = StandIn::start(script).await.unwrap();
    let tape = Arc::new(MemoryTape::default());
    let live = Arc::new(client(settings(&provider)));
    ask(&Recorder::new(live, tape.clone(), Arc::new(Stars))).await;
    tape.drain()
}

/// A replayer of exchanges that have been written down and read again.
fn replay(exchanges: &[Exchange]) -> Replayer {
    let kept = serde_json::to_string(exchanges).unwrap();
    let tape = MemoryTape::new(serde_json::from_str(&kept).unwrap());
    Replayer::new(Arc::new(tape), Arc::new(Stars))
}

fn asking(what: &str) -> ChatRequest {
    ChatRequest { messages: vec![ChatMessage::new("user", what)], ..request() }
}

async fn text_of(model: &dyn Model, request: &ChatRequest) -> Result<String, ChatError> {
    let deltas: Vec<_> = model.stream(request).await?.collect().await;
    let mut text = String::new();
    for delta in deltas {
        if let Delta::Text(more) = delta? {
            text.push_str(&more);
        }
    }
    Ok(text)
}

#[tokio::test]
async fn what_was_recorded_is_answered_again_in_its_order() {
    let script = vec![Answer::text("one"), Answer::text("two"), Answer::stream(&["th", "ree"])];
    let exchanges = record(script, async |model| {
        assert_eq!(model.chat(&asking("a")).await.unwrap().content, "one");
        assert_eq!(model.chat(&asking("a")).await.unwrap().content, "two");
        assert_eq!(text_of(model, &asking("b")).await.unwrap(), "three");
    })
    .await;
    let model = replay(&exchanges);
    // Another order of requests does not confuse it, nor that the stream is now asked for whole.
    let third = model.chat(&asking("b")).await.unwrap();
    assert_eq!((third.content.as_str(), third.usage.unwrap().total_tokens), ("three", 18));
    assert_eq!(text_of(&model, &asking("a")).await.unwrap(), "one");
    let second = model.chat(&asking("a")).await.unwrap();
    assert_eq!(second.content, "two");
    assert_eq!(second.raw["service_tier"], "on_demand");
    assert_eq!(model.chat(&asking("a")).await.unwrap_err(), ChatError::NotRecorded);
}

#[tokio::test]
async fn a_failure_fails_again() {
    let cut = Answer::stream(&["a", "b"]).cut_off();
    let gone = Answer::error(404, "model_not_found", "gone");
    let script = vec![gone.clone(), gone, cut, Answer::text("well")];
    let exchanges = record(script, async |model| {
        assert!(model.chat(&asking("a")).await.is_err());
        assert!(text_of(model, &asking("a")).await.is_err());
        // The mark of the end has come before the connection broke.
        assert_eq!(text_of(model, &asking("b")).await.unwrap(), "ab");
        assert!(model.chat(&asking("a")).await.is_ok());
    })
    .await;
    let model = replay(&exchanges);
    let first = model.chat(&asking("a")).await.unwrap_err();
    assert!(matches!(&first, ChatError::Failed { status: Some(404), .. }), "{first:?}");
    assert_eq!(text_of(&model, &asking("a")).await.unwrap_err(), first);
    assert_eq!(model.chat(&asking("a")).await.unwrap().content, "well");
}

#[tokio::test]
async fn no_secret_is_on_the_tape_and_it_replays_all_the_same() {
    let (head, tail) = SECRET.split_at(5);
    let arguments = json!({"note": SECRET}).to_string();
    let script = vec![
        Answer::text(&format!("it is {SECRET}!")),
        Answer::stream(&["it is ", head, tail, "!"]),
        Answer::tool_call("remember", &arguments),
    ];
    let asked = asking(&format!("is it {SECRET}?"));
    let exchanges = record(script, async |model| {
        assert!(model.chat(&asked).await.unwrap().content.contains(SECRET));
        assert!(text_of(model, &asked).await.unwrap().contains(SECRET));
        assert_eq!(model.chat(&asked).await.unwrap().tool_calls[0].function.arguments, arguments);
    })
    .await;
    assert_eq!(exchanges.len(), 3);
    let kept = serde_json::to_string(&exchanges).unwrap();
    assert!(!kept.contains(SECRET) && !kept.contains(head), "{kept}");
    let model = replay(&exchanges);
    for _ in 0..2 {
        let said = model.chat(&asked).await.unwrap().content;
        assert_eq!(said, "it is [redacted:test]!");
    }
}

#[test]
fn a_digest_depends_on_the_request_alone() {
    let digest = |body| Exchange::digest(&Clean::of(body, &Stars));
    let base = digest(json!({"model": "m", "messages": [{"role": "user", "content": "a"}]}));
    let written: serde_json::Value = serde_json::from_str(
        r#"{"stream": true, "messages": [{"content": "a", "role": "user"}], "model": "m"}"#,
    )
    .unwrap();
    assert_eq!(digest(written), base);
    assert_ne!(digest(json!({"model": "m", "messages": [{"role": "user", "content": "b"}]})), base);
    // Fixed for ever, or tapes of the past could not be played.
    assert_eq!(base, "999c3fa4714230791e79f0677e4a7487cc4252ac63d60e6621ff2959e6a6fade");
}

#[test]
fn an_exchange_is_kept_under_plain_names() {
    let exchange = Exchange::new(json!({"model": "m"}), Ok(json!({"choices": []})), &Stars);
    let kept = json!(exchange);
    assert_eq!(kept["request"], json!({"model": "m"}));
    assert_eq!(kept["reply"], json!({"choices": []}));
    let failed = Exchange::new(json!({}), Err(ChatError::NotRecorded), &Stars);
    assert_eq!(json!(failed)["error"], json!({"kind": "not_recorded"}));
    let again: Exchange = serde_json::from_value(json!(failed)).unwrap();
    assert_eq!(again.outcome, Outcome::Error(ChatError::NotRecorded));
}
