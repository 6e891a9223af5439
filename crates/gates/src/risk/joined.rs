//! Several texts read as one, so that nothing hides by being spread over them.

use life_agent_domain::command::Field;

use super::scanner::RawFinding;

/// What texts are joined with: a line break, so that each is read by itself and with its neighbours;
/// nothing, for what was cut in the middle of a word; and the way a key and its value are written.
pub(super) const SEPARATORS: [&str; 3] = ["\n", "", "\": \""];

/// Texts in a row, and where each of them lies.
pub(super) struct Joined<'p, 't> {
    text: String,
    parts: &'p [(Field, &'t str)],
    starts: Vec<usize>,
}

impl<'p, 't> Joined<'p, 't> {
    pub(super) fn new(parts: &'p [(Field, &'t str)], separator: &str) -> Self {
        let mut text = String::new();
        let mut starts = Vec::with_capacity(parts.len());
        for (n, (_, part)) in parts.iter().enumerate() {
            if n > 0 {
                text.push_str(separator);
            }
            starts.push(text.len());
            text.push_str(part);
        }
        Self { text, parts, starts }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The find in the text that it starts in, cut off where that text ends.
    pub(super) fn place(&self, raw: RawFinding) -> Option<(Field, &'t str, RawFinding)> {
        let n = self.starts.partition_point(|start| *start <= raw.start).checked_sub(1)?;
        // A find may begin in the separator; then it is about what follows.
        let begins_behind = raw.start >= self.starts[n] + self.parts[n].1.len();
        let n = if begins_behind && n + 1 < self.parts.len() { n + 1 } else { n };
        let (field, text) = self.parts[n];
        let within = |at: usize| at.saturating_sub(self.starts[n]).min(text.len());
        let (start, end) = (within(raw.start), within(raw.end));
        Some((field, text, RawFinding { start, end, ..raw }))
    }
}
