//! The intent of a text, by its words.

/// The intents of a profile in order of preference, with an index of their keywords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intents {
    list: Vec<Intent>,
    default: String,
    /// Every keyword with the index of its intent, ordered by first character and then by that index, so that a
    /// word is compared only with keywords of the same first character.
    lookup: Vec<(char, usize, Keyword)>,
}

/// An intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The intent's name.
    pub id: String,
    /// The action of a turn with this intent; a name in
    /// [`Profile::actions`](crate::agent::profile::Profile::actions).
    pub action: String,
    /// Words that indicate the intent.
    pub keywords: Vec<Keyword>,
}

/// A keyword; see [`Keyword::new`].
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
    /// One word. Case is ignored, and a final `*` matches any ending.
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

impl Intents {
    /// These intents in order of preference; `default` is the id of the intent of a text without keywords.
    pub fn new(list: Vec<Intent>, default: String) -> Self {
        let keyword = |place: usize, keyword: &Keyword| {
            Some((keyword.stem.chars().next()?, place, keyword.clone()))
        };
        let of_intent = |(place, intent): (usize, &Intent)| {
            intent.keywords.iter().filter_map(|word| keyword(place, word)).collect::<Vec<_>>()
        };
        let mut lookup: Vec<_> = list.iter().enumerate().flat_map(of_intent).collect();
        lookup.sort_by_key(|(first, place, _)| (*first, *place));
        Self { list, default, lookup }
    }

    /// The intent with the most words that match one of its keywords, the first in order on a tie, and the
    /// default without a match.
    pub fn of(&self, text: &str) -> &str {
        let text = text.to_lowercase();
        let mut hits = vec![0_usize; self.list.len()];
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            self.count(word, &mut hits);
        }
        let mut best = (0, self.default.as_str());
        for (hits, intent) in hits.into_iter().zip(&self.list) {
            if hits > best.0 {
                best = (hits, &intent.id);
            }
        }
        best.1
    }

    /// Counts a word once for each intent that has a keyword for it.
    fn count(&self, word: &str, hits: &mut [usize]) {
        let Some(first) = word.chars().next() else { return };
        let begin = self.lookup.partition_point(|(letter, ..)| *letter < first);
        let alike = self.lookup.iter().skip(begin).take_while(|(letter, ..)| *letter == first);
        let mut counted = None;
        for (_, place, keyword) in alike {
            if counted != Some(*place) && keyword.matches(word) {
                counted = Some(*place);
                if let Some(hits) = hits.get_mut(*place) {
                    *hits += 1;
                }
            }
        }
    }

    /// The name of the action of a turn with this intent.
    pub(crate) fn action(&self, intent: &str) -> Option<&str> {
        self.list.iter().find(|known| known.id == intent).map(|known| known.action.as_str())
    }

    /// The number of intents.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is only the default.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intent(id: &str, keywords: &[&str]) -> Intent {
        let keywords = keywords.iter().map(|k| Keyword::new(k).unwrap()).collect();
        Intent { id: id.to_owned(), action: id.to_owned(), keywords }
    }

    #[test]
    fn the_intent_with_the_most_words_wins_and_the_first_of_equals() {
        let list = vec![
            intent("explore", &["untersuch*", "tor"]),
            intent("rest", &["schlaf*", "ruhe", "schlafen"]),
        ];
        let intents = Intents::new(list, "ponder".to_owned());
        for (text, expected) in [
            ("Untersuche das Tor der Festung", "explore"),
            ("SCHLAFEN!", "rest"),
            ("Ruhe, und schlafe am Tor", "rest"),
            ("ruhe am tor", "explore"),
            ("schlafen am tor", "explore"),
            ("torheit", "ponder"),
            ("", "ponder"),
        ] {
            assert_eq!(intents.of(text), expected, "{text}");
        }
    }

    #[test]
    fn keywords_are_single_words() {
        assert!(Keyword::new("prüf*").is_ok());
        for bad in ["", "*", "two words", "a*b", "a-b"] {
            assert!(Keyword::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// The index gives the same result as a comparison of every word with every keyword.
        #[test]
        fn looking_words_up_finds_what_comparing_all_finds(
            words in proptest::collection::vec("[abä]{1,3}\\*?", 1..12), text in "[abäA ]{0,30}",
        ) {
            let list: Vec<_> = words
                .chunks(3)
                .enumerate()
                .map(|(n, words)| {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    intent(&n.to_string(), &words)
                })
                .collect();
            let lower = text.to_lowercase();
            let hits = |intent: &Intent| {
                let known = |word: &&str| intent.keywords.iter().any(|k| k.matches(word));
                lower.split(' ').filter(|word| !word.is_empty()).filter(known).count()
            };
            let most = list.iter().map(hits).max().unwrap_or(0);
            let first = list.iter().find(|intent| hits(intent) == most && most > 0);
            let expected = first.map_or("none".to_owned(), |intent| intent.id.clone());
            let intents = Intents::new(list, "none".to_owned());
            prop_assert_eq!(intents.of(&text), expected);
        }
    }
}
