//! Rows as they become durable, for state in memory that follows them.

use std::sync::Arc;

use crate::committed::JournalRow;

/// The instance that appended a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This one.
    Own,
    /// Another one, or this one in a commit whose response was lost.
    Other,
}

/// Receives every row once and in order, before followers and callers see it. Runs on the writer's thread, so it must
/// not block: other instances may wait for the end of the journal.
pub trait RowObserver: Send {
    /// A durable row.
    fn observe(&mut self, row: &Arc<JournalRow>, origin: Origin);
}
