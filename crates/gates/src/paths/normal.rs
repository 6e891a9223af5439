//! The one form that a target path is judged in, and why a text has none.

use life_agent_domain::governance::invisible::invisible;

use crate::risk::decode::decoded;

/// Longest path, in bytes; what Linux takes.
const MAX_BYTES: usize = 4096;

/// Why a text is not a path below the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing, or only `.`.
    #[error("names no file")]
    Empty,
    /// More than 4,096 bytes.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Starts at a root, a drive, a share or a home directory.
    #[error("is not relative to the workspace")]
    Absolute,
    /// Has a `..`, even one that would stay inside: no honest caller needs it.
    #[error("has a `..`")]
    ParentDir,
    /// Has a backslash, which some systems take for a separator.
    #[error("has a `\\`; write `/`")]
    Backslash,
    /// Has a control or an invisible character.
    #[error("has a control or invisible character")]
    Control,
    /// Two separators in a row, or one at the end.
    #[error("has an empty part; write single `/` and none at the end")]
    EmptyPart,
    /// A part ends in a dot or a blank, which some systems drop.
    #[error("has a part that ends in a dot or a blank")]
    TrailingDot,
    /// Has a `:`, which Windows takes for a drive or for a stream of a file.
    #[error("has a `:`")]
    Colon,
    /// An escape in it stands for a separator, a dot or something else that means a path.
    #[error("hides a path in an escape; write it plainly")]
    Encoded,
}

/// The path relative to the workspace, with single `/` between its parts and no `.` among them.
///
/// Pure: symlinks are not its business, nor whether there is such a file. Whatever a system behind
/// might read as another path is refused rather than repaired: absolute paths, drive letters, shares,
/// `~`, every `..`, backslashes, controls, empty parts, trailing dots and blanks, and escapes
/// (percent, `%u`, overlong UTF-8, HTML entities, full-width and look-alike characters, nested) that
/// decode to any of these.
pub fn normalize(raw: &str) -> Result<String, PathFault> {
    let path = plain(raw)?;
    if let Some(view) = decoded(raw) {
        // Judged again the way a careless decoder would see it.
        plain(view.text()).map_err(|_| PathFault::Encoded)?;
        if count_signs(view.text()) != count_signs(raw) {
            return Err(PathFault::Encoded);
        }
    }
    Ok(path)
}

fn plain(raw: &str) -> Result<String, PathFault> {
    if raw.len() > MAX_BYTES {
        return Err(PathFault::TooLong);
    }
    if raw
        .chars()
        .any(|c| c.is_control() || invisible(c).is_some() && c != '\u{200d}' && c != '\u{fe0f}')
    {
        return Err(PathFault::Control);
    }
    if raw.starts_with(['/', '~']) || raw.starts_with("\\\\") || has_drive(raw) {
        return Err(PathFault::Absolute);
    }
    if raw.contains('\\') {
        return Err(PathFault::Backslash);
    }
    let parts: Vec<&str> = raw.split('/').filter(|part| *part != ".").collect();
    match parts.as_slice() {
        [] | [""] => return Err(PathFault::Empty),
        parts if parts.contains(&"..") => return Err(PathFault::ParentDir),
        parts if parts.iter().any(|part| part.is_empty()) => return Err(PathFault::EmptyPart),
        parts if parts.iter().any(|part| part.ends_with(['.', ' '])) => {
            return Err(PathFault::TrailingDot);
        }
        // Behind a directory too: `allowed/c:/x` is `c:/x` to a system that joins by its own rules.
        parts if parts.iter().any(|part| has_drive(part)) => return Err(PathFault::Absolute),
        parts if parts.iter().any(|part| is_home(part)) => return Err(PathFault::Absolute),
        // Without its `./`, `./~ann` is the folder of a user.
        [first, ..] if first.starts_with('~') => return Err(PathFault::Absolute),
        // `.env::$DATA` is `.env` on NTFS, and matches no glob that names it.
        parts if parts.iter().any(|part| part.contains(':')) => return Err(PathFault::Colon),
        _ => {}
    }
    Ok(parts.join("/"))
}

fn has_drive(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

fn is_home(part: &str) -> bool {
    part == "~" || part.starts_with("~+") || part.starts_with("~-")
}

/// How many characters there are that a path is made with.
fn count_signs(text: &str) -> usize {
    text.bytes().filter(|byte| matches!(byte, b'.' | b'/' | b'\\' | b':' | b'~' | 0)).count()
}

#[cfg(test)]
mod tests;
