//! The tokens of rows and of searches.
//!
//! Words are runs of letters and digits. A tag begins with a character that no word contains, so that nothing that a
//! caller writes is taken for a tag.

use std::fmt::Write;

use life_agent_domain::governance::event::{Row, RowContent};
use life_agent_observer::Filter;

/// The first character of a tag. It is no letter or digit, and the tokenizer `ascii` keeps it.
const TAG: char = '¶';
/// Durations beyond this magnitude, more than an hour, have the same tag.
const MAX_MAGNITUDE: u32 = 64;

/// The tokens of a row, separated by spaces.
pub(super) fn of_row(row: &Row) -> String {
    let content = RowContent::of(row);
    let mut tokens = String::with_capacity(2 * row.data.get().len() + 256);
    let mut add = |name, text: &str| push(&mut tokens, &tag(name, text));
    add(KIND, &row.kind);
    add(PRINCIPAL, &row.principal);
    add(REQUEST, &row.request_id);
    row.agent_id.iter().for_each(|agent| add(AGENT, agent));
    content.session_id().into_iter().for_each(|session| add(SESSION, session));
    content.outcome().into_iter().for_each(|outcome| add(OUTCOME, outcome.as_str()));
    content.rules().into_iter().for_each(|rule| add(RULE, rule));
    if let Some(elapsed) = content.elapsed_us() {
        push(&mut tokens, &magnitude_tag(magnitude(elapsed)));
    }
    content.words().iter().for_each(|word| push(&mut tokens, word));
    tokens
}

fn push(tokens: &mut String, token: &str) {
    tokens.push_str(token);
    tokens.push(' ');
}

/// A full-text query that finds at least the rows that a filter selects.
pub(crate) struct Query {
    /// All conditions.
    pub(super) whole: String,
    /// The conditions other than words, if there are both. Words are often in nearly every row, and the index reads
    /// all of their entries; few rows are faster to compare.
    pub(super) without_words: Option<String>,
}

/// The query for a filter, as far as tokens tell; `None` if tokens tell nothing.
pub(super) fn of_filter(filter: &Filter) -> Option<Query> {
    let mut conditions: Vec<Vec<String>> = Vec::new();
    let mut one = |name, text: Option<&str>| {
        conditions.extend(text.map(|text| vec![tag(name, text)]));
    };
    one(AGENT, filter.agent());
    if let Some(criteria) = filter.criteria() {
        one(PRINCIPAL, criteria.principal.as_deref());
        one(REQUEST, criteria.request_id.as_deref());
        one(SESSION, criteria.session_id.as_deref());
        one(OUTCOME, criteria.outcome.map(|outcome| outcome.as_str()));
        one(RULE, criteria.rule.as_deref());
        if let Some(least) = criteria.min_elapsed_us {
            let magnitudes = magnitude(least)..=MAX_MAGNITUDE;
            conditions.push(magnitudes.map(magnitude_tag).collect());
        }
    }
    if let Some(kinds) = filter.kinds() {
        conditions.push(kinds.iter().map(|kind| tag(KIND, kind)).collect());
    }
    let any = |tokens: Vec<String>| {
        let quoted: Vec<String> = tokens.iter().map(|token| format!("\"{token}\"")).collect();
        format!("({})", quoted.join(" OR "))
    };
    let mut conditions: Vec<String> = conditions.into_iter().map(any).collect();
    let words = filter.criteria().map_or(&[][..], |criteria| &criteria.words);
    let has_both = !words.is_empty() && !conditions.is_empty();
    let without_words = has_both.then(|| conditions.join(" AND "));
    conditions.extend(words.iter().map(|word| any(vec![word.clone()])));
    (!conditions.is_empty()).then(|| Query { whole: conditions.join(" AND "), without_words })
}

const KIND: char = 'k';
const AGENT: char = 'a';
const PRINCIPAL: char = 'p';
const REQUEST: char = 'r';
const SESSION: char = 's';
const OUTCOME: char = 'o';
const RULE: char = 'u';
const ELAPSED: char = 'e';

/// A tag of one length for any text. A search compares the rows, because different texts can have the same tag.
fn tag(name: char, text: &str) -> String {
    // FNV-1a. The index outlives the process, so the hash must not change with a release of the compiler.
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut tag = String::with_capacity(20);
    // Writing into a String cannot fail.
    let _ = write!(tag, "{TAG}{name}{hash:016x}");
    tag
}

fn magnitude_tag(magnitude: u32) -> String {
    format!("{TAG}{ELAPSED}{magnitude}")
}

/// Twice the binary logarithm of a duration, rounded down.
fn magnitude(micros: u64) -> u32 {
    let one_more = u128::from(micros) + 1;
    let whole = one_more.ilog2();
    if 2 * whole >= MAX_MAGNITUDE {
        return MAX_MAGNITUDE;
    }
    let half = one_more * one_more >= 1 << (2 * whole + 1);
    2 * whole + u32::from(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_grow_with_durations() {
        let durations = [0, 1, 2, 3, 7, 100, 141, 142, 5_000, 1_000_000, u64::MAX / 2, u64::MAX];
        let magnitudes = durations.map(magnitude);
        assert!(magnitudes.is_sorted(), "{magnitudes:?}");
        assert_eq!(magnitudes[..3], [0, 2, 3]);
        assert_eq!(magnitudes[11], MAX_MAGNITUDE);
    }

    #[test]
    fn a_tag_is_no_word() {
        let tag = tag(AGENT, "hero");
        assert_eq!(tag.chars().count(), 18);
        assert!(!life_agent_domain::governance::event::words(&tag).any(|word| word == tag));
    }
}
