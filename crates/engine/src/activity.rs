//! Requests per minute over the last day, for operators. A follower of the journal counts them, so requests pay
//! nothing, and the counts survive a restart: the start reads the last day again.

mod report;
mod row;
mod window;

use std::sync::Arc;
use std::time::Duration;

use life_agent_observer::{Filter, Journal, JournalError};
use parking_lot::Mutex;

pub use report::{
    ActivityReport, DenialCount, MinuteCounts, OutcomeAverages, OutcomeCounts, RuleCount,
    SlowRequest,
};
use row::Counted;
use window::{MINUTES, Window, minute_of};

/// Rows that a start reads at most. The time that they cover is stated in the report.
const MAX_ROWS: u64 = 1_000_000;
/// Rows counted at a time.
const BATCH: usize = 256;
/// The wait after a failed read.
const RETRY: Duration = Duration::from_secs(1);

/// Counts requests per minute.
#[derive(Clone)]
pub(crate) struct Activity {
    journal: Journal,
    window: Arc<Mutex<Window>>,
}

/// Where counting starts.
struct Start {
    /// Rows after this one are counted.
    after: u64,
    /// The first minute whose rows are all counted.
    since: i64,
}

impl Activity {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, window: Arc::default() }
    }

    /// Counts until the journal closes.
    pub(crate) async fn follow(&self) {
        let start = loop {
            match self.start().await {
                Ok(start) => break start,
                Err(JournalError::Closed) => return,
                Err(error) => tracing::warn!(%error, "the activity of the last day cannot be read"),
            }
            tokio::time::sleep(RETRY).await;
        };
        self.window.lock().begin(start.since);
        let head = self.journal.head().id;
        let mut follower = self.journal.follow(Some(start.after), Filter::default());
        if start.after >= head {
            self.window.lock().complete();
        }
        loop {
            match follower.next_batch(BATCH).await {
                Ok(rows) => {
                    let counted: Vec<_> = rows.iter().filter_map(|row| Counted::of(row)).collect();
                    let mut window = self.window.lock();
                    counted.into_iter().for_each(|row| window.add(row));
                    if follower.position() >= head {
                        window.complete();
                    }
                }
                Err(JournalError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "activity is counted late");
                    tokio::time::sleep(RETRY).await;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// The last `minutes`, up to the current one.
    pub(crate) fn report(&self, minutes: usize) -> ActivityReport {
        self.window.lock().report(minutes, self.now())
    }

    /// The current minute since 1970. Row times come from the same clock.
    fn now(&self) -> i64 {
        self.journal.now().as_second().div_euclid(60)
    }

    /// The first row of the last day, by bisection: row times grow with row numbers.
    async fn start(&self) -> Result<Start, JournalError> {
        let since = self.now() - MINUTES + 1;
        let head = self.journal.head().id;
        let pruned = self.journal.pruned().await?.map(|pruned| pruned.id);
        let first = pruned.map_or(1, |pruned| pruned + 1);
        let (mut low, mut high) = (first, head + 1);
        while low < high {
            let middle = low.midpoint(high);
            let row = self.journal.row(middle).await?;
            match row.and_then(|row| minute_of(&row.ts)).is_some_and(|minute| minute >= since) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        let from = low.max(head.saturating_sub(MAX_ROWS));
        let after = from.saturating_sub(1);
        let oldest = match from > low || from == first {
            true => self.journal.row(from).await?.and_then(|row| minute_of(&row.ts)),
            false => None,
        };
        // The minute of the first row may lack rows that are gone or too many to read. Before the first row of all
        // there was no service.
        let is_cut = from > low || pruned.is_some();
        let since = oldest.map_or(since, |minute| since.max(minute + i64::from(is_cut)));
        Ok(Start { after, since })
    }
}
