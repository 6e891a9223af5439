//! What a shell would read: quotes inside words, backslashes, `$IFS`, empty variables, carets, braces
//! and the C escapes of `$'..'` and `echo -e`, taken away.

use super::view::{Rewrite, View};

/// The text as a shell would run it; none when that is what it says already.
pub(crate) fn unquoted(view: &View<'_>) -> Option<View<'static>> {
    let text = view.text();
    if !may_change(text) {
        return None;
    }
    let mut rewrite = Rewrite::of(view);
    let mut braces = 0usize;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        match trick(rest, before(text, at), braces) {
            Some(Trick { len, reads }) => {
                match reads {
                    Reads::Nothing => rewrite.drop(),
                    Reads::As(c) => rewrite.replace(c, at),
                }
                match c {
                    '{' => braces += 1,
                    '}' => braces -= 1,
                    _ => {}
                }
                at += len;
            }
            None => {
                rewrite.keep(c, at);
                at += c.len_utf8();
            }
        }
    }
    rewrite.finish()
}

/// A quick look that spares ordinary text, apostrophes included, the rewriting.
fn may_change(text: &str) -> bool {
    let bytes = text.as_bytes();
    let follows = |at: usize, is: fn(&u8) -> bool| bytes.get(at + 1).is_some_and(is);
    memchr::memchr(b'\\', bytes).is_some()
        || memchr::memchr_iter(b'$', bytes)
            .any(|at| follows(at, starts_variable) || bytes.get(at + 1..at + 3) == Some(b"()"))
        || memchr::memchr_iter(b'^', bytes).any(|at| follows(at, u8::is_ascii_alphabetic))
        || memchr::memchr_iter(b'{', bytes).any(|at| is_brace_list(&text[at..]))
        || memchr::memchr2_iter(b'\'', b'"', bytes).any(|at| is_in_quoted_word(bytes, at))
}

fn starts_variable(byte: &u8) -> bool {
    matches!(byte, b'{' | b'@' | b'*' | b'0'..=b'9' | b'i' | b'I')
}

struct Trick {
    len: usize,
    reads: Reads,
}

enum Reads {
    Nothing,
    As(char),
}

fn nothing(len: usize) -> Option<Trick> {
    Some(Trick { len, reads: Reads::Nothing })
}

fn reads(c: char, len: usize) -> Option<Trick> {
    Some(Trick { len, reads: Reads::As(c) })
}

fn trick(rest: &str, before: u8, braces: usize) -> Option<Trick> {
    let bytes = rest.as_bytes();
    let next = bytes.get(1).copied().unwrap_or(b' ');
    let inside_word = is_word(before) && is_in_word(next);
    match bytes[0] {
        b'\\' => backslash(rest),
        b'\'' | b'"' if next == bytes[0] => nothing(2),
        b'\'' | b'"' | b'^' if inside_word => nothing(1),
        b'$' => variable(rest, before),
        b'{' if is_brace_list(rest) => nothing(1),
        b',' if braces > 0 => reads(' ', 1),
        b'}' if braces > 0 => nothing(1),
        _ => None,
    }
}

/// A backslash: a C escape if it is one, otherwise nothing.
fn backslash(rest: &str) -> Option<Trick> {
    let bytes = rest.as_bytes();
    let number = |from: usize, most: usize, radix: u32| {
        let digits = bytes.get(from..)?.iter().take(most);
        let len = digits.take_while(|b| char::from(**b).is_digit(radix)).count();
        let code = u32::from_str_radix(rest.get(from..from + len)?, radix).ok()?;
        Some((char::from_u32(code)?, from + len))
    };
    let escape = match bytes.get(1)? {
        b'x' => number(2, 2, 16).filter(|(_, len)| *len == 4),
        b'u' if bytes.get(2) == Some(&b'{') => number(3, 6, 16).map(|(c, len)| (c, len + 1)),
        b'u' => number(2, 4, 16).filter(|(_, len)| *len == 6),
        b'0'..=b'3' => number(1, 3, 8).filter(|(_, len)| *len >= 3),
        _ => None,
    };
    match (escape, bytes[1]) {
        // No shell word can hold a NUL; in source code they are plain enough.
        (Some((c, len)), _) if c != '\0' => reads(c, len.min(rest.len())),
        (_, b'\n') => nothing(2),
        (_, b'\r') if bytes.get(2) == Some(&b'\n') => nothing(3),
        (_, next) if next.is_ascii() && next != b'\\' => nothing(1),
        _ => None,
    }
}

