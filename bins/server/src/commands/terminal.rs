//! What commands print: lines for a person, JSON for a machine, progress for an onlooker.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::Style;
use indicatif::{ProgressBar, ProgressStyle};
use life_agent_engine::domain::governance::invisible::{display, invisible};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);

/// Prints a line. A reader that has closed the pipe has seen enough.
pub(crate) fn print_line(text: &str) {
    let _ = print_out(text);
}

/// Prints a line, and reports a closed pipe.
pub(super) fn print_out(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", visible(text))
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
pub(super) fn print_labeled(label: &str, style: Style, text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = writeln!(out, "{style}{label}{style:#}{}", visible(text));
}

/// The text without anything that a terminal would obey, hide, or show in another order: rows and plans hold what
/// callers wrote. Each such character is shown as its number.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return display(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            let _ = write!(shown, "‹U+{:04X}›", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(display(&shown).into_owned())
}

/// JSON for a terminal: characters that it would obey, hide or reorder are escapes, which mean the same.
fn escaped(json: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c == '\n' || !(c.is_control() || invisible(c).is_some());
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(shown)
}

/// Prints a text that ends with a line's end, byte for byte.
pub(super) fn print_text(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a value as one JSON document.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    let _ = print_json_text(&text);
    Ok(())
}

/// Prints a line of JSON; a pipe gets every byte as it is.
pub(super) fn print_json_text(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let text = if std::io::stdout().is_terminal() { escaped(text) } else { Cow::Borrowed(text) };
    writeln!(out, "{text}")
}

/// A bar on standard error, if that is a terminal.
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
    use super::{escaped, visible};

    #[test]
    fn what_a_caller_wrote_cannot_steer_the_terminal() {
        assert_eq!(visible("plain\n\tGr\u{fc}\u{df}e"), "plain\n\tGr\u{fc}\u{df}e");
        assert_eq!(
            visible("a\u{1b}[2Jb\u{9b}c\rd\u{202e}e\u{200b}"),
            "a‹U+001B›[2Jb‹U+009B›c‹U+000D›d‹U+202E›e‹U+200B›"
        );
        assert_eq!(visible("hi\u{e0068}\u{7}"), "hi‹tags:h›‹U+0007›");
    }

    #[test]
    fn json_on_a_terminal_is_the_same_json() {
        let json = "{\n\"a\": \"x\u{9b}\u{202e}\u{e0068}\"}";
        let shown = escaped(json);
        assert_eq!(shown, "{\n\"a\": \"x\\u009b\\u202e\\udb40\\udc68\"}");
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parsed(&shown), parsed(json));
    }
}
