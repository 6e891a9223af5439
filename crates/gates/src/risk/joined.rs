//! Several texts read as one, so that nothing hides by being spread over them.

use life_agent_domain::governance::command::Field;

use super::scanner::RawFinding;

/// What stands between two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seam {
    /// A line break: every text by itself, and with its neighbours.
    LineBreak,
    /// Nothing: what was cut in the middle of a word.
    Nothing,
    /// The way a key and its value are written.
    KeyAndValue,
}

impl Seam {
    /// The seams worth reading these texts with. Keys and values of a payload belong to each other as
    /// the parts of a sentence do not.
    pub(super) fn of(texts: &[(Field, &str)]) -> [Seam; 2] {
        match texts.first() {
            Some((Field::Payload(_) | Field::Argument(_), _)) => {
                [Seam::LineBreak, Seam::KeyAndValue]
            }
            _ => [Seam::LineBreak, Seam::Nothing],
        }
    }

    fn text(self) -> &'static str {
        match self {
            Seam::LineBreak => "\n",
            Seam::Nothing => "",
            Seam::KeyAndValue => "\": \"",
        }
    }

    /// How much on either side of the seam is read, in bytes. With a line break, everything is; the
    /// others only add what lies across.
    fn reach(self) -> usize {
        if self == Seam::LineBreak { usize::MAX } else { 1024 }
    }
}

/// Texts in a row, and where each piece of them lies.
pub(super) struct Joined<'p, 't> {
    text: String,
    parts: &'p [(Field, &'t str)],
    pieces: Vec<Piece>,
}

struct Piece {
    /// Of which text.
    part: usize,
    /// Where in that text.
    from: usize,
    /// Where in the row.
    at: usize,
    len: usize,
}

impl<'p, 't> Joined<'p, 't> {
    pub(super) fn new(parts: &'p [(Field, &'t str)], seam: Seam) -> Self {
        let mut joined = Self { text: String::new(), parts, pieces: Vec::new() };
        let reach = seam.reach();
        for (part, (_, text)) in parts.iter().enumerate() {
            if part > 0 {
                joined.text.push_str(seam.text());
            }
            if text.len() / 2 <= reach {
                joined.push(part, 0, text);
            } else {
                let (head, tail) = (floor(text, reach), floor(text, text.len() - reach));
                joined.push(part, 0, &text[..head]);
                joined.text.push('\n');
                joined.push(part, tail, &text[tail..]);
            }
        }
        joined
    }

    fn push(&mut self, part: usize, from: usize, text: &str) {
        self.pieces.push(Piece { part, from, at: self.text.len(), len: text.len() });
        self.text.push_str(text);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The find in the text that it starts in, cut off where that text ends.
    pub(super) fn place(&self, raw: RawFinding) -> Option<(Field, &'t str, RawFinding)> {
        // A find may begin in the seam; then it is about what follows.
        let first = self.pieces.partition_point(|piece| piece.at + piece.len <= raw.start);
        let piece = self.pieces.get(first).or(self.pieces.last())?;
        let (field, text) = self.parts[piece.part];
        let within = |at: usize| piece.from + at.saturating_sub(piece.at).min(piece.len);
        Some((field, text, RawFinding { start: within(raw.start), end: within(raw.end), ..raw }))
    }
}

/// The last boundary between characters that is not behind `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use life_agent_policy::document::Category;

    use super::*;

    fn find(start: usize, end: usize) -> RawFinding {
        let rule = "r".into();
        let category = Category::Url;
        RawFinding { category, rule, start, end, weight: 0.5, limit_reached: false }
    }

    #[test]
    fn a_find_lies_in_the_text_it_starts_in() {
        let parts = [(Field::Intent, "rm -"), (Field::Context, "rf /x and more")];
        let joined = Joined::new(&parts, Seam::Nothing);
        assert_eq!(joined.text(), "rm -rf /x and more");
        let (field, text, raw) = joined.place(find(0, 9)).unwrap();
        assert_eq!((field, text, raw.start, raw.end), (Field::Intent, "rm -", 0, 4));
        let (field, _, raw) = joined.place(find(10, 13)).unwrap();
        assert_eq!((field, raw.start, raw.end), (Field::Context, 6, 9));
        let joined = Joined::new(&parts, Seam::LineBreak);
        let (field, _, raw) = joined.place(find(4, 7)).unwrap();
        assert_eq!((field, raw.start, raw.end), (Field::Context, 0, 2));
    }

    #[test]
    fn of_long_texts_only_the_ends_meet() {
        let (one, two) = ("ä".repeat(3_000), "b".repeat(5_000));
        let parts = [(Field::Intent, one.as_str()), (Field::Context, two.as_str())];
        let joined = Joined::new(&parts, Seam::Nothing);
        assert_eq!(joined.text().len(), 4 * 1024 + 2);
        let (field, _, raw) =
            joined.place(find(joined.text().len() - 1, joined.text().len())).unwrap();
        assert_eq!((field, raw.start, raw.end), (Field::Context, 4_999, 5_000));
        assert_eq!(Joined::new(&parts, Seam::LineBreak).text().len(), 11_001);
    }
}
