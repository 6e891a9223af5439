//! The guard of a stream: decides which part of a growing text may be released.
//!
//! A credential may be split anywhere between two chunks. The guard therefore holds back a tail that is
//! longer than any credential on one line, redacts the whole text again for every release, and releases
//! only the part that further text cannot change.

use std::collections::BTreeMap;

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use serde_json::Value;

/// Bytes held back at the end of a text. The longest credentials on one line that are recognized only by
/// their end are passwords in URLs and values of named secrets, both below 300.
const HOLD: usize = 512;
/// New bytes before the next check. The step grows with the text, so that the cost of all checks stays
/// proportional to the length times a small factor.
const STEP: usize = 64;
/// The texts of a message that are streamed; the other fields wait for the end.
const FIELDS: [&str; 4] = ["content", "reasoning", "reasoning_content", "refusal"];

/// Separates the texts of several replies that form one response.
pub(crate) const BETWEEN_ANSWERS: &str = "\n\n";

/// The texts of one reply by field.
#[derive(Default)]
pub(crate) struct StreamGuard {
    fields: BTreeMap<&'static str, Field>,
    /// Bytes received, in all fields.
    come: usize,
    /// Bytes received at the last check.
    checked: usize,
    /// Whether the next text belongs to another reply than the previous one.
    divided: bool,
    /// Whether only the content is guarded.
    content_only: bool,
}

#[derive(Default)]
struct Field {
    text: String,
    /// The released text, redacted.
    sent: String,
}

impl StreamGuard {
    /// A guard of the contents only.
    pub(crate) fn of_contents() -> Self {
        Self { content_only: true, ..Self::default() }
    }

    /// Adds a chunk.
    pub(crate) fn push(&mut self, chunk: &Value) {
        for name in FIELDS.into_iter().filter(|name| !self.content_only || *name == "content") {
            let said =
                chunk.pointer("/choices/0/delta").and_then(|delta| delta.get(name)?.as_str());
            if let Some(said) = said.filter(|said| !said.is_empty()) {
                let field = self.fields.entry(name).or_default();
                if name == "content" && std::mem::take(&mut self.divided) && !field.text.is_empty()
                {
                    field.text.push_str(BETWEEN_ANSWERS);
                }
                self.come += said.len();
                field.text.push_str(said);
            }
        }
    }

    /// Announces a further reply, whose content continues the previous one.
    pub(crate) fn divide(&mut self) {
        self.divided = true;
    }

    /// Bytes received.
    pub(crate) fn len(&self) -> usize {
        self.come
    }

    /// Whether enough text is new for a check. Resets the condition.
    pub(crate) fn is_due(&mut self) -> bool {
        let step = STEP.max(self.come / 16);
        let due = self.come > HOLD && self.come - self.checked >= step;
        if due {
            self.checked = self.come;
        }
        due
    }

    /// The texts so far, for the gates.
    pub(crate) fn messages(&self, redactor: &dyn Redact) -> Vec<Message> {
        let said = |field: &Field| Message {
            role: "assistant".to_owned(),
            content: redactor.redact(&field.text).into_owned(),
        };
        self.fields.values().map(said).collect()
    }

    /// The texts other than the content, which the assembly of a reply omits.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields
            .iter()
            .filter(|(name, _)| **name != "content")
            .map(|(name, field)| (*name, field.text.as_str()))
    }

    /// The text that may be released now, redacted, by field.
    pub(crate) fn release(&mut self, redactor: &dyn Redact) -> Vec<(&'static str, String)> {
        let released = self.fields.iter_mut().filter_map(|(name, field)| {
            let text = field.release(redactor)?;
            Some((*name, text))
        });
        released.collect()
    }

    /// The rest of a reply that was judged and redacted as a whole. `None` if the released text is not its
    /// beginning: a credential was recognized too late to stream the rest.
    pub(crate) fn rest(&self, message: &Value) -> Option<Vec<(&'static str, String)>> {
        let rest = |(name, field): (&&'static str, &Field)| {
            let whole = message.get(*name).and_then(Value::as_str).unwrap_or_default();
            Some((*name, whole.strip_prefix(field.sent.as_str())?.to_owned()))
        };
        let rest = self.fields.iter().map(rest).collect::<Option<Vec<_>>>()?;
        Some(rest.into_iter().filter(|(_, text)| !text.is_empty()).collect())
    }
}

