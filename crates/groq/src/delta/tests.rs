//! Chunks in, pieces out; and the whole answer put together again.

use super::*;

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn game() -> Vec<Value> {
    let first = json!({"index": 0, "id": "call_1", "function": {"name": "act", "arguments": ""}});
    let mut last = chunk(json!({}), json!("tool_calls"));
    last["x_groq"] =
        json!({"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}});
    vec![
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "Ho"}), Value::Null),
        chunk(json!({"content": "ld!"}), Value::Null),
        chunk(json!({"tool_calls": [first]}), Value::Null),
        chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\""}}]}),
            Value::Null,
        ),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}), Value::Null),
        last,
    ]
}

#[tokio::test]
async fn deltas_end_with_the_reason_and_the_usage() {
    let chunks = Box::pin(stream::iter(game().into_iter().map(Ok)));
    let deltas: Vec<_> = deltas(chunks).map(Result::unwrap).collect().await;
    assert_eq!(deltas[..2], [Delta::Text("Ho".to_owned()), Delta::Text("ld!".to_owned())]);
    assert!(matches!(&deltas[2], Delta::ToolCall(call) if call.name.as_deref() == Some("act")));
    let usage = Usage { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
    let end = Delta::End { finish_reason: Some("tool_calls".to_owned()), usage: Some(usage) };
    assert_eq!(deltas[5..], [end]);
}

#[tokio::test]
async fn nothing_follows_an_error() {
    let broken = [Ok(game()[1].clone()), Err(ChatError::cut("x")), Ok(game()[2].clone())];
    let deltas: Vec<_> = deltas(Box::pin(stream::iter(broken))).collect().await;
    assert_eq!(deltas, [Ok(Delta::Text("Ho".to_owned())), Err(ChatError::cut("x"))]);
}

#[test]
fn the_chunks_of_an_answer_make_the_answer_again() {
    let mut assembly = Assembly::default();
    game().iter().for_each(|chunk| assembly.push(chunk));
    let reply = assembly.into_reply();
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["content"], "Hold!");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    assert_eq!(reply["usage"]["total_tokens"], 7);

    let mut again = Assembly::default();
    chunks_of(&reply).iter().for_each(|chunk| again.push(chunk));
    assert_eq!(again.into_reply(), reply);
}
