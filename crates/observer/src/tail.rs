//! Follows the journal: every row once and in order, from wherever one left off.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::JournalError;
use crate::filter::Filter;
use crate::journal::Journal;
use crate::shared::Published;
use crate::work::Recorded;

/// A follower that has just got rows waits this long for more to gather: under load, a thousand
/// followers are then woken twenty times a second, not at every commit. A row that comes after a
/// pause is there at once.
const GATHER: Duration = Duration::from_millis(50);

/// Rows that a follower reads from the disk at a time when it has fallen behind.
const PAGE_ROWS: usize = 256;

/// A place in the journal that moves forward. Holds no rows: however far it falls behind, it costs
/// nothing but the reading.
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
        // From beyond the end (the file was replaced by an older one), the next row is the next row.
        let position = after.unwrap_or(head).min(head);
        Self { journal, filter, position, published, not_before: None }
    }

    /// Everything up to this row has been returned or filtered out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Waits until there are rows, and returns up to `max` of them (at least one). Can be dropped
    /// while it waits: nothing is lost. After an error, the next call tries the same rows again; after
    /// [`JournalError::Closed`] nothing will come.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Arc<Recorded>>, JournalError> {
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
                let rows = self.take(max).await?;
                if !rows.is_empty() {
                    // A full batch means that there is more: no reason to wait.
                    let full = rows.len() == max;
                    self.not_before = (!full).then(|| Instant::now() + GATHER);
                    return Ok(rows);
                }
            } else if closed || self.published.changed().await.is_err() {
                return Err(JournalError::Closed);
            }
        }
    }

    /// The next rows, from memory if it reaches back that far. Moves on also past rows that the
    /// filter leaves out.
    async fn take(&mut self, max: usize) -> Result<Vec<Arc<Recorded>>, JournalError> {
        if let Some((rows, position)) = self.journal.recent(self.position, max, &self.filter) {
            self.position = position;
            return Ok(rows);
        }
        let (position, filter) = (self.position, self.filter.clone());
        let limit = max.min(PAGE_ROWS);
        let page = self.journal.read(move |reader| reader.page(position, limit, &filter)).await?;
        self.position = page.seen.max(position);
        Ok(page.rows.into_iter().map(Recorded::new).collect())
    }
}
