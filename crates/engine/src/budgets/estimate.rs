//! Estimates of tokens: the most that a call can use, and what a call that is ended midway has used.

use life_agent_domain::governance::budget::Tokens;
use life_agent_domain::governance::command::Message;
use life_agent_groq::Usage;
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
    Tokens { prompt: prompt(messages), completion: reply(body, usual) }
}

/// The tokens of the messages of a prompt.
pub(crate) fn prompt(messages: &[Message]) -> u64 {
    let tokens =
        |message: &Message| (message.content.len() as u64).div_ceil(BYTES_PER_TOKEN) + PER_MESSAGE;
    messages.iter().map(tokens).sum()
}

/// What a stream has used that ends before its provider reports the usage: the estimate of its prompt, and
/// of as many bytes as have arrived. A partial report counts where it says more.
pub(crate) fn used_so_far(prompt: u64, arrived: usize, reported: Option<Usage>) -> Usage {
    let reported = reported.unwrap_or_default();
    let prompt_tokens = match reported.prompt_tokens {
        0 => prompt,
        known => known,
    };
    let arrived = (arrived as u64).div_ceil(BYTES_PER_TOKEN);
    let completion_tokens = reported.completion_tokens.max(arrived);
    let total_tokens = prompt_tokens.saturating_add(completion_tokens);
    Usage { prompt_tokens, completion_tokens, total_tokens }
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
    fn what_is_used_midway_is_at_least_what_arrived_and_what_was_reported() {
        let usage = |prompt_tokens, completion_tokens| Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
        };
        assert_eq!(used_so_far(7, 10, None), usage(7, 4));
        assert_eq!(used_so_far(7, 10, Some(usage(5, 1))), usage(5, 4));
        assert_eq!(used_so_far(7, 10, Some(usage(0, 90))), usage(7, 90));
    }

    #[test]
    fn a_prompt_is_estimated_by_its_bytes() {
        let message = |text: &str| Message { role: "user".to_owned(), content: text.to_owned() };
        let most = most_of_texts(&[message("123456789"), message("")], &json!({}), 1);
        assert_eq!(most.prompt, 3 + 8 + 8);
        assert_eq!(most_of_body(&json!({"a": "b"}), 1).prompt, 3);
    }
}
