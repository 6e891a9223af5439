//! Follows the journal: every row once and in order, from any position.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::committed::JournalRow;
use crate::error::JournalError;
use crate::filter::Filter;
use crate::journal::Journal;
use crate::published::Published;

/// A follower that has just received rows waits this long for more: under load, a thousand followers
/// wake twenty times a second instead of at every commit. A row after a pause is delivered immediately.
const GATHER: Duration = Duration::from_millis(50);

/// Rows that a follower reads from the store at a time when it has fallen behind.
const PAGE_ROWS: usize = 256;

/// Rows that a follower cannot return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// Why they are missing.
    pub reason: GapReason,
}

/// Why rows are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Retention has removed them.
    Pruned,
    /// The reader has seen them, and the journal was put back to an earlier state, or is another one, and ends
    /// before them.
    Restored,
    /// The reader has seen them in another journal.
    OtherJournal,
}

/// A position in the journal that moves forward. It holds no rows: however far it falls behind, it costs
/// only the reads.
pub struct Follower {
    journal: Journal,
    filter: Filter,
    position: u64,
    published: watch::Receiver<Published>,
    not_before: Option<Instant>,
    gap: Option<Gap>,
}

impl Follower {
    pub(crate) fn new(
        journal: Journal,
        mut published: watch::Receiver<Published>,
        after: Option<u64>,
        filter: Filter,
    ) -> Self {
        let head = published.borrow_and_update().head.id;
        // A position beyond the end means that the store was replaced by an older one: continue with the
        // next row.
        let position = after.unwrap_or(head).min(head);
        let gap = after.filter(|after| *after > head).map(|after| Gap {
            from: head + 1,
            to: after,
            reason: GapReason::Restored,
        });
        Self { journal, filter, position, published, not_before: None, gap }
    }

    /// Every row up to this one was returned or excluded by the filter.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The rows before the next ones that cannot be returned, once. Ask before the rows of a batch are used.
    pub fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    /// Skips rows before `first` that the store no longer holds.
    pub fn skip_removed(&mut self, first: u64) {
        if first > self.position + 1 {
            let from = self.gap.map_or(self.position + 1, |gap| gap.from.min(self.position + 1));
            self.gap = Some(Gap { from, to: first - 1, reason: GapReason::Pruned });
            self.position = first - 1;
        }
    }

    /// Waits for rows and returns up to `max` of them, at least one. Cancel safe: dropping the future
    /// loses no row.
    ///
    /// # Errors
    /// After [`JournalError::Closed`] no row follows. After any other error the next call reads the same
    /// rows again.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Arc<JournalRow>>, JournalError> {
        let max = max.max(1);
        loop {
            let (head, closed) = {
                let published = self.published.borrow_and_update();
                (published.head.id, published.closed)
            };
            if self.position < head {
                if let Some(not_before) = self.not_before.filter(|_| !closed) {
                    tokio::time::sleep_until(not_before).await;
                }
                let rows = self.read(max).await?;
                if !rows.is_empty() {
                    // After a full batch more rows are ready: do not wait.
                    let full = rows.len() == max;
                    self.not_before = (!full).then(|| Instant::now() + GATHER);
                    return Ok(rows);
                }
            } else if closed || self.published.changed().await.is_err() {
                return Err(JournalError::Closed);
            }
        }
    }

    /// The next rows, from memory if the ring reaches back that far. Advances past rows that the filter
    /// excludes.
    async fn read(&mut self, max: usize) -> Result<Vec<Arc<JournalRow>>, JournalError> {
        if let Some((rows, position)) = self.journal.recent(self.position, max, &self.filter) {
            self.position = position;
            return Ok(rows);
        }
        let limit = max.min(PAGE_ROWS);
        let (first, page) =
            self.journal.first_and_page(self.position, limit, self.filter.clone()).await?;
        self.skip_removed(first);
        self.position = page.scanned_to.max(self.position);
        Ok(page.rows.into_iter().map(JournalRow::new).collect())
    }
}
