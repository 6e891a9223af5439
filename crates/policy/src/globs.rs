//! Globs over paths relative to the workspace, compiled so that a deny glob matches every spelling of a path.

use std::borrow::Cow;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use unicode_normalization::UnicodeNormalization;

/// Longest glob, in characters.
pub const MAX_GLOB_CHARS: usize = 256;

/// The reason for rejecting a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadGlob {
    /// More than [`MAX_GLOB_CHARS`].
    #[error("must be at most {MAX_GLOB_CHARS} characters long, this has {0}")]
    TooLong(usize),
    /// The glob could never match a path of the workspace.
    #[error("must be relative to the workspace: no `/` in front, no `..`, no empty text")]
    NotRelative,
    /// A construct of another syntax, which would match nothing.
    #[error("{0}")]
    Misleading(&'static str),
    /// Not a glob.
    #[error("is not a glob: {0}")]
    Unreadable(String),
}

/// The globs of one text.
///
/// `*` matches within a folder, `**` across folders. Case and Unicode form are ignored, because a file system
/// may fold both. As in a `.gitignore`, a text without `/` (other than at its end) matches at any depth, and a
/// text that matches a folder covers everything in it. A text for everything in a folder (`x/**`) also covers
/// the folder itself.
pub fn compile(text: &str) -> Result<Vec<Glob>, BadGlob> {
    let chars = text.chars().count();
    if chars > MAX_GLOB_CHARS {
        return Err(BadGlob::TooLong(chars));
    }
    if text.is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(BadGlob::NotRelative);
    }
    if let Some(why) = misleading(text) {
        return Err(BadGlob::Misleading(why));
    }
    let text = canonical(text);
    let (text, at_root) = match text.strip_prefix("./") {
        Some(text) => (text, true),
        None => (text.as_ref(), false),
    };
    let name = text.strip_suffix("/**").unwrap_or(text).trim_end_matches('/');
    if name.is_empty() {
        return Err(BadGlob::NotRelative);
    }
    let rooted = at_root || text.trim_end_matches('/').contains('/');
    let name = if rooted { name.to_owned() } else { format!("**/{name}") };
    [build(&name), build(&format!("{name}/**"))].into_iter().collect()
}

/// Constructs of `.gitignore` files, regular expressions or Windows that a glob does not have.
fn misleading(text: &str) -> Option<&'static str> {
    let odd_escape = || {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '\\' && !chars.next().is_some_and(|next| "*?[]{}!#,-\\ ".contains(next)) {
                return true;
            }
        }
        false
    };
    match text {
        _ if text.trim() != text => Some("must not begin or end with a space"),
        _ if text.starts_with('!') => {
            Some("cannot be negated; write `\\!` for a name that begins with `!`")
        }
        _ if text.starts_with('#') => {
            Some("is no comment; write `\\#` for a name that begins with `#`")
        }
        _ if text.starts_with("regex:") => Some("must be a glob, not a regular expression"),
        _ if text.contains("//") => Some("must not have an empty folder name (`//`)"),
        _ if odd_escape() => {
            Some("has `\\` before an ordinary character; write `/` between folders")
        }
        _ => None,
    }
}

/// The form in which globs and paths are compared: NFC, with lower case beyond ASCII, because the matcher ignores
/// the case of ASCII letters only.
pub fn canonical(path: &str) -> Cow<'_, str> {
    if path.is_ascii() {
        return Cow::Borrowed(path);
    }
    Cow::Owned(path.nfc().flat_map(char::to_lowercase).nfc().collect())
}

fn build(text: &str) -> Result<Glob, BadGlob> {
    let mut builder = GlobBuilder::new(text);
    builder.case_insensitive(true).literal_separator(true).backslash_escape(true);
    builder.build().map_err(|error| BadGlob::Unreadable(error.kind().to_string()))
}

/// Several globs as one set.
pub fn set(globs: impl IntoIterator<Item = Glob>) -> Result<GlobSet, BadGlob> {
    let mut builder = GlobSetBuilder::new();
    globs.into_iter().for_each(|glob| {
        builder.add(glob);
    });
    builder.build().map_err(|error| BadGlob::Unreadable(error.kind().to_string()))
}

/// The compiled `deny_globs`; see [`compile`] for the matching.
#[derive(Debug, Clone, Default)]
pub struct DenyGlobs {
    set: GlobSet,
    /// The text of each glob in the set.
    texts: Vec<String>,
}

impl DenyGlobs {
    /// Compiles the texts of a valid document.
    pub(crate) fn new(globs: Vec<(String, Vec<Glob>)>) -> Result<Self, BadGlob> {
        let flat = || globs.iter().flat_map(|(text, globs)| globs.iter().map(move |g| (text, g)));
        let texts = flat().map(|(text, _)| text.clone()).collect();
        Ok(Self { set: set(flat().map(|(_, glob)| glob.clone()))?, texts })
    }

    /// The text of the first glob that matches a path relative to the workspace.
    pub fn matching(&self, relative_path: &str) -> Option<&str> {
        let path = canonical(relative_path);
        let first = self.set.matches(path.as_ref()).into_iter().min()?;
        self.texts.get(first).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denies(glob: &str, path: &str) -> bool {
        let globs = vec![(glob.to_owned(), compile(glob).unwrap())];
        DenyGlobs::new(globs).unwrap().matching(path).is_some()
    }

    #[test]
    fn a_glob_for_a_folder_covers_everything_in_it() {
        for (glob, paths) in [
            ("secret", &["secret", "secret/k", "a/secret", "a/secret/b/k"][..]),
            ("**/secret", &["secret/k", "a/secret/b/k"]),
            ("allowed/secret", &["allowed/secret", "allowed/secret/k"]),
            (".github", &[".github/ci.yml", "x/.github/a/b"]),
            ("keys/", &["keys/a", "allowed/keys/a/b", "keys"]),
            ("allowed/keys/", &["allowed/keys/a"]),
            ("**/keys/", &["keys/a", "x/keys/a"]),
            ("x/**", &["x", "x/a/b"]),
            ("**/.ssh/**", &[".ssh", ".ssh/id", "home/.ssh/id"]),
            ("**/*.env", &["a.env", "d/a.env", "d/a.env/inside"]),
            ("*.pem", &["a.pem", "d/e/a.pem"]),
            ("**", &["a", "a/b"]),
        ] {
            for path in paths {
                assert!(denies(glob, path), "{glob} {path}");
            }
        }
    }

    #[test]
    fn a_glob_with_a_folder_holds_from_the_root_only() {
        for (glob, path) in [
            ("allowed/secret", "x/allowed/secret/k"),
            ("./README", "docs/README"),
            ("secret", "secrets/k"),
            ("secret", "a/my-secret"),
            ("x/**", "xy/a"),
            ("a/*", "a"),
        ] {
            assert!(!denies(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn letter_case_and_unicode_forms_do_not_count() {
        assert!(denies("**/*.PEM", "a.pem") && denies("geheim", "GEHEIM/x"));
        assert!(denies("schl\u{fc}ssel", "schlu\u{308}ssel/a"));
        assert!(denies("schlu\u{308}ssel/**", "SCHL\u{dc}SSEL/a"));
    }

    #[test]
    fn globs_that_would_match_nothing_are_faults() {
        for glob in
            ["!x", "#x", "a\\b", "x//y", " x", "x ", "regex:^a", "/etc", "../x", "a/../b", ""]
        {
            assert!(compile(glob).is_err(), "{glob}");
        }
        for glob in ["\\!x", "\\#x", "a\\*b", "a b", "./x", "x/"] {
            assert!(compile(glob).is_ok(), "{glob}");
        }
    }
}
