//! What an agent was told to keep in mind: few and short facts, the least used of which go first.
//!
//! They are part of the state, so that the same history leaves the same facts. The act
//! [`REMEMBER`] adds one, a recall counts those it finds as used.

use serde::{Deserialize, Serialize};

use crate::governance::payload::Payload;

/// The action that keeps the `text` of its payload as a fact.
pub const REMEMBER: &str = "remember";
/// The action that looks for the `query` of its payload among the facts.
pub const RECALL: &str = "recall";
/// How many facts an agent keeps.
pub const MAX_FACTS: usize = 64;
/// Longest fact, in characters.
pub const MAX_FACT_CHARS: usize = 240;
/// What all facts of an agent take at most, in bytes of text: states are copied and hashed at each step.
pub const MAX_FACT_BYTES: usize = 8 * 1024;

/// One thing that an agent keeps in mind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Fact))]
pub struct Note {
    /// The state version that keeping it led to; no two facts of an agent share one.
    pub version: u64,
    /// How many turns the agent had taken by then.
    pub turn: u64,
    /// The fact, in one line.
    pub text: String,
    /// How often it was recalled, or told again.
    pub uses: u64,
}

/// The fact that a payload of [`REMEMBER`] holds: one line, shortened to its bound. None without a text.
pub fn fact_in(payload: &Payload) -> Option<String> {
    let text = payload.as_object().get("text")?.as_str()?;
    let line = text.split(|c: char| c.is_control() || c.is_whitespace());
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let fact: String = line.chars().take(MAX_FACT_CHARS).collect();
    (!fact.is_empty()).then_some(fact)
}

/// Whether a fact holds a word that begins like one of the query's: what the journal's index finds, for
/// facts that are not in it yet.
pub fn fits(fact: &str, query: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let held = words(fact);
    words(query).iter().any(|word| held.iter().any(|held| held.starts_with(word.as_str())))
}

/// Keeps a fact. One that is known already counts as used; where there is no room, those that were used
/// least go, the oldest of them first.
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
    fn a_fact_fits_by_the_beginning_of_a_word() {
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
    fn what_is_told_again_is_kept_once_and_counts_as_used() {
        let mut facts = Vec::new();
        keep(&mut facts, fact(1, "the gate is shut"));
        keep(&mut facts, fact(2, "the gate is shut"));
        assert_eq!(facts, [Note { uses: 1, ..fact(1, "the gate is shut") }]);
    }

    #[test]
    fn the_least_used_go_first_and_of_those_the_oldest() {
        let mut facts: Vec<_> = (1..=MAX_FACTS as u64).map(|n| fact(n, &format!("f{n}"))).collect();
        count_uses(&mut facts, &[1, 3]);
        keep(&mut facts, fact(100, "new"));
        keep(&mut facts, fact(101, "newer"));
        let versions: Vec<_> = facts.iter().map(|fact| fact.version).take(3).collect();
        assert_eq!((versions, facts.len()), (vec![1, 3, 5], MAX_FACTS));
        // Also where all others were used: what was told last is there to be recalled.
        count_uses(&mut facts, &(1..=101).collect::<Vec<_>>());
        keep(&mut facts, fact(102, "newest"));
        assert_eq!(facts.last().unwrap().text, "newest");
    }

    proptest! {
        #[test]
        fn whatever_is_told_the_facts_stay_within_their_bounds(texts in prop::collection::vec(".{0,300}", 0..120)) {
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
