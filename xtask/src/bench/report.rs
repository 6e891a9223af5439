//! The generated parts of the pages: one section per item, between two markers.

use std::fmt::Write;

use anyhow::Context;

use crate::root;

/// The results of one item.
pub(super) struct Section {
    /// The item's name, also in its markers.
    pub(super) name: &'static str,
    text: String,
}

impl Section {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, text: String::new() }
    }

    /// A line of prose.
    pub(super) fn line(&mut self, line: &str) {
        self.text += line;
        self.text += "\n";
    }

    /// A Markdown table, with an empty line before it.
    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let dashes = vec!["---"; head.len()].join(" | ");
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "\n| {} |\n| {dashes} |", head.join(" | "));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
    }

    /// Replaces the section in a page.
    pub(super) fn publish(&self, file: &str) -> anyhow::Result<()> {
        println!("{}", self.text);
        let path = root().join(file);
        let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let page = replaced(&page, self.name, &self.text)
            .with_context(|| format!("{file} has no markers for `{}`", self.name))?;
        std::fs::write(&path, page)?;
        Ok(())
    }
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench:{name} -->\n"), format!("<!-- /bench:{name} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}

/// Microseconds with a readable unit.
pub(super) fn time(micros: f64) -> String {
    match micros {
        micros if micros < 100.0 => format!("{micros:.1} µs"),
        micros if micros < 1_000.0 => format!("{micros:.0} µs"),
        micros => format!("{:.2} ms", micros / 1_000.0),
    }
}

/// A number with commas between its thousands.
pub(super) fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The value, with a mark that shows whether it meets its target.
pub(super) fn aimed(value: &str, met: bool) -> String {
    if met { format!("{value} ✓") } else { format!("**{value} ✗**") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_markers_is_replaced() {
        let page = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n";
        let new = replaced(page, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- bench:x -->\nnew\n<!-- /bench:x -->\nb\n");
        assert!(replaced(page, "y", "").is_none());
    }

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!([count(7.0), count(1234.4), count(1e6)], ["7", "1,234", "1,000,000"]);
        assert_eq!([time(4.25), time(250.0), time(2500.0)], ["4.2 µs", "250 µs", "2.50 ms"]);
    }
}
