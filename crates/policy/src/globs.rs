//! Globs over paths relative to the workspace, compiled so that a deny never misses by accident.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Longest glob, in characters.
pub const MAX_GLOB_CHARS: usize = 256;

/// Why a text is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    /// More than [`MAX_GLOB_CHARS`].
    #[error("must be at most {MAX_GLOB_CHARS} characters long, this has {0}")]
    TooLong(usize),
    /// It could never match a path of the workspace.
    #[error("must be relative to the workspace: no `/` in front, no `..`, no empty text")]
    NotRelative,
    /// Not a glob.
    #[error("is not a glob: {0}")]
    Unreadable(String),
}

/// The globs that one text stands for. `*` stays within a folder, `**` does not, and case does not
/// count, since a file system may fold it. As in a `.gitignore`, a text without `/` holds at any
/// depth, and one for all that is in a folder (`x/**`) holds for the folder itself.
pub fn compile(text: &str) -> Result<Vec<Glob>, BadGlob> {
    let chars = text.chars().count();
    if chars > MAX_GLOB_CHARS {
        return Err(BadGlob::TooLong(chars));
    }
    if text.is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(BadGlob::NotRelative);
    }
    let text = text.strip_prefix("./").unwrap_or(text);
    let anywhere = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
    let folder = anywhere.strip_suffix("/**").or(anywhere.strip_suffix('/'));
    let inside = anywhere.ends_with('/').then(|| format!("{anywhere}**"));
    let texts = [inside.as_deref().unwrap_or(&anywhere)].into_iter().chain(folder);
    texts.map(build).collect()
}

fn build(text: &str) -> Result<Glob, BadGlob> {
    let mut builder = GlobBuilder::new(text);
    builder.case_insensitive(true).literal_separator(true).backslash_escape(true);
    builder.build().map_err(|error| BadGlob::Unreadable(error.kind().to_string()))
}

/// Several globs as one set that answers whether any of them matches.
pub fn set(globs: impl IntoIterator<Item = Glob>) -> Result<GlobSet, BadGlob> {
    let mut builder = GlobSetBuilder::new();
    globs.into_iter().for_each(|glob| {
        builder.add(glob);
    });
    builder.build().map_err(|error| BadGlob::Unreadable(error.kind().to_string()))
}

/// The compiled `deny_globs`; see [`compile`] for how they match.
#[derive(Debug, Clone, Default)]
pub struct DenyGlobs {
    set: GlobSet,
    /// For each glob of the set, the text that it came from.
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
        let first = self.set.matches(relative_path).into_iter().min()?;
        self.texts.get(first).map(String::as_str)
    }
}
