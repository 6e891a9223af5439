//! Positions in characters, as findings state them.

use std::collections::BTreeMap;

/// Counts the characters of one text up to positions in bytes, each stretch of the text once or a few times.
pub(super) struct Positions<'t> {
    text: &'t str,
    /// Characters before positions in bytes.
    known: BTreeMap<usize, usize>,
}

impl<'t> Positions<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, known: BTreeMap::new() }
    }

    /// Counts in another text, unless it is the same one.
    pub(super) fn move_to(&mut self, text: &'t str) {
        if !std::ptr::eq(self.text, text) {
            *self = Self::of(text);
        }
    }

    /// Characters before the byte `at`; all of them if that is no boundary between characters.
    pub(super) fn chars_before(&mut self, at: usize) -> usize {
        let (from, before) = self.known.range(..=at).next_back().map_or((0, 0), |(k, v)| (*k, *v));
        let rest = self.text.get(from..at).or_else(|| self.text.get(from..)).unwrap_or_default();
        let chars = before + rest.chars().count();
        if self.text.is_char_boundary(at) {
            self.known.insert(at, chars);
        }
        chars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_in_any_order() {
        let text = "aä🌳b";
        let mut positions = Positions::of(text);
        for (at, chars) in [(7, 3), (0, 0), (3, 2), (8, 4), (1, 1), (2, 4), (99, 4)] {
            assert_eq!(positions.chars_before(at), chars, "{at}");
        }
    }
}
