//! A text rewritten the way an attacker's target would read it, with a map back to the original.

use std::borrow::Cow;

/// A text to search and, for each of its bytes, the place in the original that it came from.
#[derive(Debug, Clone)]
pub(crate) struct View<'t> {
    text: Cow<'t, str>,
    /// The original offset of each byte; empty for the original itself.
    origin: Vec<u32>,
    original_len: usize,
}

impl<'t> View<'t> {
    /// The text as it came.
    pub(crate) fn original(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), origin: Vec::new(), original_len: text.len() }
    }

    pub(crate) fn is_original(&self) -> bool {
        self.origin.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where byte `at` of this view lies in the original.
    fn origin_of(&self, at: usize) -> usize {
        match self.origin.get(at) {
            Some(origin) => *origin as usize,
            None if self.origin.is_empty() => at.min(self.original_len),
            None => self.original_len,
        }
    }

    /// The original bytes behind `start..end` of this view, whole escapes at both ends.
    pub(crate) fn original_span(&self, start: usize, end: usize) -> (usize, usize) {
        if self.origin.is_empty() {
            return (floor(&self.text, start), ceil(&self.text, end));
        }
        let first = self.origin_of(start);
        if end <= start {
            return (first, first);
        }
        let last = self.origin_of(end - 1);
        // All bytes that one escape became share an origin; the next origin is where it ends.
        // Origins never decrease, and a whole embedded text has one, so that a search by halves is due.
        let rest = self.origin.get(end..).unwrap_or_default();
        let beyond = rest.get(rest.partition_point(|origin| *origin as usize <= last));
        (first, beyond.map_or(self.original_len, |origin| *origin as usize))
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// Writes the next view while reading the one before.
pub(crate) struct Rewrite<'v> {
    before: &'v View<'v>,
    text: String,
    origin: Vec<u32>,
    changed: bool,
}

impl<'v> Rewrite<'v> {
    pub(crate) fn of(before: &'v View<'v>) -> Self {
        let capacity = before.text.len();
        Self {
            before,
            text: String::with_capacity(capacity),
            origin: Vec::with_capacity(capacity),
            changed: false,
        }
    }

    /// Takes over the character at `at` as it is.
    pub(crate) fn keep(&mut self, c: char, at: usize) {
        self.push(c, at);
    }

    /// Puts `c` where the view before had something else at `at`.
    pub(crate) fn replace(&mut self, c: char, at: usize) {
        self.changed = true;
        self.push(c, at);
    }

    /// Leaves out what the view before had here.
    pub(crate) fn drop(&mut self) {
        self.changed = true;
    }

    fn push(&mut self, c: char, at: usize) {
        self.text.push(c);
        // Requests are far below 4 GiB; beyond, all positions collapse onto the last one.
        let origin = u32::try_from(self.before.origin_of(at)).unwrap_or(u32::MAX);
        self.origin.resize(self.text.len(), origin);
    }

    /// The rewritten view; none if it says the same as the one before.
    pub(crate) fn finish(self) -> Option<View<'static>> {
        self.changed.then_some(View {
            text: Cow::Owned(self.text),
            origin: self.origin,
            original_len: self.before.original_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_leads_back_to_the_whole_escape_it_came_from() {
        let original = View::original("a%41%42z");
        let mut rewrite = Rewrite::of(&original);
        rewrite.keep('a', 0);
        rewrite.replace('A', 1);
        rewrite.replace('ß', 4);
        rewrite.keep('z', 7);
        let view = rewrite.finish().unwrap();
        assert_eq!(view.text(), "aAßz");
        assert_eq!(view.original_span(1, 2), (1, 4));
        assert_eq!(view.original_span(1, 4), (1, 7));
        assert_eq!(view.original_span(3, 4), (4, 7));
        assert_eq!(view.original_span(4, 5), (7, 8));
        assert_eq!(view.original_span(2, 2), (4, 4));
    }

    #[test]
    fn a_span_of_the_original_ends_at_characters() {
        let view = View::original("aßz");
        assert_eq!(view.original_span(2, 2), (1, 3));
        assert_eq!(view.original_span(0, 4), (0, 4));
    }
}
