//! Streams that are cut in every way.

use life_agent_gates::SecretRedactor;
use life_agent_groq::FrameReader;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const TOKEN: &str = "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0";

fn frame(delta: &Value) -> Frame {
    let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": delta}], "usage": null});
    Frame::of(None, &chunk.to_string())
}

/// Streams a text in chunks of these sizes; the output after each frame, and the whole of it.
fn streamed(text: &str, sizes: &[usize]) -> (Vec<usize>, String) {
    let (mut guard, mut out, mut lengths) = (Guard::default(), Vec::new(), Vec::new());
    let mut sizes = sizes.iter().cycle();
    let mut left = text;
    while !left.is_empty() {
        let (chunk, after) = left.split_at(left.ceil_char_boundary(*sizes.next().unwrap()));
        left = after;
        guard.push(frame(&json!({"content": chunk})), &SecretRedactor);
        out.extend(judged(&mut guard, false));
        lengths.push(out.len());
    }
    guard.finish();
    out.extend(judged(&mut guard, true));
    (lengths, content(&out))
}

/// What goes out after the gates have passed everything so far.
fn judged(guard: &mut Guard, last: bool) -> Vec<u8> {
    guard.unjudged(&SecretRedactor);
    guard.release(&SecretRedactor, last)
}

fn content(out: &[u8]) -> String {
    let frames = FrameReader::default().push(out);
    let texts = frames.iter().flat_map(Frame::payloads).map(|payload| {
        let chunk: Value = serde_json::from_str(&payload).unwrap();
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    });
    texts.collect()
}

#[test]
fn plain_text_goes_out_word_by_word_in_its_own_frames() {
    let words = ["The ", "gate ", "is ", "high."];
    let (mut guard, mut out) = (Guard::default(), Vec::new());
    let frames: Vec<_> = words.iter().map(|word| frame(&json!({"content": word}))).collect();
    for (n, frame) in frames.iter().enumerate() {
        guard.push(frame.clone(), &SecretRedactor);
        out.extend(judged(&mut guard, false));
        let expected: Vec<u8> = frames[..=n.min(2)].iter().flat_map(|f| f.raw.clone()).collect();
        assert_eq!(out, expected, "after {n}");
    }
    guard.finish();
    out.extend(judged(&mut guard, true));
    let all: Vec<u8> = frames.iter().flat_map(|frame| frame.raw.clone()).collect();
    assert_eq!(out, all);
    assert!(!guard.redacted);
}

#[test]
fn a_tool_call_waits_until_it_is_complete() {
    let mut guard = Guard::default();
    let call = |arguments: &str| {
        frame(&json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}))
    };
    guard.push(call("{\"a\": "), &SecretRedactor);
    guard.push(call("\"b\"}"), &SecretRedactor);
    assert!(judged(&mut guard, false).is_empty());
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    guard.push(Frame::of(None, &end.to_string()), &SecretRedactor);
    // The call goes out whole; the frame that ends the reply waits for its row.
    let out = String::from_utf8(judged(&mut guard, false)).unwrap();
    assert_eq!(out.matches("data: ").count(), 2, "{out}");
    let out = String::from_utf8(judged(&mut guard, true)).unwrap();
    assert!(out.contains("\"finish_reason\":\"tool_calls\""), "{out}");
}

#[test]
fn the_end_mark_waits_for_the_record() {
    let mut guard = Guard::default();
    guard.push(Frame::of(None, "[DONE]"), &SecretRedactor);
    assert!(judged(&mut guard, false).is_empty());
    assert_eq!(judged(&mut guard, true), b"data: [DONE]\n\n");
}

#[test]
fn a_private_key_over_many_lines_stays_inside() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    let text = format!(
        "{}-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n{}",
        "Here it is, as you asked. ".repeat(30),
        line.repeat(40),
        "Keep it safe. ".repeat(60)
    );
    let (_, all) = streamed(&text, &[5]);
    assert!(!all.contains("MIIEvQ"), "{all}");
    assert!(all.ends_with("Keep it safe. "), "{all}");
}

#[test]
fn a_credential_in_a_field_that_stands_alone_is_removed() {
    let mut guard = Guard::default();
    let event = json!({"type": "response.completed", "response": {"output": [{"text": TOKEN}]}});
    guard.push(Frame::of(Some("response.completed"), &event.to_string()), &SecretRedactor);
    guard.finish();
    let out = String::from_utf8(judged(&mut guard, true)).unwrap();
    assert!(!out.contains(TOKEN) && out.contains("[redacted:"), "{out}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn however_a_text_is_cut_no_credential_gets_out(
        before in "[a-zäß ,.\n]{0,900}",
        between in "[a-z ,.]{1,700}",
        after in "[a-z ,.]{0,900}",
        sizes in proptest::collection::vec(1..90_usize, 1..12),
    ) {
        let text = format!("{before} {TOKEN} {between}\npassword=Tr0ub4dor3xQ9z {after}");
        let (_, all) = streamed(&text, &sizes);
        prop_assert!(!all.contains("Tr0ub4dor3xQ9z"), "{}", all);
        prop_assert!(!all.contains(&TOKEN[4..12]), "{}", all);
        prop_assert_eq!(all, SecretRedactor.redact(&text).into_owned());
    }

    #[test]
    fn a_text_without_credentials_keeps_its_bytes(
        text in "[a-zA-Z0-9äß ,.:=\"'(){}\n/-]{1,600}",
        sizes in proptest::collection::vec(1..40_usize, 1..12),
    ) {
        prop_assume!(matches!(SecretRedactor.redact(&text), Cow::Borrowed(_)));
        let (_, all) = streamed(&text, &sizes);
        prop_assert_eq!(all, text);
    }
}
