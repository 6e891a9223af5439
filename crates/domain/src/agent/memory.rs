//! The facts of an agent: short lines, of which the least used are removed first.
//!
//! Facts are part of the state, so the same history leads to the same facts. The act [`REMEMBER`] adds a fact; a
//! recall counts a use of each fact that it finds.

use serde::{Deserialize, Serialize};

use crate::governance::payload::Payload;

/// The action that stores the `text` of its payload as a fact.
pub const REMEMBER: &str = "remember";
/// The action that searches the facts for the `query` of its payload.
pub const RECALL: &str = "recall";
/// The maximum number of facts of an agent.
pub const MAX_FACTS: usize = 64;
/// The longest fact, in characters.
pub const MAX_FACT_CHARS: usize = 240;
/// The maximum size of all facts of an agent, in bytes of text; each step copies and hashes the state.
pub const MAX_FACT_BYTES: usize = 8 * 1024;

/// A fact that an agent remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Fact))]
pub struct Note {
    /// The state version after the fact was stored; unique among the agent's facts.
    pub version: u64,
    /// The agent's number of turns at that time.
    pub turn: u64,
    /// The fact, in one line.
    pub text: String,
    /// How often the fact was recalled or stored again.
    pub uses: u64,
}

/// The fact in a payload of [`REMEMBER`]: one line, truncated to its bound. `None` without a text.
pub fn fact_in(payload: &Payload) -> Option<String> {
    let text = payload.as_object().get("text")?.as_str()?;
    let line = text.split(|c: char| c.is_control() || c.is_whitespace());
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let fact: String = line.chars().take(MAX_FACT_CHARS).collect();
    (!fact.is_empty()).then_some(fact)
}

/// Whether a word of the fact starts with a word of the query. This matches the journal's index, for facts that the
/// index does not contain yet.
pub fn fits(fact: &str, query: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let held = words(fact);
    words(query).iter().any(|word| held.iter().any(|held| held.starts_with(word.as_str())))
}

/// Stores a fact. Storing a known fact counts as a use. At the limits, the least used facts are removed, oldest
/// first.
pub(crate) fn keep(facts: &mut Vec<Note>, fact: Note) {
    if let Some(known) = facts.iter_mut().find(|known| known.text == fact.text) {
        known.uses = known.uses.saturating_add(1);
        return;
    }
    let room = MAX_FACT_BYTES.saturating_sub(fact.text.len());
    let fits = |facts: &[Note]| {
        facts.len() < MAX_FACTS && facts.iter().map(|fact| fact.text.len()).sum::<usize>() <= room
    };
    while !fits(facts) {
        let least = facts.iter().enumerate().min_by_key(|(_, fact)| (fact.uses, fact.version));
        let Some(index) = least.map(|(index, _)| index) else { break };
        facts.remove(index);
    }
    facts.push(fact);
}

/// Counts the facts of these versions as used.
pub(crate) fn count_uses(facts: &mut [Note], versions: &[u64]) {
    for fact in facts.iter_mut().filter(|fact| versions.contains(&fact.version)) {
        fact.uses = fact.uses.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn fact(version: u64, text: &str) -> Note {
        Note { version, turn: 0, text: text.to_owned(), uses: 0 }
    }

    fn found(payload: &Value) -> Option<String> {
        fact_in(&Payload::try_from(payload.as_object().cloned().unwrap()).unwrap())
    }

    #[test]
    fn a_fact_is_one_short_line() {
        assert_eq!(
            found(&json!({"text": " the\tgate\r\n opens\u{0} "})).unwrap(),
            "the gate opens"
        );
        assert_eq!(
            found(&json!({"text": "ä".repeat(999)})).unwrap().chars().count(),
            MAX_FACT_CHARS
        );
        for none in [json!({}), json!({"text": 1}), json!({"text": " \n"}), json!({"fact": "x"})] {
            assert_eq!(found(&none), None, "{none}");
        }
    }

    #[test]
    fn a_fact_matches_by_the_start_of_a_word() {
        let fact = "The gate opens at dawn";
        for (query, expected) in [
            ("GATES gate", true),
            ("when does it op?", true),
            ("pens", false),
            ("", false),
            ("?", false),
        ] {
            assert_eq!(fits(fact, query), expected, "{query}");
        }
    }

    #[test]
    fn a_repeated_fact_is_stored_once_and_counts_as_used() {
        let mut facts = Vec::new();
        keep(&mut facts, fact(1, "the gate is shut"));
        keep(&mut facts, fact(2, "the gate is shut"));
        assert_eq!(facts, [Note { uses: 1, ..fact(1, "the gate is shut") }]);
    }

    #[test]
    fn the_least_used_facts_are_removed_oldest_first() {
        let mut facts: Vec<_> = (1..=MAX_FACTS as u64).map(|n| fact(n, &format!("f{n}"))).collect();
        count_uses(&mut facts, &[1, 3]);
        keep(&mut facts, fact(100, "new"));
        keep(&mut facts, fact(101, "newer"));
        let versions: Vec<_> = facts.iter().map(|fact| fact.version).take(3).collect();
        assert_eq!((versions, facts.len()), (vec![1, 3, 5], MAX_FACTS));
        // Even if all other facts were used, the latest fact is present.
        count_uses(&mut facts, &(1..=101).collect::<Vec<_>>());
        keep(&mut facts, fact(102, "newest"));
        assert_eq!(facts.last().unwrap().text, "newest");
    }

    proptest! {
        #[test]
        fn facts_stay_within_their_bounds(texts in prop::collection::vec(".{0,300}", 0..120)) {
            let mut facts = Vec::new();
            for (n, text) in texts.iter().enumerate() {
                if let Some(text) = found(&json!({ "text": text })) {
                    keep(&mut facts, fact(n as u64, &text));
                    prop_assert_eq!(&facts.iter().find(|fact| fact.text == text).unwrap().text, &text);
                }
                prop_assert!(facts.len() <= MAX_FACTS);
                prop_assert!(facts.iter().map(|fact| fact.text.len()).sum::<usize>() <= MAX_FACT_BYTES);
            }
        }
    }
}
