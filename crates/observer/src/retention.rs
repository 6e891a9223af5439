//! Removes the oldest rows so that the rest still verifies.
//!
//! First, a row of the kind `journal.pruned` is appended. It states the last row to be removed (id and
//! hash) and is chained like any other row, so a later head kept elsewhere covers the statement too.
//! Only then are rows removed, in small transactions between other commits. If the process dies halfway,
//! the journal verifies, and the next call removes the rest.

use std::time::Duration;

use jiff::Timestamp;
use life_agent_domain::governance::event::{Entry, EventKind};
use serde_json::value::to_raw_value;

use crate::batch::WriteBatch;
use crate::committed::Head;
use crate::declared::Declared;
use crate::error::JournalError;
use crate::filter::Filter;
use crate::journal::Journal;
use crate::store::Read;

/// Upper bound on the rows removed in one transaction, so that no commit waits long for it.
pub const TRIM_ROWS: u64 = 1_000;

/// Rows that are read at once in search of the old ones.
const SCANNED: usize = 1_000;

/// The rows to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The last rows, this many.
    Rows(u64),
    /// The rows of the last days, this many.
    Days(u32),
}

/// The result of pruning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneReport {
    /// The last removed row; `None` if no row was to be removed.
    pub upto: Option<Head>,
    /// Number of removed rows.
    pub removed: u64,
    /// True if older rows stay because an agent's state builds on them. Snapshot the agents of
    /// [`Journal::uncovered_agents`] and prune again.
    pub held_back: bool,
}

impl Journal {
    /// Removes rows that need not be kept, oldest first. A row on which an agent's state builds stays,
    /// and so do all rows after it.
    ///
    /// # Errors
    /// The journal cannot be read or written. Rows that were declared removed are removed by the next call.
    pub async fn prune(&self, keep: Retention) -> Result<PruneReport, JournalError> {
        let now = self.now();
        let plan = self.read(move |view| plan(view, keep, now)).await?;
        let removed = plan.upto.as_ref().map_or(0, |upto| (upto.id + 1).saturating_sub(plan.first));
        if let Some(upto) = &plan.upto {
            let declared =
                Declared { upto_id: upto.id, upto_hash: upto.hash.clone(), removed_rows: removed };
            let data = to_raw_value(&declared)
                .map_err(|error| JournalError::Invalid(error.to_string().into()))?;
            let entry = Entry {
                kind: EventKind::JournalPruned,
                agent: None,
                principal: "system".to_owned(),
                request_id: String::new(),
                data,
            };
            self.keep_id().await?;
            self.append(WriteBatch::of(entry))?.await?;
        }
        // Also without a new declaration: an earlier call may have been interrupted.
        while self.trim().await? > 0 {}
        Ok(PruneReport { upto: plan.upto, removed, held_back: plan.held_back })
    }
}

/// The last row that need not be kept; 0 for none. The last row of the journal always stays: it
/// continues the chain.
///
/// # Errors
/// The view cannot be read.
pub fn prunable(view: &dyn Read, keep: Retention, now: Timestamp) -> Result<u64, JournalError> {
    let (first, head) = (view.first_id()?, view.head()?.id);
    let upto = match keep {
        Retention::Rows(rows) => head.saturating_sub(rows),
        Retention::Days(days) => last_before(view, first, days, now)?,
    };
    Ok(upto.min(head.saturating_sub(1)))
}

/// The last row older than `days` days before which no row is younger. A row whose time lies ahead of the
/// clock has no age: it neither stops the search nor is it a reason to remove the rows before it. Read from the
/// first row on, since times may jump; the rows that are read are those that are about to be removed.
fn last_before(
    view: &dyn Read,
    first: u64,
    days: u32,
    now: Timestamp,
) -> Result<u64, JournalError> {
    let day = Duration::from_secs(24 * 60 * 60);
    let Ok(oldest) = now.checked_sub(day * days) else { return Ok(0) };
    let Ok(ahead) = now.checked_add(day) else { return Ok(0) };
    let (oldest, ahead) = (format!("{oldest:.6}"), format!("{ahead:.6}"));
    let (mut old, mut after) = (0, first.saturating_sub(1));
    loop {
        let page = view.page(after, SCANNED, &Filter::default())?;
        for row in &page.rows {
            match row.ts.as_str() {
                ts if ts < oldest.as_str() => old = row.id,
                ts if ts > ahead.as_str() => {}
                _ => return Ok(old),
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(old),
        }
    }
}

struct Plan {
    first: u64,
    upto: Option<Head>,
    held_back: bool,
}

fn plan(view: &dyn Read, keep: Retention, now: Timestamp) -> Result<Plan, JournalError> {
    let done = view.pruned()?.map_or(0, |done| done.id);
    let first = view.first_id()?.max(done + 1);
    let wanted = prunable(view, keep, now)?;
    let needed = view.first_uncovered_step(wanted)?;
    let upto = needed.map_or(wanted, |needed| needed - 1);
    let last = if upto < first { None } else { view.row(upto)? };
    let upto = last.map(|row| Head { id: row.id, hash: row.hash });
    Ok(Plan { first, upto, held_back: needed.is_some() })
}
