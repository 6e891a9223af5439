//! What an answer with an error status means: its text, whether to try again, who is to blame.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::breaker::Health;
use crate::error::{ChatError, Overload};
use crate::limits::retry_after;
use crate::redacting::KeyRedactor;
use crate::retry::{Again, Failure};

/// Groq: the capacity of the flexible tier is used up; the same request may pass a moment later.
const FLEX_TIER_FULL: u16 = 498;
/// What to tell a caller when the provider is full and names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Reads an answer that is no success. `body` is what could be read of it.
pub(crate) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    redactor: &KeyRedactor,
) -> Failure {
    let told = serde_json::from_slice::<Value>(body).ok();
    let code = told.as_ref().and_then(|body| code_of(body, redactor));
    let said = told.as_ref().and_then(message_of).map(|text| redactor.message(text));
    let number = status.as_u16();
    let failed =
        |message: String| ChatError::Failed { status: Some(number), code: code.clone(), message };
    let with_words = |what: &str| {
        failed(said.as_ref().map_or_else(|| what.to_owned(), |said| format!("{what}: {said}")))
    };
    let wait = retry_after(headers);
    let again = wait.map_or(Again::Soon, Again::After);
    match number {
        300..=399 => Failure::unwanted(failed(
            "the model provider redirects to another address; set `GROQ_BASE_URL` to the final one"
                .to_owned(),
        )),
        // The provider's words may repeat the key.
        401 | 403 => Failure::unwanted(failed(format!(
            "the model provider refuses the key (status {number}); check `GROQ_API_KEY`"
        ))),
        429 if code.as_deref() == Some("insufficient_quota") => {
            Failure::unwanted(with_words("the model provider's quota is used up"))
        }
        429 | FLEX_TIER_FULL => {
            let retry_after = wait.unwrap_or(DEFAULT_WAIT);
            let error = ChatError::Overloaded { cause: Overload::Provider, retry_after };
            // Being full is not being ill, and half-open it shows that somebody is there.
            Failure { error, again, health: Health::Well }
        }
        408 => Failure::ill(with_words("the model provider gave up waiting")).again(again),
        // The model wrote a call that its own tools do not take; another draw may be better.
        400 if code.as_deref() == Some("tool_use_failed") => {
            Failure::unwanted(with_words("the model called a tool wrongly")).again(Again::Soon)
        }
        500..=599 => {
            let what = format!("the model provider failed (status {number})");
            Failure::ill(with_words(&what)).again(again)
        }
        _ => Failure::unwanted(with_words(&format!(
            "the model provider refused the request (status {number})"
        ))),
    }
}

/// The words of an error object, in any of the forms that providers use.
pub(crate) fn message_of(body: &Value) -> Option<&str> {
    let error = body.get("error").unwrap_or(body);
    error.as_str().or_else(|| error.get("message")?.as_str())
}

/// The code of an error object, if it is a name and not a text.
fn code_of(body: &Value, redactor: &KeyRedactor) -> Option<String> {
    let code = body.pointer("/error/code")?.as_str()?;
    let named =
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b"_.".contains(&b));
    (named && redactor.message(code) == code).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use life_agent_domain::governance::redaction::Redact;

    use super::*;

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
    fn what_may_pass_later_is_tried_again_and_the_rest_is_not() {
        for status in [408, 429, 498, 500, 502, 503, 504, 599] {
            assert_eq!(read(status, None, "").again, Again::Soon, "{status}");
        }
        for status in [301, 302, 307, 400, 401, 403, 404, 409, 413, 422] {
            assert_eq!(read(status, None, "").again, Again::Never, "{status}");
        }
        let tool = r#"{"error":{"message":"bad call","code":"tool_use_failed"}}"#;
        assert_eq!(read(400, None, tool).again, Again::Soon);
        let quota = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        assert_eq!(read(429, None, quota).again, Again::Never);
    }

    #[test]
    fn the_wait_that_the_provider_names_is_kept() {
        let failure = read(429, Some("7"), "");
        let wait = Duration::from_secs(7);
        assert_eq!(failure.again, Again::After(wait));
        let error = ChatError::Overloaded { cause: Overload::Provider, retry_after: wait };
        assert_eq!(failure.error, error);
        assert_eq!(read(429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), "").again, Again::Soon);
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
    fn html_is_not_repeated() {
        let shown = read(502, None, "<html>nginx at /srv/secret</html>").error.to_string();
        assert_eq!(shown, "the model provider failed (status 502)");
    }
}
