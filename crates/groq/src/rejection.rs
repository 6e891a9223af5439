//! What a provider said when it rejected a request, in the parts that clients act on.

use std::time::Duration;

use serde_json::Value;

use crate::redacting::KeyRedactor;
use crate::translate::Api;

/// Longest message of a provider that is kept, in characters.
const MAX_MESSAGE: usize = 2000;
/// Longest `code`, `type` or `param` that is kept, in bytes.
const MAX_NAME: usize = 200;

/// An error status of a provider, redacted. Clients decide by these fields whether to shorten the
/// context, to wait or to give up, so they keep the provider's values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rejection {
    /// The HTTP status; for an error inside a stream, the status that its code stands for.
    pub status: u16,
    /// `error.code`: a string, a number or null.
    pub code: Value,
    /// `error.type`, or its `status` where a provider uses that name.
    pub kind: Option<String>,
    /// `error.param`
    pub param: Value,
    /// The provider's message, in whatever form it came.
    pub message: String,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// The headers of the response that callers may see: limits and retry hints.
    pub headers: Vec<(String, String)>,
}

impl Rejection {
    /// Reads the body of an error response, whatever its form.
    pub(crate) fn read(status: u16, body: &[u8], redactor: &KeyRedactor) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: Option<Value> =
            serde_json::from_str(&crate::raw_json::repair_surrogates(&text)).ok();
        match json {
            Some(json) => Self::of_json(status, &json, redactor),
            None => Self::of_text(status, text.trim(), redactor),
        }
    }

    fn of_text(status: u16, text: &str, redactor: &KeyRedactor) -> Self {
        // A page of HTML names internals and helps no client.
        let words = if text.is_empty() || text.starts_with('<') { "" } else { text };
        Self {
            status,
            code: Value::Null,
            kind: None,
            param: Value::Null,
            message: redactor.bounded(words, MAX_MESSAGE),
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// Reads an error document, as it comes in a body or in an event of a stream.
    pub(crate) fn of_json(status: u16, json: &Value, redactor: &KeyRedactor) -> Self {
        let error = error_object(json);
        let name = |value: Option<&Value>| match value {
            Some(Value::String(text)) => Value::from(redactor.bounded(text, MAX_NAME)),
            Some(Value::Number(number)) => Value::Number(number.clone()),
            _ => Value::Null,
        };
        let kind =
            [error.get("type"), error.get("status")].into_iter().flatten().find_map(Value::as_str);
        Self {
            status,
            code: name(error.get("code")),
            kind: kind.map(|kind| redactor.bounded(kind, MAX_NAME)),
            param: name(error.get("param")),
            message: redactor.bounded(&message_of(json).unwrap_or_default(), MAX_MESSAGE),
            retry_after: wait_in(error).or_else(|| wait_in(json)),
            headers: Vec::new(),
        }
    }

    /// A request that the service itself rejects before it is sent.
    pub fn of_caller(status: u16, code: &str, param: &str, message: &str) -> Self {
        Self {
            status,
            code: code.into(),
            kind: None,
            param: param.into(),
            message: message.to_owned(),
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// The same as clients of this API know it, for an error that came in the other one.
    #[must_use]
    pub fn named_for(mut self, api: Api) -> Self {
        // The types of the Messages API follow from the status; those of chat completions do not exist there.
        if api == Api::Messages {
            self.kind = None;
        } else if self.code.is_null() && self.is_too_long() {
            // The code by which clients shorten their context.
            self.code = "context_length_exceeded".into();
        }
        self
    }

    /// Whether it says that the prompt does not fit into the model's context.
    pub(crate) fn is_too_long(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        self.code_text() == Some("context_length_exceeded")
            || [
                "context length",
                "context window",
                "context size",
                "prompt is too long",
                "too many tokens",
            ]
            .iter()
            .any(|words| message.contains(words))
    }

    /// The code as text.
    pub fn code_text(&self) -> Option<&str> {
        self.code.as_str()
    }
}

/// The object that holds `message` and `code`: `{"error": {…}}`, `[{"error": {…}}]` or the document.
fn error_object(json: &Value) -> &Value {
    let json = match json {
        Value::Array(items) => items.first().unwrap_or(json),
        other => other,
    };
    match json.get("error") {
        Some(error) if !error.is_null() => error,
        _ => json,
    }
}

/// The words of an error document, in any of the forms that providers use.
pub(crate) fn message_of(json: &Value) -> Option<String> {
    let error = error_object(json);
    let own = words(error).or_else(|| words(json))?;
    // Routers put the words of the provider behind them into `metadata.raw`, as JSON in a string.
    let nested = error.pointer("/metadata/raw").and_then(|raw| match raw {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner) => message_of(&inner),
            Err(_) => Some(text.clone()),
        },
        other => message_of(other),
    });
    Some(match nested {
        Some(nested) if !nested.is_empty() && nested != own => format!("{own}: {nested}"),
        _ => own,
    })
}

fn words(error: &Value) -> Option<String> {
    match error {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let all: Vec<_> = items.iter().filter_map(words).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(fields) => {
            let found = [
                "message",
                "detail",
                "msg",
                "error",
                "errors",
                "title",
                "description",
                "fault",
                "faultstring",
            ];
            let text = found.iter().find_map(|name| words(fields.get(*name)?))?;
            // FastAPI names the field that a message is about.
            let place = fields.get("loc").and_then(Value::as_array).map(|steps| {
                let step =
                    |step: &Value| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
                steps.iter().map(step).collect::<Vec<_>>().join(".")
            });
            Some(place.map_or_else(|| text.clone(), |place| format!("{place}: {text}")))
        }
        _ => None,
    }
}

/// A wait that an error document names: as a field, in Google's `RetryInfo` or in its words.
fn wait_in(error: &Value) -> Option<Duration> {
    let seconds = |value: &Value| match value {
        Value::Number(number) => Duration::try_from_secs_f64(number.as_f64()?).ok(),
        Value::String(text) => crate::limits::parse_duration(text),
        _ => None,
    };
    for place in [error, error.get("metadata").unwrap_or(&Value::Null)] {
        if let Some(wait) = place.get("retry_after_ms").and_then(Value::as_f64) {
            return Duration::try_from_secs_f64(wait / 1e3).ok();
        }
        for name in ["retry_after", "retry_after_seconds", "retryAfter", "retryDelay"] {
            if let Some(wait) = place.get(name).and_then(seconds) {
                return Some(wait);
            }
        }
    }
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    if let Some(wait) = details.filter_map(|detail| detail.get("retryDelay")).find_map(seconds) {
        return Some(wait);
    }
    wait_in_words(error.get("message")?.as_str()?)
}

/// The wait in "Please try again in 7.66s" and "retry after 30 seconds".
fn wait_in_words(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let after = ["try again in ", "retry in ", "retry after ", "try again after "];
    let rest = after.iter().find_map(|words| Some(lower.split_once(words)?.1))?;
    let mut words = rest.split_ascii_whitespace();
    let number = words.next()?.trim_end_matches(['.', ',', ';', ')']);
    let unit = words.next().unwrap_or_default().trim_end_matches(['.', ',', ';', ')']);
    let scale = match unit {
        "ms" | "millisecond" | "milliseconds" => Some("ms"),
        "minute" | "minutes" | "min" => Some("m"),
        "hour" | "hours" => Some("h"),
        _ => None,
    };
    match scale {
        Some(scale) if number.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            crate::limits::parse_duration(&format!("{number}{scale}"))
        }
        _ => crate::limits::parse_duration(number),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use life_agent_domain::governance::redaction::Redact;
    use serde_json::json;

    use super::*;

    struct Nothing;
    impl Redact for Nothing {
        fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
            Cow::Borrowed(text)
        }
    }

    fn read(body: &str) -> Rejection {
        Rejection::read(400, body.as_bytes(), &KeyRedactor::new("gsk_secret", Arc::new(Nothing)))
    }

    #[test]
    fn every_form_of_an_error_keeps_its_words() {
        for (body, message) in [
            (json!({"error": {"message": "too long"}}), "too long"),
            (json!({"error": "too long"}), "too long"),
            (json!({"message": "too long"}), "too long"),
            (json!({"detail": "too long"}), "too long"),
            (json!({"detail": [{"loc": ["body", "seed"], "msg": "no"}]}), "body.seed: no"),
            (json!([{"error": {"message": "too long", "status": "INVALID_ARGUMENT"}}]), "too long"),
            (json!({"errors": [{"message": "a"}, {"message": "b"}]}), "a; b"),
            (
                json!({"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\":{\"message\":\"too long\"}}"}}}),
                "Provider returned error: too long",
            ),
            (json!({"error": {"message": "no", "metadata": {"raw": "text"}}}), "no: text"),
            (json!({"fault": {"faultstring": "Quota", "detail": {"errorcode": "x"}}}), "Quota"),
            (json!({"error": {}}), ""),
        ] {
            assert_eq!(read(&body.to_string()).message, message, "{body}");
        }
        assert_eq!(read("upstream says: too long").message, "upstream says: too long");
        assert_eq!(read("<html>nginx at /srv</html>").message, "");
    }

    #[test]
    fn code_type_and_param_keep_their_values() {
        let read = read(r#"{"error":{"message":"m","type":"t","param":"messages","code":"c"}}"#);
        assert_eq!((&read.code, &read.param), (&json!("c"), &json!("messages")));
        assert_eq!(read.kind.as_deref(), Some("t"));
        assert_eq!(self::read(r#"{"error":{"code":402}}"#).code, json!(402));
        assert_eq!(self::read(r#"[{"error":{"status":"X"}}]"#).kind.as_deref(), Some("X"));
    }

    #[test]
    fn the_key_is_in_no_field() {
        let secret = "gsk_secret";
        let body =
            json!({"error": {"message": secret, "type": secret, "param": secret, "code": secret}});
        let shown = format!("{:?}", read(&body.to_string()));
        assert!(!shown.contains(secret), "{shown}");
        assert!(!read(secret).message.contains(secret));
    }

    #[test]
    fn a_wait_is_found_wherever_it_is_named() {
        for (body, millis) in [
            (json!({"error": {"message": "Please try again in 7.66s. Visit x"}}), 7660),
            (json!({"error": {"message": "Retry after 30 seconds."}}), 30_000),
            (json!({"error": {"message": "try again in 2 minutes"}}), 120_000),
            (json!({"error": {"message": "try again in 6m0s"}}), 360_000),
            (json!({"error": {"details": [{"retryDelay": "37s"}]}}), 37_000),
            (json!({"error": {"retry_after": 4}}), 4000),
            (json!({"retry_after_ms": 1500}), 1500),
            (json!({"error": {"metadata": {"retry_after_seconds": 3}}}), 3000),
        ] {
            let wait = read(&body.to_string()).retry_after.map(|wait| wait.as_millis());
            assert_eq!(wait, Some(millis), "{body}");
        }
        assert_eq!(read(r#"{"error":{"message":"try again in a while"}}"#).retry_after, None);
    }
}
