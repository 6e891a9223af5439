//! The readings of one text that are searched: as it came, decoded, and as a shell takes it.

use super::view::View;
use super::{decode, shell};

/// The readings of one text.
pub(super) struct Views<'t> {
    pub(super) original: View<'t>,
    decoded: Option<View<'static>>,
    unquoted: Option<View<'static>>,
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
        Self { original: View::original(text), decoded: decode::decoded(text), unquoted: None }
    }

    /// Whether this is the reading as a shell.
    pub(super) fn is_shell(&self, view: &View<'_>) -> bool {
        self.unquoted.as_ref().is_some_and(|shell| std::ptr::eq(shell, view))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &View<'_>> {
        let rewritten = [&self.decoded, &self.unquoted];
        std::iter::once(&self.original as &View<'_>)
            .chain(rewritten.into_iter().flatten().map(|view| view as &View<'_>))
    }
}
