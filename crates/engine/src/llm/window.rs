//! The gated window of a stream: what has come, what may go on, and what must wait.
//!
//! A credential may be cut anywhere between two chunks. So a tail is held back that is longer than any
//! credential on one line, the whole text so far is redacted again for every release, and only what
//! more text can no longer change is let go.

use std::collections::BTreeMap;

use life_agent_domain::governance::command::Message;
use life_agent_domain::governance::redaction::Redact;
use serde_json::Value;

/// Held back at the end of a text, in bytes. The longest credentials on one line that are only known
/// by their end are passwords in URLs and values of named secrets, both below 300.
const HOLD: usize = 512;
/// New bytes that make another look worth its cost. It grows with the text, so that the cost of all
/// looks stays proportional to the length times a small factor.
const STEP: usize = 64;
/// The texts of a message that are passed on as they come; a stream's other fields wait for its end.
const FIELDS: [&str; 4] = ["content", "reasoning", "reasoning_content", "refusal"];

/// Between the texts of several answers that make one.
pub(super) const BETWEEN_ANSWERS: &str = "\n\n";

/// The texts of one answer by the field they belong to.
#[derive(Default)]
pub(super) struct Window {
    fields: BTreeMap<&'static str, Field>,
    /// Bytes that have come, in all fields.
    come: usize,
    /// What had come at the last look.
    looked_at: usize,
    /// Whether what comes next belongs to another answer than what came before.
    divided: bool,
    /// Whether what is said beside the content is of no concern here.
    content_only: bool,
}

#[derive(Default)]
struct Field {
    text: String,
    /// What has been let go, redacted.
    sent: String,
}

impl Window {
    /// Over nothing but the contents of answers.
    pub(super) fn of_contents() -> Self {
        Self { content_only: true, ..Self::default() }
    }

    /// Takes in a chunk.
    pub(super) fn push(&mut self, chunk: &Value) {
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

    /// One more answer is to come, whose content goes on where the one before ended.
    pub(super) fn divide(&mut self) {
        self.divided = true;
    }

    /// Bytes that have come.
    pub(super) fn len(&self) -> usize {
        self.come
    }

    /// Whether enough is new to look at it; says so once.
    pub(super) fn is_due(&mut self) -> bool {
        let step = STEP.max(self.come / 16);
        let due = self.come > HOLD && self.come - self.looked_at >= step;
        if due {
            self.looked_at = self.come;
        }
        due
    }

    /// The texts so far, for the gates.
    pub(super) fn messages(&self, redactor: &dyn Redact) -> Vec<Message> {
        let said = |field: &Field| Message {
            role: "assistant".to_owned(),
            content: redactor.redact(&field.text).into_owned(),
        };
        self.fields.values().map(said).collect()
    }

    /// The texts beside the content, which the assembly of an answer leaves out.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields
            .iter()
            .filter(|(name, _)| **name != "content")
            .map(|(name, field)| (*name, field.text.as_str()))
    }

    /// What may go on now, redacted, by field.
    pub(super) fn release(&mut self, redactor: &dyn Redact) -> Vec<(&'static str, String)> {
        let released = self.fields.iter_mut().filter_map(|(name, field)| {
            let text = field.release(redactor)?;
            Some((*name, text))
        });
        released.collect()
    }

    /// What is left of an answer that has been judged and redacted as a whole. None if what was let go
    /// is not how it begins: a credential showed too late to stream the rest.
    pub(super) fn rest(&self, message: &Value) -> Option<Vec<(&'static str, String)>> {
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
        // JSON is redacted inside of its texts too, which takes all of it.
        if self.text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let cut = self.text.floor_char_boundary(self.text.len().checked_sub(HOLD)?);
        // Where the two agree, what lies behind the cut has no say. A credential across the cut, whole
        // in one and torn in the other, is where they cease to.
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
        let (mut window, mut released) = (Window::default(), Vec::new());
        let mut sizes = sizes.iter().cycle();
        let mut left = text;
        while !left.is_empty() {
            let size = left.ceil_char_boundary(*sizes.next().unwrap());
            let (chunk, after) = left.split_at(size);
            left = after;
            window.push(&json!({"choices": [{"delta": {"content": chunk}}]}));
            if window.is_due() {
                released.extend(window.release(&SecretRedactor).into_iter().map(|(_, text)| text));
            }
        }
        let whole = SecretRedactor.redact(text).into_owned();
        let rest = window.rest(&json!({"content": whole}));
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
