//! Takes the provider's key and all other credentials out of texts and JSON.

use std::borrow::Cow;
use std::sync::Arc;

use life_agent_domain::redact::{Redact, redact_owned};
use serde_json::Value;

/// Longest text of the provider's that an error carries, in characters.
const MAX_MESSAGE: usize = 300;

/// A redactor that knows the client's own key besides what the service's redactor finds: a base URL
/// may lead to a provider whose keys have no shape that a pattern could know.
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
        let clean = self.redact(text);
        let mut short: String =
            clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect();
        if clean.chars().nth(MAX_MESSAGE).is_some() {
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

/// Every text in a JSON value redacted, keys of objects included. A text that is JSON itself, as the
/// arguments of tool calls are, is redacted inside too, where escapes could hide a credential.
pub(crate) fn redact_json(value: Value, redactor: &dyn Redact) -> Value {
    match value {
        Value::String(text) => Value::String(redact_text(text, redactor)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| redact_json(item, redactor)).collect())
        }
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (redact_owned(key, redactor), redact_json(value, redactor)))
                .collect(),
        ),
        other => other,
    }
}

fn redact_text(text: String, redactor: &dyn Redact) -> String {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(&text)
    {
        let clean = redact_json(inner.clone(), redactor);
        if clean != inner {
            return redact_owned(clean.to_string(), redactor);
        }
    }
    redact_owned(text, redactor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Lines;
    impl Redact for Lines {
        fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
            Cow::Owned(text.replace("pass\nword", "[redacted]"))
        }
    }

    #[test]
    fn a_secret_behind_an_escape_in_tool_arguments_is_found() {
        let call = json!({"arguments": "{\"text\": \"pass\\nword\"}", "plain": "{not json"});
        let clean = redact_json(call, &Lines);
        assert_eq!(clean, json!({"arguments": "{\"text\":\"[redacted]\"}", "plain": "{not json"}));
    }

    #[test]
    fn the_own_key_goes_even_if_no_pattern_knows_it() {
        let redactor = KeyRedactor::new("correct-horse", Arc::new(Lines));
        let message = redactor.message(&format!("no: correct-horse\r\n{}", "x".repeat(400)));
        assert!(message.starts_with("no: [redacted:api_key]  x"), "{message}");
        assert_eq!(message.chars().count(), MAX_MESSAGE + 1);
    }
}
