//! Reads of the journal: named, asynchronous, returning domain types.

use std::sync::Arc;

use life_agent_domain::governance::event::Row;

use super::Journal;
use crate::batch::PlanFile;
use crate::committed::Head;
use crate::error::JournalError;
use crate::expiry::{Expired, ExpiryLimits};
use crate::filter::Filter;
use crate::idempotency::IdempotencyEntry;
use crate::jobs::{JobRecord, OpenJob};
use crate::page::{MAX_PAGE_BYTES, Page, Span};
use crate::records::{AgentHistory, AgentRecord, ProposalRecord, RecentActivity, StoredSnapshot};
use crate::retention::{self, Retention};
use crate::store::{Read, Readers};
use crate::texts;
use crate::usage::{UsageBy, UsageTotal};
use crate::verify::{self, Verdict};

/// Each method reads from one view that includes every row answered before, on a thread where blocking
/// is allowed. All fail with [`JournalError::Unavailable`], [`JournalError::Damaged`] or
/// [`JournalError::Closed`].
impl Journal {
    /// See [`Read::page`].
    pub async fn page(
        &self,
        after: u64,
        limit: usize,
        filter: Filter,
    ) -> Result<Page, JournalError> {
        self.read(move |view| view.page(after, limit, &filter)).await
    }

    /// See [`Read::first_id`] and [`Read::page`].
    pub(crate) async fn first_and_page(
        &self,
        after: u64,
        limit: usize,
        filter: Filter,
    ) -> Result<(u64, Page), JournalError> {
        let read = move |view: &dyn Read| Ok((view.first_id()?, view.page(after, limit, &filter)?));
        self.read(read).await
    }

    /// See [`Read::rows`]. A replica may serve it.
    pub async fn rows(
        &self,
        span: Span,
        limit: usize,
        filter: Filter,
    ) -> Result<Page, JournalError> {
        self.read_report(move |view| view.rows(span, limit, &filter)).await
    }

    /// See [`Read::first_id`].
    pub async fn first_id(&self) -> Result<u64, JournalError> {
        self.read(|view| view.first_id()).await
    }

    /// See [`Read::usage`]. A replica may serve it.
    pub async fn usage(
        &self,
        by: UsageBy,
        since: &str,
        principal: Option<&str>,
    ) -> Result<Vec<UsageTotal>, JournalError> {
        let (since, principal) = (since.to_owned(), principal.map(str::to_owned));
        self.read_report(move |view| view.usage(by, &since, principal.as_deref())).await
    }

    /// See [`Read::agent`].
    pub async fn agent(&self, agent_id: &str) -> Result<Option<AgentRecord>, JournalError> {
        let agent_id = agent_id.to_owned();
        self.read(move |view| view.agent(&agent_id)).await
    }

