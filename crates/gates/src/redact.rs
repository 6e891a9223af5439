//! Takes credentials out of whatever is kept, shown or streamed.

use std::borrow::Cow;

use life_agent_domain::governance::redaction::Redact;

use crate::risk::scanner::{RawFinding, credentials};

/// Replaces every credential by `[redacted:<rule>]`. Always at work, whatever the policy says about
/// the category `secrets`: a policy may let a secret pass, never let it be kept.
#[derive(Debug, Clone, Copy)]
pub struct SecretRedactor;

impl Redact for SecretRedactor {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        repeated(text, credentials)
    }

    fn redact_under<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        repeated(text, |text| [credentials(text), credentials_under(key, text)].concat())
    }
}

/// What one credential leaves behind may read as another, now that it stands alone.
const MAX_ROUNDS: usize = 8;

/// The text without what is found, until nothing is.
fn repeated(text: &str, find: impl Fn(&str) -> Vec<RawFinding>) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        let found = find(&clean);
        if found.is_empty() {
            break;
        }
        clean = Cow::Owned(without(&clean, found));
    }
    clean
}

/// Read as it would stand in a file: what is found in the value, or across both, is in the value.
fn credentials_under(key: &str, text: &str) -> Vec<RawFinding> {
    let head = format!("{key}\": \"");
    let in_value = |found: RawFinding| {
        let start = found.start.max(head.len()) - head.len();
        let end = found.end.min(head.len() + text.len()).saturating_sub(head.len());
        (start < end).then_some(RawFinding { start, end, ..found })
    };
    credentials(&format!("{head}{text}\"")).into_iter().filter_map(in_value).collect()
}

/// The text with each find replaced by its rule.
fn without(text: &str, mut found: Vec<RawFinding>) -> String {
    found.sort_by_key(|finding| (finding.start, std::cmp::Reverse(finding.end)));
    let mut clean = String::with_capacity(text.len());
    let mut kept = 0;
    for finding in found {
        // Of finds that overlap, the first names the rule and the last ends the gap.
        if finding.start >= kept {
            clean.push_str(text.get(kept..finding.start).unwrap_or_default());
            clean.push_str("[redacted:");
            clean.push_str(&finding.rule);
            clean.push(']');
        }
        kept = kept.max(finding.end);
    }
    clean.push_str(text.get(kept..).unwrap_or_default());
    clean
}

#[cfg(test)]
mod tests;
