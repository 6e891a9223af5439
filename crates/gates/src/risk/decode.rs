//! What a web server, a browser, a mail program or a file system would read: percent escapes, `%u`, overlong
//! UTF-8, HTML entities, the escapes of JSON and C, quoted-printable, compatibility characters and invisible
//! ones, again and again until nothing changes.

use life_agent_domain::governance::invisible::{Invisible, invisible};
use unicode_normalization::UnicodeNormalization;

use super::view::{Rewrite, View};

/// Escapes nested deeper than this are left; three layers are the most that are seen in the wild.
const MAX_ROUNDS: usize = 6;
/// A run of one character longer than this is filler that pushes text out of sight or off its line.
const MAX_RUN: usize = 64;

/// The decoded text; none when there was nothing to decode.
pub(crate) fn decoded(text: &str) -> Option<View<'static>> {
    if !may_change(text) {
        return None;
    }
    let mut view = round(&View::original(text))?;
    for _ in 1..MAX_ROUNDS {
        match round(&view) {
            Some(next) => view = next,
            None => break,
        }
    }
    Some(view)
}

/// A quick look that spares harmless text the rewriting.
fn may_change(text: &str) -> bool {
    let bytes = text.as_bytes();
    let escapes = |at: usize| match bytes[at] {
        b'%' => percent(&bytes[at..]).is_some(),
        b'\\' => backslash(&bytes[at..]).is_some(),
        _ => entity(&text[at..]).is_some(),
    };
    let is_run = |chunk: &[u8]| chunk.iter().all(|byte| *byte == chunk[0]);
    memchr::memchr3_iter(b'%', b'&', b'\\', bytes).any(escapes)
        || !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && is_rewritten(c))
        || bytes.len() > MAX_RUN && bytes.chunks_exact(MAX_RUN / 2).any(is_run)
        || is_quoted_printable(bytes)
}

fn round(view: &View<'_>) -> Option<View<'static>> {
    let text = view.text();
    let bytes = text.as_bytes();
    let mut rewrite = Rewrite::of(view);
    let is_mail = is_quoted_printable(bytes);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = match byte {
            b'%' => percent(&bytes[at..]),
            b'&' => entity(&text[at..]),
            b'\\' => backslash(&bytes[at..]),
            b'=' if is_mail => match soft_break(bytes, at) {
                Some(len) => {
                    rewrite.drop();
                    at += len;
                    continue;
                }
                None => quoted_printable(&bytes[at..]),
            },
            _ => None,
        };
        if let Some((c, len)) = escape {
            plain(c, |c| rewrite.replace(c, at));
            rewrite.drop();
            at += len;
            continue;
        }
        let run = run_length(&bytes[at..]);
        if run > MAX_RUN {
            rewrite.replace('\n', at);
            at += run;
        } else if byte.is_ascii() {
            rewrite.keep(char::from(byte), at);
            at += 1;
        } else {
            at += wide(&mut rewrite, text, at);
        }
    }
    rewrite.finish()
}

/// How often the first byte comes at the start, if it is ASCII.
fn run_length(bytes: &[u8]) -> usize {
    match bytes {
        // The third look keeps this off the fast path of ordinary text.
        [first, second, ..] if first == second && first.is_ascii() => {
            bytes.iter().take_while(|byte| *byte == first).count()
        }
        _ => 1,
    }
}

/// Takes over one character beyond ASCII; its length in bytes.
fn wide(rewrite: &mut Rewrite<'_>, text: &str, at: usize) -> usize {
    let Some(c) = text[at..].chars().next() else {
        return 1;
    };
    if !is_rewritten(c) {
        rewrite.keep(c, at);
    } else {
        rewrite.drop();
        plain(c, |c| rewrite.replace(c, at));
    }
    c.len_utf8()
}

fn is_rewritten(c: char) -> bool {
    let mut forms = 0;
    let mut same = true;
    plain(c, |form| {
        forms += 1;
        same &= form == c;
    });
    forms != 1 || !same
}

