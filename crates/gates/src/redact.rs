//! Takes credentials out of whatever is kept, shown or streamed.

use std::borrow::Cow;

use life_agent_domain::redact::Redact;

use crate::risk::scanner::{RawFinding, credentials};

/// Replaces every credential by `[redacted:<rule>]`. Always at work, whatever the policy says about
/// the category `secrets`: a policy may let a secret pass, never let it be kept.
#[derive(Debug, Clone, Copy)]
pub struct SecretRedactor;

impl Redact for SecretRedactor {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = credentials(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(without(text, found))
    }

    fn redact_under<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        // Read as it would stand in a file; what is found in the value, or across both, is in the value.
        let head = format!("{key}\": \"");
        let in_value = |found: RawFinding| {
            let (start, end) =
                (found.start.max(head.len()), found.end.min(head.len() + text.len()));
            (start < end).then(|| RawFinding {
                start: start - head.len(),
                end: end - head.len(),
                ..found
            })
        };
        let found = credentials(&format!("{head}{text}\"")).into_iter().filter_map(in_value);
        let found: Vec<_> = credentials(text).into_iter().chain(found).collect();
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(without(text, found)) }
    }
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
