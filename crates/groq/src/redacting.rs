//! Removes the provider's key and all other credentials from texts and JSON.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use life_agent_domain::governance::redaction::{Redact, redact_owned};
use serde::Serialize;
use serde_json::{Map, Value};

/// Longest text of the provider's that an error carries, in characters.
const MAX_MESSAGE: usize = 300;

/// Redacts the client's own key in addition to what the service's redactor finds: the keys of some
/// providers have no shape that a pattern matches.
pub(crate) struct KeyRedactor {
    key: secrecy::SecretString,
    rest: Arc<dyn Redact>,
}

impl KeyRedactor {
    pub(crate) fn new(key: &str, rest: Arc<dyn Redact>) -> Self {
        Self { key: key.into(), rest }
    }

    /// A text of the provider's, fit for an error: no credentials, no control characters, not long.
    pub(crate) fn message(&self, text: &str) -> String {
        self.bounded(text, MAX_MESSAGE)
    }

    /// The same with a bound of `max` characters.
    pub(crate) fn bounded(&self, text: &str, max: usize) -> String {
        let clean = self.redact(text);
        let mut short: String =
            clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect();
        if clean.chars().nth(max).is_some() {
            short.push('…');
        }
        short
    }
}

impl Redact for KeyRedactor {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let key = secrecy::ExposeSecret::expose_secret(&self.key);
        if !text.contains(key) {
            return self.rest.redact(text);
        }
        let without_key = text.replace(key, "[redacted:api_key]");
        Cow::Owned(redact_owned(without_key, self.rest.as_ref()))
    }
}

/// JSON without credentials: every string in it is redacted, keys of objects included. A string that
/// is JSON itself, like the arguments of a tool call, is also redacted inside, where escapes could
/// hide a credential.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Redacted<T = Value>(T);

/// Redacts one string of a JSON document as [`Redacted::of`] does; none if nothing is found.
pub fn redacted_text(text: &str, redactor: &dyn Redact) -> Option<String> {
    let mut text = text.to_owned();
    redact_text(&mut text, redactor).then_some(text)
}

impl Redacted<Value> {
    /// The value without its credentials.
    pub fn of(mut value: Value, redactor: &dyn Redact) -> Self {
        redact_json(&mut value, redactor);
        Self(value)
    }

    /// The value.
    pub fn into_value(self) -> Value {
        self.0
    }
}

impl Deref for Redacted<Value> {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.0
    }
}

/// Whether something was redacted.
fn redact_json(value: &mut Value, redactor: &dyn Redact) -> bool {
    let mut found = false;
    match value {
        Value::String(text) => found = redact_text(text, redactor),
        Value::Array(items) => {
            for item in items {
                found |= redact_json(item, redactor);
            }
        }
        Value::Object(fields) => {
            found = redact_keys(fields, redactor);
            for field in fields.values_mut() {
                found |= redact_json(field, redactor);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    found
}

fn redact_keys(fields: &mut Map<String, Value>, redactor: &dyn Redact) -> bool {
    let found = fields.keys().any(|key| matches!(redactor.redact(key), Cow::Owned(_)));
    if found {
        let kept = std::mem::take(fields).into_iter();
        fields.extend(kept.map(|(key, value)| (redact_owned(key, redactor), value)));
    }
    found
}

fn redact_text(text: &mut String, redactor: &dyn Redact) -> bool {
    let mut hidden = false;
    if text.trim_start().starts_with(['{', '['])
        && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        && redact_json(&mut inner, redactor)
    {
        *text = inner.to_string();
        hidden = true;
    }
    match redactor.redact(text) {
        Cow::Owned(clean) => *text = clean,
        Cow::Borrowed(_) => return hidden,
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Lines;
    impl Redact for Lines {
        fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
            if text.contains("pass\nword") {
                Cow::Owned(text.replace("pass\nword", "[redacted]"))
            } else {
                Cow::Borrowed(text)
            }
        }
    }

    #[test]
    fn a_secret_behind_an_escape_in_tool_arguments_is_found() {
        let call = json!({"arguments": "{\"text\": \"pass\\nword\"}", "plain": "{not json"});
        let clean = Redacted::of(call, &Lines);
        assert_eq!(*clean, json!({"arguments": "{\"text\":\"[redacted]\"}", "plain": "{not json"}));
        assert_eq!(Redacted::of((*clean).clone(), &Lines), clean);
    }

    #[test]
    fn a_secret_in_a_name_is_found_and_all_else_stays() {
        let value = json!({"pass\nword": [1, {"pass\nword": "b"}], "z": null, "a": "pass\nword"});
        let clean = Redacted::of(value, &Lines);
        let expected =
            json!({"[redacted]": [1, {"[redacted]": "b"}], "z": null, "a": "[redacted]"});
        assert_eq!(*clean, expected);
    }

    #[test]
    fn the_own_key_goes_even_if_no_pattern_knows_it() {
        let redactor = KeyRedactor::new("correct-horse", Arc::new(Lines));
        let message = redactor.message(&format!("no: correct-horse\r\n{}", "x".repeat(400)));
        assert!(message.starts_with("no: [redacted:api_key]  x"), "{message}");
        assert_eq!(message.chars().count(), MAX_MESSAGE + 1);
    }
}
