//! Follows the journal: every row once and in order, from any position.

use std::sync::Arc;
use std::time::Duration;

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

/// A position in the journal that moves forward. It holds no rows: however far it falls behind, it costs
/// only the reads.
pub struct Follower {
    journal: Journal,
    filter: Filter,
    position: u64,
    published: watch::Receiver<Published>,
    not_before: Option<Instant>,
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
        Self { journal, filter, position, published, not_before: None }
    }

    /// Every row up to this one was returned or excluded by the filter.
    pub fn position(&self) -> u64 {
        self.position
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
        let page = self.journal.page(self.position, limit, self.filter.clone()).await?;
        self.position = page.scanned_to.max(self.position);
        Ok(page.rows.into_iter().map(JournalRow::new).collect())
    }
}
