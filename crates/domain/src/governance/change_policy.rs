//! What a change plan has to ask before it may touch a file or add a text.

use crate::governance::gate::Refusal;

/// Judges the parts of a change that the chain cannot see: its files and the text that it adds.
///
/// A trait because the judges live above this crate (in `gates`), while the plans that ask them must
/// not know the gates. One value answers for one policy.
pub trait ChangePolicy: Send + Sync {
    /// Whether a change may touch this file: a path relative to the workspace, `/` between its
    /// components, with no symlink on the way to it.
    fn path(&self, relative: &str) -> Result<(), Refusal>;

    /// Whether a file may move between these two paths, each of which [`ChangePolicy::path`] admits:
    /// refused unless one allowed directory holds both.
    fn rename(&self, from: &str, to: &str) -> Result<(), Refusal>;

    /// Every credential in a text that a change would add.
    fn added_text(&self, text: &str) -> Vec<Leak>;
}

/// A credential in a text. Says where and what kind, never the credential itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The id of the pattern that found it.
    pub rule: String,
    /// Where it starts, in bytes.
    pub start: usize,
}
