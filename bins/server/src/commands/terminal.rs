//! What commands print: lines for a person, JSON for a machine, progress for whoever watches.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::Style;
use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// Prints a line. Whoever has closed the pipe has seen what they wanted.
pub(crate) fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", visible(text));
}

/// Prints a text that ends with a line's end, each line in its style. Styles show on a terminal only,
/// and not where NO_COLOR is set; a pipe gets every byte as it is.
pub(super) fn print_styled(text: &str, style: fn(&str) -> Style) {
    if !std::io::stdout().is_terminal() {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        return;
    }
    let mut out = anstream::stdout().lock();
    for line in text.lines() {
        let style = style(line);
        let _ = writeln!(out, "{style}{}{style:#}", visible(line));
    }
}

/// Prints a line that begins with a word in a style.
pub(super) fn print_labelled(label: &str, style: Style, text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = writeln!(out, "{style}{label}{style:#}{}", visible(text));
}

/// The text without anything that a terminal would obey or that would turn the order of its letters:
/// rows and plans hold what callers wrote.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hides = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(hides) { text.replace(hides, "\u{fffd}").into() } else { text.into() }
}

/// Prints a text that ends with a line's end, byte for byte.
pub(super) fn print_text(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a value as one JSON document.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
    Ok(())
}

/// A bar on standard error; nothing where nobody watches.
pub(super) fn progress_bar(total: u64, what: &str) -> ProgressBar {
    progress(
        ProgressBar::new(total),
        &format!("{{bar:32}} {{human_pos}}/{{human_len}} {what} {{eta}}"),
    )
}

/// The same for work that does not say how far it is.
pub(super) fn spinner(what: &str) -> ProgressBar {
    let bar = progress(ProgressBar::new_spinner(), &format!("{{spinner}} {what} {{elapsed}}"));
    bar.enable_steady_tick(TICK);
    bar
}

fn progress(bar: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_a_caller_wrote_cannot_steer_the_terminal() {
        assert_eq!(visible("plain\n\tGr\u{fc}\u{df}e"), "plain\n\tGr\u{fc}\u{df}e");
        assert_eq!(
            visible("a\u{1b}[2Jb\u{9b}c\rd\u{202e}e"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e"
        );
    }
}
