//! Removes credentials from everything that is stored, shown or streamed.

use std::borrow::Cow;
use std::sync::Arc;

use life_agent_domain::governance::command::Field;
use life_agent_domain::governance::redaction::Redact;
use life_agent_policy::document::Category;
use life_agent_policy::snapshot::Snapshot;

use crate::risk::joined::{Joined, Seam, cut_words};
use crate::risk::scanner::{RawFinding, credentials, custom_secrets};

/// Replaces every credential by `[redacted:<rule>]`, with the built-in patterns. Always at work, whatever a
/// policy says about the category `secrets`: a policy may let a secret pass, but not be stored.
#[derive(Debug, Clone, Copy)]
pub struct SecretRedactor;

impl Redact for SecretRedactor {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        repeated(text, credentials)
    }

    fn redact_under<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        repeated(text, |text| [credentials(text), under(key, text, credentials)].concat())
    }

    fn redact_across(&self, texts: &mut [&mut String]) {
        across(texts, credentials);
    }
}

/// The same, with the policy's own patterns of category `secrets` in addition.
#[derive(Debug, Clone)]
pub struct PolicyRedactor {
    snapshot: Arc<Snapshot>,
}

impl PolicyRedactor {
    /// The built-in patterns and those of one policy.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }

    /// Whether the policy has patterns of category `secrets`; without them, [`SecretRedactor`] does as well.
    pub fn has_own_patterns(&self) -> bool {
        self.snapshot.patterns.iter().any(|pattern| pattern.category == Category::Secrets)
    }
}

impl Redact for PolicyRedactor {
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        own_first(text, &self.snapshot, |clean| SecretRedactor.redact(clean))
    }

    fn redact_under<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        let across = |text: &str| under(key, text, |text| custom_secrets(&self.snapshot, text));
        let found = [custom_secrets(&self.snapshot, text), across(text)].concat();
        let clean = match found.is_empty() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(without(text, found)),
        };
        chain_redact(clean, |clean| SecretRedactor.redact_under(key, clean))
    }

    fn redact_across(&self, texts: &mut [&mut String]) {
        across(texts, |text| [custom_secrets(&self.snapshot, text), credentials(text)].concat());
    }
}

/// The policy's patterns are searched once: a pattern of theirs may match its own replacement.
fn own_first<'t>(
    text: &'t str,
    snapshot: &Snapshot,
    rest: impl Fn(&str) -> Cow<'_, str>,
) -> Cow<'t, str> {
    let found = custom_secrets(snapshot, text);
    let clean = match found.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(without(text, found)),
    };
    chain_redact(clean, rest)
}

fn chain_redact<'t>(clean: Cow<'t, str>, rest: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    match rest(&clean) {
        Cow::Borrowed(_) => clean,
        Cow::Owned(cleaner) => Cow::Owned(cleaner),
    }
}

/// Rounds of searching: the rest of a text may read as a credential once another is gone.
const MAX_ROUNDS: usize = 8;

/// The text without what is found, searched again until nothing is found. A text in which the search does not come to
/// an end is removed as a whole.
fn repeated(text: &str, find: impl Fn(&str) -> Vec<RawFinding>) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for _ in 0..MAX_ROUNDS {
        let found = find(&clean);
        if found.is_empty() {
            return clean;
        }
        clean = Cow::Owned(without(&clean, found));
    }
    match find(&clean).into_iter().next() {
        None => clean,
        Some(found) => Cow::Owned(format!("[redacted:{}]", found.rule)),
    }
}

/// Whether texts that follow one another could hold a credential that is cut in two: a quick look that spares
/// ordinary texts [`Redact::redact_across`].
pub fn could_be_cut(texts: &[&str]) -> bool {
    let numbered: Vec<_> = texts.iter().copied().enumerate().collect();
    !cut_words(&numbered).is_empty()
}

/// Removes credentials that lie across several texts from each text that they touch. The texts are joined as the
/// risk gate joins them.
fn across(texts: &mut [&mut String], find: impl Fn(&str) -> Vec<RawFinding>) {
    if texts.len() < 2 {
        return;
    }
    for seam in [Seam::Nothing, Seam::LineBreak] {
        let mut found: Vec<(usize, RawFinding)> = {
            let parts = texts.iter().enumerate();
            let parts: Vec<_> = parts.map(|(n, text)| (Field::Message(n), text.as_str())).collect();
            let joined = Joined::new(&parts, seam);
            let across = find(joined.text()).into_iter().filter(|raw| joined.crosses(raw));
            let pieces = across.flat_map(|raw| {
                let pieces: Vec<_> = joined.pieces(&raw).collect();
                pieces
                    .into_iter()
                    .map(move |(part, start, end)| (part, RawFinding { start, end, ..raw.clone() }))
            });
            pieces.filter(|(_, raw)| raw.start < raw.end).collect()
        };
        found.sort_by_key(|(part, _)| *part);
        for of_one in found.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(text) = of_one.first().and_then(|(part, _)| texts.get_mut(*part)) else {
                continue;
            };
            let clean = without(text, of_one.iter().map(|(_, raw)| raw.clone()).collect());
            **text = clean;
        }
    }
}

/// Finds in a key and its value, read as they stand in a file: the part of each that is in the value.
fn under(key: &str, text: &str, find: impl Fn(&str) -> Vec<RawFinding>) -> Vec<RawFinding> {
    let head = format!("{key}\": \"");
    let in_value = |found: RawFinding| {
        let start = found.start.max(head.len()) - head.len();
        let end = found.end.min(head.len() + text.len()).saturating_sub(head.len());
        (start < end).then_some(RawFinding { start, end, ..found })
    };
    find(&format!("{head}{text}\"")).into_iter().filter_map(in_value).collect()
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
