//! Text that shows code or names an address instead of using it: Markdown, listings, prose.
//!
//! Only a find that reads the same in the text as received is exempt; what an escape or a decoder has to produce
//! first is never shown for reading.

use super::Hit;

/// How far around a find its line is looked at, in bytes.
const LINE: usize = 400;
/// How far back the start of a fenced block is looked for, in bytes.
const FENCE: usize = 16 * 1024;
/// Words of a line that make it prose.
const PROSE: usize = 5;

/// Not code that a Markdown text or a listing shows.
pub(super) fn is_not_shown(hit: &Hit<'_>) -> bool {
    !hit.is_plain || !(is_in_span(hit) || is_in_fence(hit) || is_in_listing(hit))
}

/// As [`is_not_shown`], and no module that is a member of something else: `self.commands.run(x)` starts no process.
pub(super) fn is_own_code(hit: &Hit<'_>) -> bool {
    let name = hit.value().split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_member = hit.before() == b'.' && name.eq_ignore_ascii_case(b"commands");
    !is_member && is_not_shown(hit)
}

/// No command that a text only shows: as code, between backticks by itself, or as the last text of a call, as the
/// tests of a program have it.
pub(super) fn is_used_command(hit: &Hit<'_>) -> bool {
    let (before, after) = line(hit);
    let is_between = |sign: u8| before.ends_with(&[sign]) && after.contains(&sign);
    let last = hit.value().last().copied().unwrap_or(b' ');
    let is_span = is_between(b'`') || before.ends_with(b"`") && last == b'`';
    let is_argument = matches!(last, b'"' | b'\'') && after.starts_with(b")")
        || [b"\")".as_slice(), b"')"].iter().any(|end| after.starts_with(end));
    is_not_shown(hit) && !(hit.is_plain && (is_span || is_argument))
}

/// No path that a sentence mentions: at most two levels up to an ordinary name, in prose or in Markdown.
pub(super) fn is_used_parent(hit: &Hit<'_>) -> bool {
    if !hit.is_plain {
        return true;
    }
    is_not_shown(hit) && !(is_in_prose(hit) && is_near_parent(hit))
}

/// No address of a development server that a sentence mentions: a port above the reserved ones, in prose.
pub(super) fn is_used_host(hit: &Hit<'_>) -> bool {
    if !hit.is_plain {
        return true;
    }
    let after = hit.text[hit.end..].split(|byte| !byte.is_ascii_digit()).next();
    let digits = if hit.value().ends_with(b":") { after.unwrap_or_default() } else { b"" };
    let is_open_port = (4..=5).contains(&digits.len()) && digits >= b"1024".as_slice();
    let is_name =
        !hit.value().contains(&b'@') && memchr::memmem::find(hit.value(), b"169.254").is_none();
    is_not_shown(hit) && !(is_open_port && is_name && words_around(hit) >= 2)
}

fn is_near_parent(hit: &Hit<'_>) -> bool {
    const SYSTEM: [&[u8]; 8] =
        [b"etc", b"windows", b"winnt", b"proc", b"var", b"root", b"boot.ini", b"usr"];
    let is_path = |byte: &u8| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'`' | b'"' | b'\'' | b'(' | b')' | b',')
    };
    let from = hit.end.saturating_sub(LINE);
    let start = hit.text[from..hit.end].iter().rposition(|byte| !is_path(byte));
    let start = start.map_or(from, |at| from + at + 1);
    let path = hit.text[start..].split(|byte| !is_path(byte)).next().unwrap_or_default();
    let path = path.strip_prefix(b"@").unwrap_or(path);
    let mut parts = path.split(|byte| *byte == b'/');
    let up = parts.by_ref().take_while(|part| *part == b"..").count();
    let rest = &path[(3 * up).min(path.len())..];
    let is_name = |part: &[u8]| {
        part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    let names: Vec<_> = rest.split(|byte| *byte == b'/').collect();
    let first = names.first().copied().unwrap_or_default().to_ascii_lowercase();
    (1..=2).contains(&up)
        && !first.is_empty()
        && !first.starts_with(b".")
        && !SYSTEM.contains(&first.as_slice())
        && names.iter().all(|part| is_name(part) && *part != b"..")
}

/// The line around a find, and where the find is in it.
fn line<'t>(hit: &Hit<'t>) -> (&'t [u8], &'t [u8]) {
    let before = &hit.text[hit.start.saturating_sub(LINE)..hit.start];
    let before = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let after = &hit.text[hit.end..(hit.end + LINE).min(hit.text.len())];
    (before, after.split(|byte| *byte == b'\n').next().unwrap_or_default())
}

