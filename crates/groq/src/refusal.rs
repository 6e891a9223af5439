//! What an error status of a provider means: the error, whether to retry, and whether the provider
//! counts as failing.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::error::{ChatError, Overload};
use crate::limits::{forwarded, retry_hint};
use crate::redacting::KeyRedactor;
use crate::rejection::{Rejection, message_of};
use crate::retry::{Failure, Retry};

/// Groq: the capacity of the flexible tier is used up; the same request can pass a moment later.
const FLEX_TIER_FULL: u16 = 498;
/// Anthropic: the provider is overloaded.
const OVERLOADED: u16 = 529;
/// The wait that callers get when a provider is at its limit and names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Reads an error response. `body` is the part of it that could be read.
pub(crate) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    redactor: &KeyRedactor,
) -> Failure {
    let mut rejection = Rejection::read(status.as_u16(), body, redactor);
    rejection.retry_after = retry_hint(headers, jiff::Timestamp::now()).or(rejection.retry_after);
    rejection.headers = forwarded(headers);
    match status.as_u16() {
        // The provider's words may repeat parts of the key.
        401 => {
            "the model provider refuses the key of this service (status 401)"
                .clone_into(&mut rejection.message);
        }
        // A refused model, region or text: the caller can act on the words.
        403 if rejection.message.is_empty() => {
            "the model provider refuses the request or the key of this service (status 403)"
                .clone_into(&mut rejection.message);
        }
        // A text without structure is a page for people at the provider.
        500..=599 if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() => {
            rejection.message.clear();
        }
        _ => {}
    }
    let failure = classify(rejection);
    // OpenAI's header by which a provider overrides what clients conclude from the status.
    match headers.get("x-should-retry").map(|value| value.as_bytes()) {
        Some(b"false") => failure.retry(Retry::Never),
        Some(b"true") if failure.retry == Retry::Never => failure.retry(Retry::Soon),
        _ => failure,
    }
}

/// Reads an error that came as an event of a stream, whose HTTP status was a success.
pub(crate) fn refusal_in_stream(event: &Value, error: &Value, redactor: &KeyRedactor) -> Failure {
    let status = status_of(error);
    let mut rejection = Rejection::of_json(status, event, redactor);
    if rejection.message.is_empty() {
        rejection.message = redactor.message(&message_of(error).unwrap_or_default());
    }
    let failure = classify(rejection);
    let words = failure.rejection.as_ref().map_or("", |rejection| rejection.message.as_str());
    let words = if words.is_empty() { "the model provider gave up" } else { words };
    Failure { error: ChatError::cut(words), ..failure }
}

/// The status that the code or type of an error inside a stream stands for.
fn status_of(error: &Value) -> u16 {
    let number = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|status| (400..600).contains(status))
    };
    let named = |value: &Value| match value.as_str()? {
        "invalid_request_error"
        | "context_length_exceeded"
        | "invalid_prompt"
        | "INVALID_ARGUMENT" => Some(400),
        "authentication_error" => Some(401),
        "permission_error" => Some(403),
        "not_found_error" | "model_not_found" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => Some(429),
        "overloaded_error" => Some(OVERLOADED),
        _ => None,
    };
    let fields = ["status_code", "status", "code", "type"]
        .map(|name| error.get(name).unwrap_or(&Value::Null));
    fields
        .into_iter()
        .find_map(number)
        .or_else(|| fields.into_iter().find_map(named))
        .unwrap_or(502)
}

fn classify(rejection: Rejection) -> Failure {
    let number = rejection.status;
    let code = rejection.code_text().filter(|code| is_name(code)).map(str::to_owned);
    let words: String = rejection.message.chars().take(300).collect();
    let failed =
        |message: String| ChatError::Failed { status: Some(number), code: code.clone(), message };
    let with_words = |what: &str| {
        failed(if words.is_empty() { what.to_owned() } else { format!("{what}: {words}") })
    };
    let wait = rejection.retry_after;
    let retry = wait.map_or(Retry::Soon, Retry::After);
    let quota = [code.as_deref(), rejection.kind.as_deref()].contains(&Some("insufficient_quota"));
    let failure = match number {
        300..=399 => Failure::of_request(failed(
            "the model provider redirects to another address; set the base URL to the final one"
                .to_owned(),
        )),
        // The provider's words may repeat the key.
        401 | 403 => Failure::of_request(failed(format!(
            "the model provider refuses the key (status {number}); check `GROQ_API_KEY`"
        ))),
        429 if quota => Failure::of_request(with_words("the model provider's quota is used up")),
        429 | FLEX_TIER_FULL | OVERLOADED => {
            let retry_after = wait.unwrap_or(DEFAULT_WAIT);
            let error = ChatError::Overloaded { cause: Overload::Provider, retry_after };
            // 429 is not a failure; in half-open it proves that the provider responds.
            Failure::of_request(error).retry(retry)
        }
        408 => Failure::of_provider(with_words("the model provider timed out")).retry(retry),
        // The model wrote a call that its own tools do not accept; another draw can be better.
        400 if code.as_deref() == Some("tool_use_failed") => {
            Failure::of_request(with_words("the model called a tool wrongly")).retry(Retry::Soon)
        }
        // Some servers answer a prompt that is too long with 500.
        500..=599 if rejection.is_too_long() => Failure::of_request(with_words(&format!(
            "the model provider refused the request (status {number})"
        ))),
        500..=599 => {
            let what = format!("the model provider failed (status {number})");
            Failure::of_provider(with_words(&what)).retry(retry)
        }
        _ => Failure::of_request(with_words(&format!(
            "the model provider refused the request (status {number})"
        ))),
    };
    failure.with(rejection)
}

