//! The most tokens that a call can use: an estimate of its prompt, and the limit of its reply.

use life_agent_domain::governance::budget::Tokens;
use life_agent_domain::governance::command::Message;
use serde_json::Value;

/// Bytes per token, rather too few: English has about four, code about three.
const BYTES_PER_TOKEN: u64 = 3;
/// Tokens that surround each message.
const PER_MESSAGE: u64 = 8;
/// The fields that limit a reply.
const LIMITS: [&str; 4] =
    ["max_completion_tokens", "max_tokens", "max_output_tokens", "max_tokens_to_sample"];
/// Most replies to one request that are counted.
const MAX_CHOICES: u64 = 128;

/// The most tokens of a request that the engine composed: everything in its body is text.
pub(crate) fn most_of_body(body: &Value, usual: u32) -> Tokens {
    let bytes = body.to_string().len() as u64;
    Tokens { prompt: bytes.div_ceil(BYTES_PER_TOKEN), completion: reply(body, usual) }
}

/// The most tokens of a forwarded request: of the texts in it, which leave out images.
pub(crate) fn most_of_texts(messages: &[Message], body: &Value, usual: u32) -> Tokens {
    let tokens =
        |message: &Message| (message.content.len() as u64).div_ceil(BYTES_PER_TOKEN) + PER_MESSAGE;
    Tokens { prompt: messages.iter().map(tokens).sum(), completion: reply(body, usual) }
}

/// The most tokens of the reply: what the request names, or else `usual`, for each reply that it asks for.
fn reply(body: &Value, usual: u32) -> u64 {
    let named = LIMITS.iter().filter_map(|name| body.get(name)?.as_u64()).max();
    let choices = body.get("n").and_then(Value::as_u64).unwrap_or(1).clamp(1, MAX_CHOICES);
    named.unwrap_or_else(|| usual.into()).saturating_mul(choices)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reply_is_as_long_as_the_request_permits() {
        for (body, expected) in [
            (json!({}), 100),
            (json!({"max_tokens": 7}), 7),
            (json!({"max_completion_tokens": 9, "max_tokens": 7}), 9),
            (json!({"max_output_tokens": 5, "n": 3}), 15),
            (json!({"n": 1_000_000}), 12_800),
            (json!({"max_tokens": "many", "n": 0}), 100),
            (json!({"max_tokens": u64::MAX, "n": 2}), u64::MAX),
        ] {
            assert_eq!(most_of_body(&body, 100).completion, expected, "{body}");
        }
    }

    #[test]
    fn a_prompt_is_estimated_by_its_bytes() {
        let message = |text: &str| Message { role: "user".to_owned(), content: text.to_owned() };
        let most = most_of_texts(&[message("123456789"), message("")], &json!({}), 1);
        assert_eq!(most.prompt, 3 + 8 + 8);
        assert_eq!(most_of_body(&json!({"a": "b"}), 1).prompt, 3);
    }
}
