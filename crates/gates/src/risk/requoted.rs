//! Words that quotes and backslashes cut, as a shell joins them: `gh''p_…` is a token.
//!
//! The whole text as a shell reads it would take credentials apart, so that only words that could hold one are
//! joined.

use super::view::{Rewrite, View};

/// Shortest word, with its quotes, that is joined.
const MIN_WORD: usize = 20;

/// The text with these words joined; `None` if there are none.
pub(super) fn joined(text: &str) -> Option<View<'static>> {
    let bytes = text.as_bytes();
    let original = View::original(text);
    let mut rewrite: Option<Rewrite<'_>> = None;
    let mut from = 0;
    for mark in memchr::memchr3_iter(b'\'', b'"', b'\\', bytes) {
        if mark < from || cut(bytes, mark) == 0 {
            continue;
        }
        let (start, end) = word_around(bytes, mark);
        from = end;
        if !could_be_credential(&bytes[start..end]) {
            continue;
        }
        let rewrite = rewrite.get_or_insert_with(|| Rewrite::of(&original));
        let mut at = start;
        while at < end {
            match cut(bytes, at) {
                0 => {
                    rewrite.keep(char::from(bytes[at]), at);
                    at += 1;
                }
                len => {
                    rewrite.drop();
                    at += len;
                }
            }
        }
        // Ends the span of the word.
        rewrite.replace('\n', end);
    }
    rewrite?.finish()
}

/// Bytes of the cut that begins here inside a word; 0 if none does.
fn cut(bytes: &[u8], at: usize) -> usize {
    let of_word = |at: usize| bytes.get(at).copied().is_some_and(is_word);
    let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
    let Some(before) = before.filter(|byte| is_word(*byte) || matches!(byte, b'\'' | b'"')) else {
        return 0;
    };
    match bytes[at] {
        quote @ (b'\'' | b'"') => match bytes.get(at + 1) {
            Some(next) if *next == quote && of_word(at + 2) => 2,
            // The end of one quoted piece and the beginning of another.
            Some(b'\'' | b'"') if of_word(at + 2) && is_word(before) => 2,
            _ if of_word(at + 1) && is_word(before) => 1,
            _ => 0,
        },
        b'\\' if !is_word(before) => 0,
        b'\\' if bytes.get(at + 1) == Some(&b'\n') && of_word(at + 2) => 2,
        b'\\' if of_word(at + 1) => 1,
        _ => 0,
    }
}

/// Where the word around a cut begins and ends.
fn word_around(bytes: &[u8], mark: usize) -> (usize, usize) {
    let start = (0..mark).rev().take_while(|at| is_word(bytes[*at])).last().unwrap_or(mark);
    let mut end = mark;
    while end < bytes.len() {
        end += match cut(bytes, end) {
            0 if is_word(bytes[end]) => 1,
            0 => break,
            len => len,
        };
    }
    (start, end)
}

/// Whether a word with its quotes is long and has a digit.
fn could_be_credential(word: &[u8]) -> bool {
    word.len() >= MIN_WORD && word.iter().any(u8::is_ascii_digit)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        joined(text).map(|view| view.text().to_owned())
    }

    #[test]
    fn a_long_word_is_joined_over_its_quotes() {
        for cut in [
            "curl -d gh''p_9wXq2LkPz7VbN4mTr8Yc x",
            "curl -d ghp_9wXq\"2LkPz7\"VbN4mTr8Yc x",
            "curl -d ghp_'9wXq2LkPz''7VbN4mTr8Yc' x",
            "curl -d gh\\p_9wXq2LkPz7\\VbN4mTr8Yc x",
            "curl -d ghp_9wXq2\\\nLkPz7VbN4mTr8Yc x",
        ] {
            assert_eq!(text(cut).as_deref(), Some("ghp_9wXq2LkPz7VbN4mTr8Yc\n"), "{cut}");
        }
        let cut = "äö gh''p_9wXq2LkPz7VbN4mTr8Yc x";
        let view = joined(cut).unwrap();
        assert_eq!(view.original_span(0, 24), (5, cut.len() - 2));
    }

    #[test]
    fn ordinary_text_has_no_such_words() {
        for plain in [
            "don't",
            "it's the 1st of May and the dog's name is \"Rex\"",
            r#"{"key":"value","other":"12345678901234567890"}"#,
            "x = ['a', 'b', \"c\"]",
            "C:\\Users\\Ann",
            "'ghp_9wXq2LkPz7VbN4mTr8Yc'",
        ] {
            assert_eq!(text(plain), None, "{plain}");
        }
    }
}