/// What a character stands for: nothing if it is invisible, its compatibility form otherwise.
fn plain(c: char, mut out: impl FnMut(char)) {
    if c.is_ascii()
        || ('\u{c0}'..='\u{17f}').contains(&c) && !matches!(c, 'ĳ' | 'Ĳ' | 'ŀ' | 'Ŀ' | 'ŉ' | 'ſ')
    {
        return out(c);
    }
    match invisible(c) {
        None => {}
        // Tags mirror ASCII; selectors are numbered, and numbers that are ASCII spell a text.
        Some(Invisible::Tag(ascii)) => return out(ascii),
        Some(Invisible::Selector(byte @ b' '..=b'~')) => return out(char::from(byte)),
        Some(_) => return,
    }
    if let Some(separator) = look_alike(c) {
        return out(separator);
    }
    for form in std::iter::once(c).nfkc() {
        out(look_alike(form).unwrap_or(form));
    }
}

/// Characters that pass for `/`, `\` and `.` where a system picks the nearest one it has. The two
/// private ones are what some Windows code pages and mounts use for a slash.
fn look_alike(c: char) -> Option<char> {
    match c {
        '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{2571}' | '\u{efc8}' | '\u{f025}' => Some('/'),
        '\u{2216}' | '\u{29f5}' | '\u{29f9}' | '\u{2572}' => Some('\\'),
        '\u{3002}' | '\u{ff61}' | '\u{fe52}' => Some('.'),
        '\u{2028}' | '\u{2029}' | '\u{85}' => Some('\n'),
        _ => None,
    }
}

/// A percent escape at the start: the character, and how many bytes it takes.
fn percent(bytes: &[u8]) -> Option<(char, usize)> {
    if matches!(bytes.get(1), Some(b'u' | b'U')) {
        let digits = std::str::from_utf8(bytes.get(2..6)?).ok()?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        return Some((char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), 6));
    }
    match octet(bytes) {
        Some(byte) if byte < 0x80 => Some((char::from(byte), 3)),
        Some(lead) => sloppy_overlong(bytes).or_else(|| Some(utf8(lead, &bytes[3..]))),
        None => sloppy_overlong(bytes),
    }
}

/// `%` and two hexadecimal digits.
fn octet(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A sequence of UTF-8 in escapes, read as forgivingly as the decoders that attackers hope for:
/// overlong forms (`%c0%ae`), five and six bytes, and a second byte that is none (`%c0%2f`).
fn utf8(lead: u8, rest: &[u8]) -> (char, usize) {
    let (more, bits) = match lead {
        0xc0..=0xdf => (1, lead & 0x1f),
        0xe0..=0xef => (2, lead & 0x0f),
        0xf0..=0xf7 => (3, lead & 0x07),
        0xf8..=0xfb => (4, lead & 0x03),
        0xfc..=0xfd => (5, lead & 0x01),
        _ => return (char::REPLACEMENT_CHARACTER, 3),
    };
    let mut code = u32::from(bits);
    let mut last = 0;
    for n in 0..more {
        let Some(byte) = octet(rest.get(n * 3..).unwrap_or_default()) else {
            return (char::REPLACEMENT_CHARACTER, 3);
        };
        last = byte;
        code = code << 6 | u32::from(byte & 0x3f);
    }
    let len = 3 + more * 3;
    match char::from_u32(code) {
        Some(c) if last < 0x80 && !is_path_sign(c) => (char::from(last), len),
        Some(c) => (c, len),
        None => (char::REPLACEMENT_CHARACTER, len),
    }
}

fn is_path_sign(c: char) -> bool {
    matches!(c, '.' | '/' | '\\')
}

/// `%c0%qf` and its like: decoders that subtract without checking the digit read an overlong slash.
fn sloppy_overlong(bytes: &[u8]) -> Option<(char, usize)> {
    let unchecked = |bytes: &[u8]| match bytes {
        [b'%', high, low, ..] if high.is_ascii_alphanumeric() && low.is_ascii_alphanumeric() => {
            let value = |byte: u8| char::from(byte).to_digit(36).unwrap_or(0);
            Some((value(*high) * 16 + value(*low)) & 0xff)
        }
        _ => None,
    };
    let lead = unchecked(bytes).filter(|lead| matches!(lead, 0xc0 | 0xc1))?;
    let next = unchecked(bytes.get(3..)?).filter(|next| (0x80..0xc0).contains(next))?;
    let c = char::from_u32((lead & 0x1f) << 6 | next & 0x3f)?;
    is_path_sign(c).then_some((c, 6))
}

/// `\u0041` or `\x41` at the start: the character, if it is a visible one of ASCII, and how many bytes it
/// takes. In source code, other characters are plain enough. A text within a text doubles the backslash.
fn backslash(bytes: &[u8]) -> Option<(char, usize)> {
    let doubled = bytes.iter().take(MAX_ROUNDS).take_while(|byte| **byte == b'\\').count();
    let before = doubled.saturating_sub(1);
    let (c, len) = escape(bytes.get(before..)?)?;
    Some((c, before + len))
}

fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let (digits, len) = match bytes.get(1)? {
        b'u' | b'U' if bytes.get(2..4)? == b"00" => (bytes.get(4..6)?, 6),
        b'x' => (bytes.get(2..4)?, 4),
        _ => return None,
    };
    let byte = digit(digits[0])? << 4 | digit(digits[1])?;
    matches!(byte, b' '..=b'~').then_some((char::from(byte), len))
}