/// Whether a code is a name and not a text.
fn is_name(code: &str) -> bool {
    code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b"_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use life_agent_domain::governance::redaction::Redact;

    use super::*;
    use crate::breaker::CallResult;

    struct Nothing;
    impl Redact for Nothing {
        fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
            Cow::Borrowed(text)
        }
    }

    fn read(status: u16, retry_after: Option<&str>, body: &str) -> Failure {
        let mut headers = HeaderMap::new();
        if let Some(wait) = retry_after {
            headers.insert("retry-after", wait.parse().unwrap());
        }
        let redactor = KeyRedactor::new("gsk_secret", Arc::new(Nothing));
        refusal(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), &redactor)
    }

    #[test]
    fn only_failures_that_a_retry_can_help_are_retried() {
        for status in [408, 429, 498, 500, 502, 503, 504, 529, 599] {
            assert_eq!(read(status, None, "").retry, Retry::Soon, "{status}");
        }
        for status in [301, 302, 307, 400, 401, 403, 404, 409, 413, 422] {
            assert_eq!(read(status, None, "").retry, Retry::Never, "{status}");
        }
        let tool = r#"{"error":{"message":"bad call","code":"tool_use_failed"}}"#;
        assert_eq!(read(400, None, tool).retry, Retry::Soon);
        let quota = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        assert_eq!(read(429, None, quota).retry, Retry::Never);
    }

    #[test]
    fn the_wait_that_the_provider_asks_for_is_kept() {
        let failure = read(429, Some("7"), "");
        let wait = Duration::from_secs(7);
        assert_eq!(failure.retry, Retry::After(wait));
        let error = ChatError::Overloaded { cause: Overload::Provider, retry_after: wait };
        assert_eq!(failure.error, error);
        assert_eq!(read(429, Some("soon"), "").retry, Retry::Soon);
    }

    #[test]
    fn the_key_is_in_no_message_and_no_code() {
        let body = r#"{"error":{"message":"bad key gsk_secret","code":"gsk_secret"}}"#;
        for status in [302, 400, 401, 404, 429, 500] {
            let shown = format!("{:?}", read(status, None, body));
            assert!(!shown.contains("gsk_secret"), "{shown}");
        }
    }

    #[test]
    fn the_words_of_a_403_reach_the_caller_and_those_of_a_401_do_not() {
        let body = r#"{"error":{"message":"your region is not supported"}}"#;
        let words = |status| read(status, None, body).rejection.unwrap().message;
        assert_eq!(words(403), "your region is not supported");
        assert!(words(401).contains("refuses the key"), "{}", words(401));
    }

    #[test]
    fn html_is_not_repeated() {
        let shown = read(502, None, "<html>nginx at /srv/secret</html>").error.to_string();
        assert_eq!(shown, "the model provider failed (status 502)");
    }

    #[test]
    fn a_prompt_that_is_too_long_is_the_callers_error_whatever_the_status() {
        let body = r#"{"error":{"message":"The prompt exceeds the context window"}}"#;
        for status in [400, 413, 500, 503] {
            let failure = read(status, None, body);
            assert_eq!(
                (failure.retry, failure.result),
                (Retry::Never, CallResult::Success),
                "{status}"
            );
        }
        assert_eq!(read(500, None, "{}").result, CallResult::Failure);
    }

    #[test]
    fn an_error_in_a_stream_counts_by_its_code_or_type() {
        for (error, status, result) in [
            (r#"{"message":"m","code":400}"#, 400, CallResult::Success),
            (r#"{"message":"m","code":"429"}"#, 429, CallResult::Success),
            (r#"{"message":"m","type":"invalid_request_error"}"#, 400, CallResult::Success),
            (r#"{"message":"m","type":"overloaded_error"}"#, 529, CallResult::Success),
            (r#"{"message":"m","code":503,"type":"server_error"}"#, 503, CallResult::Failure),
            (r#"{"message":"m"}"#, 502, CallResult::Failure),
            (r#""m""#, 502, CallResult::Failure),
        ] {
            let error: Value = serde_json::from_str(error).unwrap();
            let event = serde_json::json!({"error": error});
            let redactor = KeyRedactor::new("gsk_secret", Arc::new(Nothing));
            let failure = refusal_in_stream(&event, &error, &redactor);
            let rejection = failure.rejection.unwrap();
            assert_eq!((rejection.status, failure.result), (status, result), "{error}");
            assert_eq!(rejection.message, "m");
        }
    }
}