fn words_around(hit: &Hit<'_>) -> usize {
    let (before, after) = line(hit);
    let is_word = |word: &&[u8]| {
        word.len() >= 2
            && word.iter().filter(|byte| byte.is_ascii_alphabetic()).count() * 4 >= word.len() * 3
    };
    let count = |text: &[u8]| text.split(u8::is_ascii_whitespace).filter(is_word).count();
    count(before) + count(after)
}

fn is_in_prose(hit: &Hit<'_>) -> bool {
    words_around(hit) >= PROSE
}

/// Between two backticks of one line.
fn is_in_span(hit: &Hit<'_>) -> bool {
    let (before, after) = line(hit);
    let ticks = before.iter().filter(|byte| **byte == b'`').count();
    // The backtick opens at the start of a word, which that of a shell's substitution need not.
    let opens = before.iter().rposition(|byte| *byte == b'`').is_some_and(|at| {
        at.checked_sub(1).is_none_or(|at| {
            !before[at].is_ascii_alphanumeric() && !matches!(before[at], b';' | b'|' | b'&' | b'=')
        })
    });
    ticks % 2 == 1 && opens && after.contains(&b'`') && words_around(hit) >= 3
}

/// As [`is_not_shown`], and not quoted in a sentence: `run "cd x; make" on the server`. What leaves its quotes or
/// begins with a sign is no quotation.
pub(super) fn is_not_quoted(hit: &Hit<'_>) -> bool {
    let (before, after) = line(hit);
    let quotes = before.iter().filter(|byte| **byte == b'"').count();
    let inside = before.rsplit(|byte| *byte == b'"').next().unwrap_or_default();
    let is_quoted = quotes % 2 == 1
        && inside.first().is_some_and(u8::is_ascii_alphanumeric)
        && after.contains(&b'"')
        && is_in_prose(hit);
    is_not_shown(hit) && !(hit.is_plain && is_quoted)
}

/// After an opening and before a closing fence. Counted with a vectorized search: a text may be made of finds, and
/// each of them is looked at.
fn is_in_fence(hit: &Hit<'_>) -> bool {
    let before = &hit.text[hit.start.saturating_sub(FENCE)..hit.start];
    let mut fences = memchr::memmem::find_iter(before, b"```").map(|at| (at, before));
    let is_at_line_start =
        |(at, text): &(usize, &[u8])| *at == 0 || text[at - 1].is_ascii_whitespace();
    fences.by_ref().filter(is_at_line_start).count() % 2 == 1
}

/// Behind the number of a line, as compilers, linters and `grep -n` print it.
fn is_in_listing(hit: &Hit<'_>) -> bool {
    let (before, _) = line(hit);
    let rest = before.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = rest[digits..].trim_ascii_start();
    digits > 0 && (sign.starts_with(b"|") || sign.starts_with("│".as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit<'t>(text: &'t str, found: &str) -> Hit<'t> {
        let start = text.find(found).unwrap();
        Hit { text: text.as_bytes(), start, end: start + found.len(), is_plain: true }
    }

    #[test]
    fn code_in_markdown_and_listings_is_shown() {
        for text in [
            "Why does `import subprocess` fail in this module?",
            "Look at this:\n```python\nimport subprocess\n```\n",
            "lint.sh\n  7│import subprocess\n",
        ] {
            assert!(!is_not_shown(&hit(text, "import subprocess")), "{text}");
        }
        for text in ["import subprocess", "x;`import subprocess`", "first\nimport subprocess\n"] {
            assert!(is_not_shown(&hit(text, "import subprocess")), "{text}");
        }
        let disguised = "Why does `import subprocess` fail in this module?";
        assert!(is_not_shown(&Hit { is_plain: false, ..hit(disguised, "import subprocess") }));
    }

    #[test]
    fn a_command_that_is_shown_is_not_used() {
        for text in ["- `rm -rf /`: Blocked", "assert clean(\"x; rm -rf /\") == x"] {
            assert!(!is_used_command(&hit(text, "rm -rf /")), "{text}");
        }
        for text in ["rm -rf /", "please run rm -rf / now", "{\"say\": \"rm -rf /\"}"] {
            assert!(is_used_command(&hit(text, "rm -rf /")), "{text}");
        }
    }

    #[test]
    fn a_path_or_host_in_a_sentence_is_mentioned() {
        for text in [
            "the pattern for the changelog is right there in the ../intent repository",
            "please update the @../README.md for the new provider",
        ] {
            assert!(!is_used_parent(&hit(text, "../")), "{text}");
        }
        for text in [
            "../intent",
            "read the file with all the names in ../../../x",
            "read the file with all the names in ../../etc/passwd",
            "open ../secret",
        ] {
            assert!(is_used_parent(&hit(text, "../")), "{text}");
        }
        assert!(!is_used_host(&hit("the API is at http://api:8000 now", "http://api:")));
        for text in ["http://api:8000", "the API is at http://api:80 now"] {
            assert!(is_used_host(&hit(text, "http://api:")), "{text}");
        }
    }
}
