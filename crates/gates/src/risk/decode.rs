//! What a web server, a browser or a file system would read: percent escapes, `%u`, overlong UTF-8,
//! HTML entities, compatibility characters and invisible ones, over and over until nothing changes.

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
        _ => entity(&text[at..]).is_some(),
    };
    let is_run = |chunk: &[u8]| chunk.iter().all(|byte| *byte == chunk[0]);
    memchr::memchr2_iter(b'%', b'&', bytes).any(escapes)
        || !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && is_rewritten(c))
        || bytes.len() > MAX_RUN && bytes.chunks_exact(MAX_RUN / 2).any(is_run)
}

fn round(view: &View<'_>) -> Option<View<'static>> {
    let text = view.text();
    let bytes = text.as_bytes();
    let mut rewrite = Rewrite::of(view);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = match byte {
            b'%' => percent(&bytes[at..]),
            b'&' => entity(&text[at..]),
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
    if is_invisible(c) {
        return;
    }
    if let Some(separator) = look_alike(c) {
        return out(separator);
    }
    for form in std::iter::once(c).nfkc() {
        out(look_alike(form).unwrap_or(form));
    }
}

/// Zero-width and bidirectional controls, variation selectors, tags: shown as nothing.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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
