//! Streams: how they go on, how they end, and that they are never begun twice for a reader.

use std::time::Duration;

use futures_util::StreamExt;
use life_agent_groq::testing::{Answer, StandIn, chunk};
use life_agent_groq::{ChatError, Client, Delta, Model, Phase, Usage};
use serde_json::{Value, json};

use crate::support::{client, pair, request, settings, status_of};

/// The text of a stream, and how it ended.
async fn read(client: &Client) -> (String, Result<Delta, ChatError>) {
    let mut deltas = client.stream(&request()).await.unwrap();
    let mut text = String::new();
    loop {
        match deltas.next().await.expect("a stream ends with its end or an error") {
            Ok(Delta::Text(more)) => text.push_str(&more),
            end => {
                assert!(deltas.next().await.is_none());
                return (text, end);
            }
        }
    }
}

fn hello() -> Value {
    chunk(&json!({"content": "hello"}), &Value::Null)
}

#[tokio::test]
async fn a_stream_ends_with_its_usage() {
    let usage = Usage { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };
    let end = Delta::End { finish_reason: Some("stop".to_owned()), usage: Some(usage) };
    for answer in [
        Answer::stream(&["Who ", "goes ", "thäre?"]),
        Answer::stream(&["Who ", "goes ", "thäre?"]).slowly(Duration::ZERO),
    ] {
        let (provider, client) = pair(vec![answer]).await;
        assert_eq!(read(&client).await, ("Who goes thäre?".to_owned(), Ok(end.clone())));
        let body = &provider.seen()[0].body;
        assert_eq!(body["stream"], true);
        assert_eq!(body["stream_options"], json!({"include_usage": true}));
    }
}

#[tokio::test]
async fn raw_chunks_pass_through_untouched() {
    let mut odd = hello();
    odd["odd"] = json!({"logprobs": [0.5, null]});
    let last = chunk(&json!({}), &json!("stop"));
    let (provider, client) = pair(vec![Answer::events(&[odd.clone(), last.clone()]).done()]).await;
    let chunks = client.stream_raw(json!({"messages": [], "user": "u"})).await.unwrap();
    let chunks: Vec<_> = chunks.map(Result::unwrap).collect().await;
    assert_eq!(chunks, [odd, last]);
    assert_eq!(provider.seen()[0].body, json!({"messages": [], "user": "u", "stream": true}));
}

#[tokio::test]
async fn a_stream_that_breaks_after_its_first_piece_is_cut_and_not_begun_again() {
    let error = json!({"x_groq": {"id": "r", "error": "over capacity"}, "choices": []});
    let broken =
        Answer::new(200, "text/event-stream", format!("data: {}\n\ndata: {{\"cho\n\n", hello()));
    for answer in [
        Answer::events(&[hello(), error]).done(),
        Answer::events(&[hello(), json!({"error": {"message": "gone"}})]).unmeasured(),
        Answer::events(&[hello()]).cut_off(),
        Answer::events(&[hello()]).unmeasured(),
        Answer::new(200, "text/event-stream", format!("data: {}\n\ndata: {{\"cho", hello()))
            .unmeasured(),
        broken,
    ] {
        let (provider, client) = pair(vec![answer.clone()]).await;
        let (text, end) = read(&client).await;
        assert_eq!(text, "hello", "{answer:?}");
        assert!(matches!(end, Err(ChatError::Cut { .. })), "{end:?}");
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_piece_is_begun_again() {
    for failure in [
        Answer::events(&[json!({"x_groq": {"error": "over capacity"}})]),
        Answer::events(&[]).cut_off(),
        Answer::events(&[]).done(),
        Answer::hang_up(),
        Answer::error(429, "rate_limit_exceeded", "slow down"),
        Answer::new(500, "text/plain", ""),
    ] {
        let (provider, client) = pair(vec![failure, Answer::stream(&["well"])]).await;
        assert_eq!(read(&client).await.0, "well");
        assert_eq!(provider.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_stream_without_its_end_mark_is_whole_if_it_says_why_it_stopped() {
    let last = chunk(&json!({}), &json!("stop"));
    let (_provider, client) = pair(vec![Answer::events(&[hello(), last]).unmeasured()]).await;
    let end = Delta::End { finish_reason: Some("stop".to_owned()), usage: None };
    assert_eq!(read(&client).await, ("hello".to_owned(), Ok(end)));
}

#[tokio::test]
async fn what_is_no_stream_is_a_failure() {
    for answer in [Answer::new(200, "text/html", "<html>"), Answer::text("not streamed")] {
        let (_provider, client) = pair(vec![answer]).await;
        assert_eq!(status_of(&client.stream(&request()).await.err().unwrap()), Some(200));
    }
    let (_provider, client) = pair(vec![Answer::error(404, "model_not_found", "gone")]).await;
    assert_eq!(status_of(&client.stream(&request()).await.err().unwrap()), Some(404));
}

#[tokio::test]
async fn a_stream_that_stalls_times_out() {
    let provider = StandIn::start(vec![Answer::events(&[hello()]).stalling()]).await.unwrap();
    let mut settings = settings(&provider);
    settings.timeouts.between_bytes = Duration::from_millis(100);
    let (text, end) = read(&client(settings.clone())).await;
    assert_eq!(
        (text.as_str(), end),
        ("hello", Err(ChatError::Timeout { phase: Phase::BetweenBytes }))
    );

    settings.timeouts.between_bytes = Duration::from_secs(60);
    settings.timeouts.whole = Duration::from_millis(300);
    let (_, end) = read(&client(settings)).await;
    assert_eq!(end, Err(ChatError::Timeout { phase: Phase::Whole }));
}

#[tokio::test]
async fn a_stream_of_ten_megabytes_is_ended() {
    let long = "x".repeat(64 * 1024);
    let texts = vec![long.as_str(); 160];
    for answer in [Answer::stream(&texts), Answer::stream(&[&"x".repeat(10 * 1024 * 1024)])] {
        let (_provider, client) = pair(vec![Answer::stream(&["short"]), answer]).await;
        assert!(read(&client).await.1.is_ok());
        let (text, end) = read(&client).await;
        assert!(text.len() <= 2 * 1024 * 1024);
        assert!(end.unwrap_err().to_string().contains("longer than"));
    }
}

#[tokio::test]
async fn tool_calls_arrive_piece_by_piece() {
    let call = |arguments| json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "act", "arguments": arguments}}]});
    let pieces = ["{\"a", "\": oops"].map(|piece| chunk(&call(piece), &Value::Null));
    let last = chunk(&json!({}), &json!("tool_calls"));
    let (_provider, client) =
        pair(vec![Answer::events(&[&pieces[..], &[last]].concat()).done()]).await;
    let deltas: Vec<_> =
        client.stream(&request()).await.unwrap().map(Result::unwrap).collect().await;
    let arguments: String = deltas
        .iter()
        .filter_map(|delta| match delta {
            Delta::ToolCall(call) => Some(call.arguments.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(arguments, "{\"a\": oops");
    assert_eq!(deltas.len(), 3);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_call() {
    let mut provider = StandIn::start(vec![Answer::events(&[hello()]).stalling()]).await.unwrap();
    let client = client(settings(&provider));
    let mut deltas = client.stream(&request()).await.unwrap();
    assert_eq!(deltas.next().await, Some(Ok(Delta::Text("hello".to_owned()))));
    assert_eq!(client.status().under_way, 1);
    provider.until_open(1).await;
    drop(deltas);
    provider.until_open(0).await;
    assert_eq!(client.status().under_way, 0);
}