/// `$IFS` is a blank; a variable that is usually unset, in the middle of a word, is nothing.
fn variable(rest: &str, before: u8) -> Option<Trick> {
    let bytes = rest.as_bytes();
    // A substitution of nothing, which only serves to cut a word up.
    if bytes.get(1..3) == Some(b"()") {
        return nothing(3);
    }
    let (name, end) = match bytes.get(1)? {
        b'{' => {
            let close = rest.bytes().take(40).position(|b| b == b'}')?;
            (rest.get(2..close)?, close + 1)
        }
        b'@' | b'*' | b'0'..=b'9' => (rest.get(1..2)?, 2),
        _ => {
            let len =
                rest[1..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            (rest.get(1..1 + len)?, 1 + len)
        }
    };
    if name.get(..3).is_some_and(|ifs| ifs.eq_ignore_ascii_case("ifs")) {
        // `$IFS$9` is the usual way to end the name before a letter.
        let tail = rest[end..]
            .strip_prefix('$')
            .is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        return reads(' ', end + if tail { 2 } else { 0 });
    }
    // `${HOME:0:1}` is the first character of an absolute path.
    if let Some((name, ":0:1")) = name.find(':').map(|at| name.split_at(at)) {
        return matches!(name, "HOME" | "PATH" | "PWD" | "SHELL" | "OLDPWD")
            .then_some(())
            .and_then(|()| reads('/', end));
    }
    let next = bytes.get(end).copied().unwrap_or(b' ');
    let is_name =
        name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'*'));
    let in_word = before.is_ascii_alphabetic() && next.is_ascii_alphabetic();
    if is_name && in_word && bytes[1] != b'(' { nothing(end) } else { None }
}

/// `{a,b}` without blanks, which a shell takes apart into words.
fn is_brace_list(rest: &str) -> bool {
    let inside = rest.bytes().skip(1).take(120);
    let mut commas = 0;
    for byte in inside {
        match byte {
            b'}' => return commas > 0,
            b',' => commas += 1,
            b'{' | b' ' | b'\t' | b'\n' | b':' => return false,
            _ => {}
        }
    }
    false
}

/// Whether the quote at `at` has a word around it and is not the only quote in that word.
fn is_in_quoted_word(bytes: &[u8], at: usize) -> bool {
    if bytes.get(at + 1) == Some(&bytes[at]) {
        return true;
    }
    if at == 0
        || !is_word(bytes[at - 1])
        || !bytes.get(at + 1).is_some_and(|next| is_in_word(*next))
    {
        return false;
    }
    let is_other = |byte: &&u8| matches!(**byte, b'\'' | b'"');
    let in_word = |byte: &&u8| !byte.is_ascii_whitespace();
    bytes[..at].iter().rev().take(64).take_while(in_word).any(|b| is_other(&b))
        || bytes[at + 1..].iter().take(64).take_while(in_word).any(|b| is_other(&b))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.')
}

/// As [`is_word`], but for what may also end a sentence.
fn is_in_word(byte: u8) -> bool {
    is_word(byte) && byte != b'.'
}

fn before(text: &str, at: usize) -> u8 {
    at.checked_sub(1).and_then(|at| text.as_bytes().get(at)).copied().unwrap_or(b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let original = View::original(text);
        unquoted(&original).map_or_else(|| text.to_owned(), |view| view.text().to_owned())
    }

    #[test]
    fn shell_tricks_are_read_by_table() {
        for (written, expected) in [
            ("u'na'm'e", "uname"),
            ("'u'name", "'uname"),
            ("un\"\"ame", "uname"),
            ("u\\na\\me", "uname"),
            ("una\\\nme", "uname"),
            ("ls${IFS}/srv/data", "ls /srv/data"),
            ("cat$IFS$9/etc", "cat /etc"),
            ("who$@ami wh${u}oami", "whoami whoami"),
            ("who$()ami", "whoami"),
            ("{ls,/srv/data}", "ls /srv/data"),
            ("cat ${HOME:0:1}etc", "cat /etc"),
            ("u^n^ame", "uname"),
            ("\\x2fetc\\057passwd\\u002f\\u{2f}", "/etc/passwd//"),
        ] {
            assert_eq!(read(written), expected, "{written}");
        }
    }

    #[test]
    fn ordinary_text_needs_no_rewriting() {
        for text in
            ["it's Bob's, isn't it", "a {b} and {c: 1, d}", "say \"yes\"", "x = {a: [1, 2]}"]
        {
            assert!(!may_change(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(\\$\\{?|IFS|[\\\\'\"{},x0-9^:u}a-z\n]|\\PC){0,60}") {
            read(&text);
        }
    }
}