/// Whether the text has an escaped `=` or soft line breaks, without which `=41` is no escape.
fn is_quoted_printable(bytes: &[u8]) -> bool {
    let is_escape = |at: usize| match bytes.get(at + 1) {
        Some(b'3') => bytes.get(at + 2) == Some(&b'D'),
        Some(b'\r' | b'\n') => soft_break(bytes, at).is_some(),
        _ => false,
    };
    memchr::memchr_iter(b'=', bytes).any(is_escape)
}

/// The length of a soft line break of quoted-printable: `=` at the end of a line that is nearly full, since
/// other texts end lines with `=` as well.
fn soft_break(bytes: &[u8], at: usize) -> Option<usize> {
    const NEARLY_FULL: usize = 60;
    let len = match bytes.get(at..)? {
        [b'=', b'\n', ..] => 2,
        [b'=', b'\r', b'\n', ..] => 3,
        _ => return None,
    };
    let line = bytes.get(at.checked_sub(NEARLY_FULL)?..at)?;
    memchr::memchr(b'\n', line).is_none().then_some(len)
}

/// `=41` at the start, if it stands for a visible character of ASCII.
fn quoted_printable(bytes: &[u8]) -> Option<(char, usize)> {
    let byte = digit(*bytes.get(1)?)? << 4 | digit(*bytes.get(2)?)?;
    let is_upper = !bytes[1..3].iter().any(u8::is_ascii_lowercase);
    (is_upper && matches!(byte, b' '..=b'~')).then_some((char::from(byte), 3))
}

/// An HTML entity at the start: the character, and how many bytes it takes.
fn entity(text: &str) -> Option<(char, usize)> {
    let body = text.get(1..text.len().min(12)).or_else(|| text.get(1..))?;
    if let Some(number) = body.strip_prefix('#') {
        let (digits, radix, head) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16, 3),
            None => (number, 10, 2),
        };
        let len = digits.bytes().take_while(|b| char::from(*b).is_digit(radix)).count();
        let c = char::from_u32(u32::from_str_radix(&digits[..len], radix).ok()?)?;
        let end = head + len;
        return Some((c, end + usize::from(text.as_bytes().get(end) == Some(&b';'))));
    }
    NAMED.iter().find_map(|(name, c)| body.starts_with(name).then_some((*c, name.len() + 1)))
}

/// The named entities that hide a character with a meaning to a shell, a path or a URL.
const NAMED: &[(&str, char)] = &[
    ("lt;", '<'),
    ("gt;", '>'),
    ("amp;", '&'),
    ("quot;", '"'),
    ("apos;", '\''),
    ("nbsp;", ' '),
    ("Tab;", '\t'),
    ("NewLine;", '\n'),
    ("colon;", ':'),
    ("semi;", ';'),
    ("sol;", '/'),
    ("bsol;", '\\'),
    ("period;", '.'),
    ("lpar;", '('),
    ("rpar;", ')'),
    ("lbrace;", '{'),
    ("lcub;", '{'),
    ("rbrace;", '}'),
    ("rcub;", '}'),
    ("vert;", '|'),
    ("verbar;", '|'),
    ("dollar;", '$'),
    ("grave;", '`'),
    ("equals;", '='),
    ("percnt;", '%'),
    ("num;", '#'),
    ("commat;", '@'),
];

#[cfg(test)]
mod tests;