impl Field {
    fn release(&mut self, redactor: &dyn Redact) -> Option<String> {
        // JSON is also redacted inside its strings, which requires all of it.
        if self.text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let cut = self.text.floor_char_boundary(self.text.len().checked_sub(HOLD)?);
        // Where the two agree, the text after the cut has no influence. They differ from a credential across
        // the cut onward, which is whole in one and torn in the other.
        let whole = redactor.redact(&self.text);
        let part = redactor.redact(self.text.get(..cut)?);
        let settled = common_prefix(&whole, &part);
        let new =
            settled.strip_prefix(self.sent.as_str()).filter(|new| !new.is_empty())?.to_owned();
        self.sent.push_str(&new);
        Some(new)
    }
}

fn common_prefix<'t>(one: &'t str, other: &str) -> &'t str {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    let length = same.map(|(a, _)| a.len_utf8()).sum();
    one.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use life_agent_gates::SecretRedactor;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0";

    /// Streams a text in chunks of these sizes; every release, and the rest.
    fn streamed(text: &str, sizes: &[usize]) -> (Vec<String>, Option<String>) {
        let (mut guard, mut released) = (StreamGuard::default(), Vec::new());
        let mut sizes = sizes.iter().cycle();
        let mut left = text;
        while !left.is_empty() {
            let size = left.ceil_char_boundary(*sizes.next().unwrap());
            let (chunk, after) = left.split_at(size);
            left = after;
            guard.push(&json!({"choices": [{"delta": {"content": chunk}}]}));
            if guard.is_due() {
                released.extend(guard.release(&SecretRedactor).into_iter().map(|(_, text)| text));
            }
        }
        let whole = SecretRedactor.redact(text).into_owned();
        let rest = guard.rest(&json!({"content": whole}));
        (released, rest.map(|rest| rest.into_iter().map(|(_, text)| text).collect()))
    }

    #[test]
    fn a_long_text_comes_while_it_is_being_written() {
        let text = "The gate is high and the road is long. ".repeat(50);
        let (released, rest) = streamed(&text, &[7]);
        assert!(released.len() > 5, "{released:?}");
        let rest = rest.unwrap();
        assert!(rest.len() <= HOLD + 2 * STEP.max(text.len() / 16), "{}", rest.len());
        assert_eq!(released.concat() + &rest, text);
    }

    #[test]
    fn an_answer_in_json_waits_for_its_end() {
        let text = format!("{{\"a\": \"{}\"}}", "x ".repeat(2000));
        let (released, rest) = streamed(&text, &[40]);
        assert!(released.is_empty());
        assert_eq!(rest.unwrap(), text);
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
        let (released, rest) = streamed(&text, &[5]);
        let all = released.concat() + &rest.unwrap();
        assert!(!all.contains("MIIEvQ"), "{all}");
        assert!(all.ends_with("Keep it safe. "), "{all}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn however_a_text_is_cut_no_credential_of_it_gets_out(
            before in "[a-zäß ,.\n]{0,900}",
            between in "[a-z ,.]{1,700}",
            after in "[a-z ,.]{0,900}",
            sizes in proptest::collection::vec(1..90_usize, 1..12),
        ) {
            let text = format!("{before} {TOKEN} {between}\npassword=Tr0ub4dor3xQ9z {after}");
            let (released, rest) = streamed(&text, &sizes);
            let all = released.concat() + &rest.unwrap();
            prop_assert!(!all.contains("Tr0ub4dor3xQ9z"), "{}", all);
            prop_assert!(!all.contains(&TOKEN[4..12]), "{}", all);
            prop_assert_eq!(all, SecretRedactor.redact(&text).into_owned());
        }
    }
}