    /// See [`Read::agents`].
    pub async fn agents(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<AgentRecord>, JournalError> {
        self.read(move |view| view.agents(after.as_deref(), limit)).await
    }

    /// See [`Read::snapshot`].
    pub async fn snapshot(&self, agent_id: &str) -> Result<Option<StoredSnapshot>, JournalError> {
        let agent_id = agent_id.to_owned();
        self.read(move |view| view.snapshot(&agent_id)).await
    }

    /// See [`Read::agent_history`].
    pub async fn agent_history(&self, agent_id: &str) -> Result<AgentHistory, JournalError> {
        let agent_id = agent_id.to_owned();
        self.read(move |view| view.agent_history(&agent_id)).await
    }

    /// See [`Read::recent_events`] and [`Read::recent_turns`].
    pub async fn recent_activity(
        &self,
        agent_id: &str,
        events: usize,
        turns: usize,
    ) -> Result<RecentActivity, JournalError> {
        let agent_id = agent_id.to_owned();
        let activity = move |view: &dyn Read| {
            let events = view.recent_events(&agent_id, events)?;
            Ok(RecentActivity { events, turns: view.recent_turns(&agent_id, turns)? })
        };
        self.read(activity).await
    }

    /// See [`Read::search_notes`].
    pub async fn search_notes(
        &self,
        agent_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError> {
        let (agent_id, query) = (agent_id.to_owned(), query.to_owned());
        self.read(move |view| view.search_notes(&agent_id, &query, limit)).await
    }

    /// See [`Read::proposals`].
    pub async fn proposals(
        &self,
        status: Option<String>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ProposalRecord>, JournalError> {
        self.read(move |view| view.proposals(status.as_deref(), before, limit)).await
    }

    /// See [`Read::proposal`].
    pub async fn proposal(&self, id: &str) -> Result<Option<ProposalRecord>, JournalError> {
        let id = id.to_owned();
        self.read(move |view| view.proposal(&id)).await
    }

    /// See [`Read::plan_files`].
    pub async fn plan_files(&self, plan: &str) -> Result<Vec<PlanFile>, JournalError> {
        let plan = plan.to_owned();
        self.read(move |view| view.plan_files(&plan)).await
    }

    /// See [`Read::row`].
    pub async fn row(&self, id: u64) -> Result<Option<Row>, JournalError> {
        self.read(move |view| view.row(id)).await
    }

    /// A page whose rows have their texts in place of references, see [`texts::expand`]. It ends before its
    /// rows hold more than [`MAX_PAGE_BYTES`], unless a single row does. A replica may serve it.
    pub async fn expanded_rows(
        &self,
        span: Span,
        limit: usize,
        filter: Filter,
    ) -> Result<Page, JournalError> {
        let expanded = move |view: &dyn Read| {
            let mut page = view.rows(span, limit, &filter)?;
            let (mut rows, mut bytes) = (Vec::with_capacity(page.rows.len()), 0);
            for row in page.rows {
                let row = texts::expand(view, row)?;
                bytes += row.data.get().len();
                if let Some(last) = rows.last().map(|last: &Row| last.id)
                    && bytes > MAX_PAGE_BYTES
                {
                    return Ok(Page { rows, next: Some(last), scanned_to: last });
                }
                rows.push(row);
            }
            page.rows = rows;
            Ok(page)
        };
        self.read_report(expanded).await
    }

    /// A row with its texts in place of references, see [`texts::expand`].
    pub async fn expand(&self, row: Row) -> Result<Row, JournalError> {
        self.read(move |view| texts::expand(view, row)).await
    }

    /// See [`Read::last_row`].
    pub async fn last_row(
        &self,
        kind: &'static str,
        about: Option<&str>,
    ) -> Result<Option<Row>, JournalError> {
        let about = about.map(str::to_owned);
        self.read(move |view| view.last_row(kind, about.as_deref())).await
    }

    /// See [`Read::pruned`].
    pub async fn pruned(&self) -> Result<Option<Head>, JournalError> {
        self.read(|view| view.pruned()).await
    }

    /// See [`Read::setting`].
    pub async fn setting(&self, key: &str) -> Result<Option<String>, JournalError> {
        let key = key.to_owned();
        self.read(move |view| view.setting(&key)).await
    }

    /// See [`Read::job`].
    pub async fn job(&self, id: &str) -> Result<Option<JobRecord>, JournalError> {
        let id = id.to_owned();
        self.read(move |view| view.job(&id)).await
    }

    /// See [`Read::open_jobs`].
    pub async fn open_jobs(&self) -> Result<Vec<OpenJob>, JournalError> {
        self.read(|view| view.open_jobs()).await
    }

    /// See [`Read::idempotency`].
    pub async fn idempotency(&self, id: &str) -> Result<Option<IdempotencyEntry>, JournalError> {
        let id = id.to_owned();
        self.read(move |view| view.idempotency(&id)).await
    }

    /// See [`Read::expired`].
    pub async fn expired(&self, limits: ExpiryLimits) -> Result<Vec<Expired>, JournalError> {
        self.read(move |view| view.expired(&limits)).await
    }

    /// The last row that need not be kept; 0 for none.
    pub async fn prunable(&self, keep: Retention) -> Result<u64, JournalError> {
        let now = self.now();
        self.read(move |view| retention::prunable(view, keep, now)).await
    }

    /// See [`Read::uncovered_agents`].
    pub async fn uncovered_agents(
        &self,
        upto: u64,
        limit: usize,
    ) -> Result<Vec<String>, JournalError> {
        self.read(move |view| view.uncovered_agents(upto, limit)).await
    }

    /// See [`verify::verify`].
    pub async fn verify(&self, expect_head: Option<Head>) -> Result<Verdict, JournalError> {
        self.read(move |view| verify::verify(view, expect_head.as_ref(), |_, _| ())).await
    }

    /// Runs `read` on one view, for the tests of backends.
    ///
    /// # Errors
    /// The error of `read`, or the view cannot be opened.
    #[cfg(feature = "testing")]
    pub async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Read) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.read(read).await
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Read) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.read_from(move |readers| readers.view().and_then(|view| read(&*view))).await
    }

    /// Reads from a replica, or from the store itself if no replica can serve.
    async fn read_report<T: Send + 'static>(
        &self,
        read: impl Fn(&dyn Read) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.read_from(move |readers| {
            if let Some(view) = readers.replica() {
                match read(&*view) {
                    Ok(found) => return Ok(found),
                    Err(error) => readers.replica_failed(&error),
                }
            }
            readers.view().and_then(|view| read(&*view))
        })
        .await
    }

    async fn read_from<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Readers) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let waited = Arc::clone(&self.0.views).acquire_owned().await;
        let permit = waited.map_err(|_| JournalError::Closed)?;
        let readers = self.0.readers.read().clone().ok_or(JournalError::Closed)?;
        let reading = tokio::task::spawn_blocking(move || {
            let result = read(&*readers);
            drop(readers);
            drop(permit);
            result
        });
        reading.await.map_err(|_| JournalError::unavailable("a read panicked"))?
    }
}
