//! The readings of one text that are searched: as received, decoded, as a shell reads it, and the texts that
//! are embedded in it.

use super::view::View;
use super::{decode, embedded, requoted, shell};

/// The readings of one text.
pub(super) struct Views<'t> {
    pub(super) original: View<'t>,
    decoded: Option<View<'static>>,
    unquoted: Option<View<'static>>,
    embedded: Option<View<'static>>,
    joined: Option<View<'static>>,
}

impl<'t> Views<'t> {
    /// All that differ from one another.
    pub(super) fn of(text: &'t str) -> Self {
        let plain = Self::plain(text);
        let unquoted = shell::unquoted(plain.decoded.as_ref().unwrap_or(&plain.original));
        Self { unquoted, ..plain }
    }

    /// Without the reading as a shell, which would take credentials apart.
    pub(super) fn plain(text: &'t str) -> Self {
        let decoded = decode::decoded(text);
        let (embedded, joined) = (embedded::embedded(text), requoted::joined(text));
        Self { original: View::original(text), decoded, unquoted: None, embedded, joined }
    }

    /// Whether this is the reading as a shell.
    pub(super) fn is_shell(&self, view: &View<'_>) -> bool {
        self.unquoted.as_ref().is_some_and(|shell| std::ptr::eq(shell, view))
    }

    /// Whether this is what was embedded.
    pub(super) fn is_embedded(&self, view: &View<'_>) -> bool {
        self.embedded.as_ref().is_some_and(|embedded| std::ptr::eq(embedded, view))
    }

    /// Whether this has the words that quotes cut, which are searched for credentials only.
    pub(super) fn is_joined(&self, view: &View<'_>) -> bool {
        self.joined.as_ref().is_some_and(|joined| std::ptr::eq(joined, view))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &View<'_>> {
        let rewritten = [&self.decoded, &self.unquoted, &self.embedded, &self.joined];
        std::iter::once(&self.original as &View<'_>)
            .chain(rewritten.into_iter().flatten().map(|view| view as &View<'_>))
    }
}
