//! Several texts read as one, so that nothing hides by being spread over them.

use life_agent_domain::governance::command::Field;

use super::scanner::RawFinding;

/// What stands between two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seam {
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
pub(crate) struct Joined<'p, 't> {
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
    pub(crate) fn new(parts: &'p [(Field, &'t str)], seam: Seam) -> Self {
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

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The parts of a find in each text that it touches: the number of the text, and where in it.
    pub(crate) fn pieces(&self, raw: &RawFinding) -> impl Iterator<Item = (usize, usize, usize)> {
        let (start, end) = (raw.start, raw.end);
        let first = self.pieces.partition_point(|piece| piece.at + piece.len <= start);
        let touched = self.pieces.iter().skip(first).take_while(move |piece| piece.at < end);
        touched.map(move |piece| {
            let within = |at: usize| piece.from + at.saturating_sub(piece.at).min(piece.len);
            (piece.part, within(start), within(end))
        })
    }

    /// Whether a find lies across several texts.
    pub(crate) fn crosses(&self, raw: &RawFinding) -> bool {
        let mut parts = self.pieces(raw).map(|(part, ..)| part);
        let first = parts.next();
        parts.any(|part| Some(part) != first)
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

/// Shortest credential that is looked for over the seams between values.
const SHORTEST_CUT: usize = 16;

/// The values of a payload that could hold a cut credential: those that form a word of some length with their
/// neighbors, a digit in it. Ordinary values rarely do, so that they cost no second search.
pub(crate) fn cut_words<'t>(values: &[(usize, &'t str)]) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut run: Option<Run> = None;
    for (n, (_, text)) in values.iter().enumerate() {
        let head = text.bytes().take_while(|byte| is_of_word(*byte)).count();
        let is_word = head == text.len();
        match &mut run {
            Some(run) if head > 0 => {
                run.last = n;
                run.len += head;
                run.has_digit |= text.as_bytes()[..head].iter().any(u8::is_ascii_digit);
            }
            _ => {}
        }
        if !is_word || head == 0 {
            take(run.take(), values, &mut found);
            let tail = text.bytes().rev().take_while(|byte| is_of_word(*byte)).count();
            let digits = text.as_bytes()[text.len() - tail..].iter().any(u8::is_ascii_digit);
            run = (tail > 0).then_some(Run { first: n, last: n, len: tail, has_digit: digits });
        } else if run.is_none() {
            let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
            run = Some(Run { first: n, last: n, len: head, has_digit });
        }
    }
    take(run, values, &mut found);
    found
}

/// Values in a row that form one word.
struct Run {
    first: usize,
    last: usize,
    len: usize,
    has_digit: bool,
}

fn take<'t>(run: Option<Run>, values: &[(usize, &'t str)], found: &mut Vec<(usize, &'t str)>) {
    let Some(run) = run else { return };
    if run.last > run.first && run.len >= SHORTEST_CUT && run.has_digit {
        // A value may end one word and begin the next.
        let known = found.last().map(|(ordinal, _)| *ordinal);
        let row = values.iter().take(run.last + 1).skip(run.first);
        found.extend(row.filter(|(ordinal, _)| known.is_none_or(|known| *ordinal > known)));
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b':')
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
    fn a_find_across_texts_has_a_piece_in_each() {
        let parts = [
            (Field::Message(0), "use ghp_"),
            (Field::Message(1), "abc"),
            (Field::Message(2), "de f"),
        ];
        let joined = Joined::new(&parts, Seam::Nothing);
        let found = find(4, 13);
        assert!(joined.crosses(&found) && !joined.crosses(&find(0, 8)));
        let pieces: Vec<_> = joined.pieces(&found).collect();
        assert_eq!(pieces, [(0, 4, 8), (1, 0, 3), (2, 0, 2)]);
    }

    #[test]
    fn only_values_that_could_be_cut_are_joined() {
        let cut = |values: &[&'static str]| {
            let values: Vec<_> = values.iter().copied().enumerate().collect();
            cut_words(&values).into_iter().map(|(n, _)| n).collect::<Vec<_>>()
        };
        assert_eq!(cut(&["ghp_9wXq2LkPz7V", "bN4mTr8YcDf6HjKs3Ga1EuRo0"]), [0, 1]);
        assert_eq!(cut(&["use ghp_9wXq2LkPz7V", "bN4mTr8YcDf6", "HjKs3Ga1EuRo0 now"]), [0, 1, 2]);
        assert_eq!(cut(&["north", "gate"]), [0_usize; 0]);
        assert_eq!(cut(&["walk to the north gate", "then look around, twice"]), [0_usize; 0]);
        assert_eq!(cut(&["ghp_9wXq2LkPz7VbN4mTr8YcDf6HjKs3Ga1EuRo0"]), [0_usize; 0]);
        assert_eq!(cut(&["", "a1", ""]), [0_usize; 0]);
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
