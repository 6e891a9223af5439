//! Reads `.env`: `NAME=value` lines, comments that begin with `#` or `;`, and values in quotes that may
//! span lines.

use std::io::ErrorKind;
use std::path::Path;

use super::SettingError;

/// Every name and value of the `.env` file in `dir`; empty without a file.
pub(super) fn read(dir: &Path) -> Result<Vec<(String, String)>, SettingError> {
    let text = match std::fs::read_to_string(dir.join(".env")) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(SettingError::Sentence("`.env` is not valid UTF-8".to_owned()));
        }
        Err(error) => {
            return Err(SettingError::Sentence(format!("cannot read `.env`: {error}")));
        }
    };
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<(String, String)>, SettingError> {
    let text = without_semicolon_comments(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut values = Vec::new();
    for (index, entry) in dotenvy::from_read_iter(text.as_bytes()).enumerate() {
        // The parser's error quotes the line, and the line may hold a key.
        let entry = entry.map_err(|_| {
            SettingError::Sentence(format!(
                "entry {} of `.env` cannot be read, expected `NAME=value`; put a value with spaces \
                 in quotes",
                index + 1
            ))
        })?;
        values.push(entry);
    }
    Ok(values)
}

/// The parser knows `#` comments only. Lines inside a quoted value are kept as they are.
fn without_semicolon_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut quote = None;
    for line in text.split_inclusive('\n') {
        if quote.is_none() {
            let start = line.trim_start();
            if start.starts_with(';') {
                continue;
            }
            if start.starts_with('#') {
                kept.push_str(line);
                continue;
            }
        }
        quote = open_quote(line, quote);
        kept.push_str(line);
    }
    kept
}

/// The quote that is still open at the end of `line`.
fn open_quote(line: &str, mut quote: Option<char>) -> Option<char> {
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => {
                chars.next();
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    quote
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn comments_begin_with_a_number_sign_or_a_semicolon() {
        let text =
            "; a comment\n  ; another; with 'quotes\n# a third \"\nPORT=1\n;PORT=2\r\nHOST=::1";
        assert_eq!(pairs(text), [pair("PORT", "1"), pair("HOST", "::1")]);
    }

    #[test]
    fn a_semicolon_inside_a_value_stays() {
        let text = "A=\"one\n; two\n\"\nB='x;y'\nC=p;q\n";
        assert_eq!(pairs(text), [pair("A", "one\n; two\n"), pair("B", "x;y"), pair("C", "p;q")]);
    }

    #[test]
    fn a_byte_order_mark_is_accepted() {
        assert_eq!(pairs("\u{feff}PORT=1\n"), [pair("PORT", "1")]);
    }

    #[test]
    fn the_message_about_a_bad_entry_has_its_number_and_not_its_text() {
        let message = parse("A=1\nnot an entry: hush\n").unwrap_err().to_string();
        assert!(message.contains("entry 2") && !message.contains("hush"), "{message}");
    }
}
