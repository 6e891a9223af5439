//! What an agent can do and understand: its voice, its actions, its intents.
//!
//! The document is read and validated by `policy`; this is what the rules work with.

use std::collections::BTreeMap;

use crate::state::Deltas;

/// A validated agent profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How the agent speaks, for the model that tells its turns.
    pub voice: String,
    /// What it can do, by name.
    pub actions: BTreeMap<String, Action>,
    /// What it understands, in order of preference.
    pub intents: Vec<Intent>,
    /// The intent of a text in which no keyword is found; an id out of `intents`.
    pub default_intent: String,
}

/// One thing an agent can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What a turn's total must reach, 1 to 25.
    pub difficulty: u8,
    /// What it does when it succeeds.
    pub effects: Deltas,
}

/// One thing a text can mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its name.
    pub id: String,
    /// The action that a turn with this intent takes; a name out of [`Profile::actions`].
    pub action: String,
    /// Words that show it.
    pub keywords: Vec<Keyword>,
}

/// A word to look for; see [`Keyword::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyword {
    stem: String,
    open_end: bool,
}

/// Why a text is not a keyword.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one word of letters and digits, with `*` only at its end")]
pub struct BadKeyword;

impl Keyword {
    /// One word, compared without regard to case; a `*` at the end stands for any ending.
    pub fn new(text: &str) -> Result<Self, BadKeyword> {
        let (word, open_end) = match text.strip_suffix('*') {
            Some(word) => (word, true),
            None => (text, false),
        };
        if word.is_empty() || !word.chars().all(char::is_alphanumeric) {
            return Err(BadKeyword);
        }
        Ok(Self { stem: word.to_lowercase(), open_end })
    }

    fn matches(&self, word: &str) -> bool {
        if self.open_end { word.starts_with(&self.stem) } else { word == self.stem }
    }
}

impl Profile {
    /// The intent of a text: the one with the most words that match one of its keywords; of several
    /// with equally many, the one that the profile lists first; with no match, the default.
    pub fn intent_of(&self, text: &str) -> &str {
        let text = text.to_lowercase();
        let words: Vec<_> =
            text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let hits = |intent: &Intent| {
            words.iter().filter(|word| intent.keywords.iter().any(|k| k.matches(word))).count()
        };
        let mut best = (0, self.default_intent.as_str());
        for intent in &self.intents {
            let hits = hits(intent);
            if hits > best.0 {
                best = (hits, &intent.id);
            }
        }
        best.1
    }

    /// The action that a turn with this intent takes.
    pub fn action_of(&self, intent: &str) -> Option<(&str, &Action)> {
        let intent = self.intents.iter().find(|candidate| candidate.id == intent)?;
        let (name, action) = self.actions.get_key_value(&intent.action)?;
        Some((name, action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(id: &str, keywords: &[&str]) -> Intent {
        let keywords = keywords.iter().map(|k| Keyword::new(k).unwrap()).collect();
        Intent { id: id.to_owned(), action: id.to_owned(), keywords }
    }

    #[test]
    fn the_intent_with_the_most_words_wins_and_the_first_of_equals() {
        let profile = Profile {
            voice: String::new(),
            actions: BTreeMap::new(),
            intents: vec![
                intent("explore", &["untersuch*", "tor"]),
                intent("rest", &["schlaf*", "ruhe"]),
            ],
            default_intent: "ponder".to_owned(),
        };
        for (text, expected) in [
            ("Untersuche das Tor der Festung", "explore"),
            ("SCHLAFEN!", "rest"),
            ("Ruhe, und schlafe am Tor", "rest"),
            ("ruhe am tor", "explore"),
            ("torheit", "ponder"),
            ("", "ponder"),
        ] {
            assert_eq!(profile.intent_of(text), expected, "{text}");
        }
    }

    #[test]
    fn keywords_are_single_words() {
        assert!(Keyword::new("prüf*").is_ok());
        for bad in ["", "*", "two words", "a*b", "a-b"] {
            assert!(Keyword::new(bad).is_err(), "{bad}");
        }
    }
}
