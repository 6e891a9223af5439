//! Paths in a plan: the one form they may have, and how git writes them in a patch.

use unicode_normalization::UnicodeNormalization;

use crate::fault::Code;

/// Longest path, in bytes; what is longer cannot be checked out everywhere.
const MAX_PATH: usize = 1024;
/// Longest component, in bytes; the limit of common file systems.
const MAX_COMPONENT: usize = 255;

/// Whether a path is one below the workspace in its plain form. The path gate asks more; this holds
/// whatever the policy says.
pub(crate) fn check(path: &str) -> Result<(), (Code, &'static str)> {
    let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    if path.starts_with(['/', '\\']) || path == "~" || path.starts_with("~/") || drive {
        return Err((Code::PathAbsolute, "name the file relative to the workspace"));
    }
    if path.split(['/', '\\']).any(|component| component == "..") {
        return Err((Code::PathEscapes, "name the file without `..`"));
    }
    if path.split('/').any(is_git_directory) {
        return Err((Code::GitDirectory, "a plan cannot touch what git keeps for itself"));
    }
    if path.contains('\\') || path.chars().any(|c| c.is_control() && c != '\t') {
        return Err((Code::PathMalformed, "use `/` between components and no control characters"));
    }
    if path.split('/').any(|component| component.is_empty() || component == ".") {
        return Err((
            Code::PathMalformed,
            "name the file without empty components and without `.`",
        ));
    }
    if path.len() > MAX_PATH || path.split('/').any(|component| component.len() > MAX_COMPONENT) {
        return Err((Code::PathMalformed, "the path or one of its components is too long"));
    }
    Ok(())
}

/// `.git` in any of the spellings that some file system takes for it: other case, HFS+ ignorable
/// characters, NTFS short name, trailing dots and spaces, streams. The list is git's own
/// (`verify_path` with `core.protectHFS` and `core.protectNTFS`).
fn is_git_directory(component: &str) -> bool {
    let ignorable = |c: &char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let seen: String = component.chars().filter(|c| !ignorable(c)).collect();
    let name = seen.split([':', '\\']).next().unwrap_or_default().trim_end_matches([' ', '.']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

/// What a file system that ignores case and composition would compare.
pub(crate) fn folded(path: &str) -> String {
    path.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Every directory above a path, from the top, then the path itself.
pub(crate) fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

/// A name as git writes it: in quotes, with C escapes, if it holds anything but plain ASCII
/// (`quote.c`, with `core.quotePath` at its default).
pub(crate) fn quote(name: &str) -> String {
    let plain = |b: u8| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if name.bytes().all(plain) {
        return name.to_owned();
    }
    let mut quoted = String::from("\"");
    for byte in name.bytes() {
        match byte {
            b'\t' => quoted.push_str("\\t"),
            b'"' => quoted.push_str("\\\""),
            b'\\' => quoted.push_str("\\\\"),
            _ if plain(byte) => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\{byte:03o}")),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads a name in quotes from the start of a text; the name and what follows the closing quote.
/// `None` if it is not well formed or not UTF-8.
pub(crate) fn unquote(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?.as_bytes();
    let mut name = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => {
                let (&escape, after) = rest.split_first()?;
                rest = after;
                name.push(match escape {
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_at_checked(2)?;
                        rest = after;
                        digits.iter().try_fold(escape - b'0', |value, digit| match digit {
                            b'0'..=b'7' => Some(value * 8 + (digit - b'0')),
                            _ => None,
                        })?
                    }
                    _ => return None,
                });
            }
            other => name.push(other),
        }
    }
    let rest = &text[text.len() - rest.len()..];
    Some((String::from_utf8(name).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_outside_of_git_pass() {
        for good in
            ["a", "a/b.rs", ".github/x", "a b/ü.txt", "a\tb", "...", ".gitignore", "~a", "[x]"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = "x/".repeat(600) + "x";
        for (bad, code) in [
            ("/etc/passwd", Code::PathAbsolute),
            ("C:/x", Code::PathAbsolute),
            ("\\\\host\\x", Code::PathAbsolute),
            ("~/x", Code::PathAbsolute),
            ("..", Code::PathEscapes),
            ("a/../../b", Code::PathEscapes),
            ("a\\..\\b", Code::PathEscapes),
            (".git", Code::GitDirectory),
            (".git/hooks/pre-commit", Code::GitDirectory),
            ("a/.GIT/config", Code::GitDirectory),
            (".git./config", Code::GitDirectory),
            (".g\u{200c}it/config", Code::GitDirectory),
            ("GIT~1/config", Code::GitDirectory),
            (".git::$INDEX_ALLOCATION/x", Code::GitDirectory),
            ("", Code::PathMalformed),
            ("a//b", Code::PathMalformed),
            ("./a", Code::PathMalformed),
            ("a/", Code::PathMalformed),
            ("a\0b", Code::PathMalformed),
            ("a\nb", Code::PathMalformed),
            ("a\\b", Code::PathMalformed),
            (&long, Code::PathMalformed),
        ] {
            assert_eq!(check(bad).map_err(|(code, _)| code), Err(code), "{bad:?}");
        }
    }

    #[test]
    fn names_are_quoted_as_git_does() {
        assert_eq!(quote("a/b c.txt"), "a/b c.txt");
        assert_eq!(quote("a/ä\t\"\\"), r#""a/\303\244\t\"\\""#);
        assert_eq!(unquote(r#""a/\303\244\t\"\\" rest"#), Some(("a/ä\t\"\\".to_owned(), " rest")));
        for bad in ["a", "\"a", r#""\8""#, r#""\30""#, r#""\377""#, r#""\x""#, "\"\\"] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_that_a_file_system_may_take_for_one_fold_together() {
        assert_eq!(folded("README.md"), folded("readme.MD"));
        assert_eq!(folded("\u{c4}"), folded("a\u{308}"));
        assert_ne!(folded("a"), folded("b"));
    }
}
