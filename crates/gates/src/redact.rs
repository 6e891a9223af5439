//! Takes credentials out of whatever is kept, shown or streamed.

use std::borrow::Cow;

use life_agent_domain::redact::Redact;

use crate::risk::scanner::Scanner;

/// Replaces every credential by `[redacted:<rule>]`. Always at work, whatever the policy says about
/// the category `secrets`: a policy may let a secret pass, never let it be kept.
#[derive(Debug, Clone, Copy)]
pub struct SecretRedactor;

impl Redact for SecretRedactor {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = Scanner::secrets(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
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
        Cow::Owned(clean)
    }
}

#[cfg(test)]
mod tests;
