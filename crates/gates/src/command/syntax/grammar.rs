//! The tree that tree-sitter-bash makes of a text, for texts that it reads well and within the budget.

use std::borrow::Cow;
use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

use crate::command::budget::{Budget, Unparsed};

/// Longest text for the grammar. Its scanner takes quadratic time on some inputs, which no counted step
/// bounds; longer texts go to the lexer, whose every byte is counted.
const MAX_GRAMMAR: usize = 4 * 1024;
/// Operations of tree-sitter between two calls of the progress callback, as steps.
const CALLBACK_STEPS: usize = 400;

/// What creating a parser takes, as steps: a command may have thousands of short substitutions.
const PARSER_STEPS: usize = 80;

/// The tree of a text; `None` if the grammar cannot be relied on for it.
pub(super) fn tree(text: &str, budget: &mut Budget) -> Result<Option<Tree>, Unparsed> {
    if text.len() > MAX_GRAMMAR || misread(text) {
        return Ok(None);
    }
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_err() {
        return Ok(None);
    }
    budget.spend(PARSER_STEPS + text.len())?;
    let mut spent = Ok(());
    // Recovery from errors is the expensive part of the parser, and its tree would not be used.
    let mut progress = |state: &ParseState| {
        spent = budget.spend(CALLBACK_STEPS);
        if spent.is_ok() && !state.has_error() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let text = in_one_byte_range(text);
    let bytes = text.as_bytes();
    let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
    let tree = parser.parse_with_options(&mut read, None, Some(options));
    spent.map(|()| tree)
}

/// Whether the text has a form that the grammar reads wrongly without an error: a line continuation
/// inside a word ends the word, a here-document's line that begins with a backslash counts as arguments, and
/// an empty substitution may end a word, and of backticks in a row only the first may count.
fn misread(text: &str) -> bool {
    let bytes = text.as_bytes();
    let blank = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace());
    let continued = memchr::memmem::find_iter(bytes, b"\\\n")
        .any(|at| at > 0 && !blank(bytes.get(at - 1)) && !blank(bytes.get(at + 2)));
    let document = memchr::memmem::find_iter(bytes, b"<<")
        .any(|at| bytes.get(at + 2) != Some(&b'<') && (at == 0 || bytes[at - 1] != b'<'));
    let empty = memchr::memmem::find(bytes, b"$()").is_some();
    let backticks = memchr::memchr_iter(b'`', bytes).nth(2).is_some();
    continued || document || empty || backticks
}

/// The text with every character beyond U+00FF replaced by one or two that are as long. The grammar's scanner
/// passes characters to C's `isdigit`, which reads outside its table for larger ones and ends the process.
/// To the grammar, each of them is a part of a word that begins no name, and `é` is too.
fn in_one_byte_range(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c <= '\u{ff}') {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    for c in text.chars() {
        match c.len_utf8() {
            2 if c > '\u{ff}' => replaced.push('é'),
            3 => replaced.push_str("éx"),
            4 => replaced.push_str("éé"),
            _ => replaced.push(c),
        }
    }
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_characters_are_as_long_and_within_the_table() {
        let all = (0..=0x10_ffff).filter_map(char::from_u32).step_by(7);
        for c in all.chain(['\u{7f}', '\u{ff}', '\u{100}', '\u{7ff}', '\u{800}', '\u{10ffff}']) {
            let text = format!("a{c}b");
            let replaced = in_one_byte_range(&text);
            assert_eq!(replaced.len(), text.len(), "{c:?}");
            assert!(replaced.chars().all(|c| c <= '\u{ff}'), "{c:?}");
        }
        assert!(matches!(in_one_byte_range("größe {1..3}"), Cow::Borrowed(_)));
    }

    /// Each of these ended the process.
    #[test]
    fn characters_outside_the_scanners_tables_are_read() {
        for c in ['\u{10ffff}', '\u{e0041}', '\u{1f600}', '\u{ffff}', '\u{100}'] {
            for text in [
                format!("echo {{{c}"),
                format!("echo {{1{c}..2}}"),
                format!("echo {{1..{c}}}"),
                format!("{{{c}}}"),
                format!("a[{c}]=1"),
                format!("${{{c}}}"),
                format!("[[ a =~ {c} ]]"),
                format!("case {c} in {c}) ;; esac"),
                format!("echo $(({c}))"),
                format!("cat <<< {c}"),
                format!("{c}={c} {c}"),
            ] {
                assert!(tree(&text, &mut Budget::new()).is_ok(), "{text:?}");
            }
        }
    }
}
