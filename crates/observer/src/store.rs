//! The storage port: the traits that a backend implements.
//!
//! A [`Backend`] opens into a [`Store`], which the journal's writer thread owns, and [`Readers`], which
//! all other threads share. Both block. The writer calls [`Store::commit`] once per group and never once
//! per row, so the port adds no allocation and no boxed future to a row.
//!
//! `testing::conformance` (feature `testing`) holds the promises of a backend as executable checks.

use std::ops::ControlFlow;
use std::sync::Arc;

use life_agent_domain::governance::event::Row;
use tokio::sync::watch;

use crate::batch::{PlanFile, WriteBatch};
use crate::chain::Tip;
use crate::committed::Head;
use crate::error::{Cause, JournalError};
use crate::expiry::{Expired, ExpiryLimits};
use crate::filter::Filter;
use crate::idempotency::IdempotencyEntry;
use crate::jobs::{JobRecord, OpenJob};
use crate::page::{Page, Span};
use crate::precondition::Rejection;
use crate::records::{AgentHistory, AgentRecord, Dangling, ProposalRecord, StoredSnapshot};
use crate::texts::{StoredText, TextId, TextVisitor};
use crate::usage::{UsageBy, UsageTotal};

pub use crate::clock::ClockLead;
pub use crate::declared::declared_pruned;
pub use crate::expiry::EXPIRY_CHUNK;
pub use crate::jobs::turn_row;
pub use crate::page::parse_data;
pub use crate::records::{MAX_RECORDS, RECENT_STEPS};
pub use crate::retention::{TRIM_ROWS, prunable};
pub use crate::verify::{RawLink, RawRow, RawText};

/// A place where a journal is stored, not yet opened.
pub trait Backend {
    /// Opens the store, or creates an empty one. Blocks.
    ///
    /// # Errors
    /// [`JournalError::Open`] if the store cannot serve as a journal. It is then left unchanged.
    fn open(self) -> Result<Opened, JournalError>;
}

/// An opened store.
pub struct Opened {
    /// The store's name in error messages.
    pub name: String,
    /// The last row.
    pub tip: Tip,
    /// The present control version.
    pub control: u64,
    /// The last head that is known to have been durable here and that the store no longer holds: it was
    /// truncated, or put back to an earlier state.
    pub set_back: Option<Head>,
    /// The writing side.
    pub store: Box<dyn Store>,
    /// The reading side.
    pub readers: Arc<dyn Readers>,
    /// Whether other instances append to the same journal; `None` if this process is the only one.
    pub sharing: Option<Sharing>,
}

/// How an instance shares its journal with others.
pub struct Sharing {
    /// Identifies this instance among the others.
    pub instance: String,
    /// Whether no other instance had the journal open when this one opened it.
    pub was_alone: bool,
    /// Whether this instance does the work that one instance does for all. It changes when the leading instance ends.
    pub leads: watch::Receiver<bool>,
    /// How far the clock of the store is ahead of this process's. All instances go by that clock.
    pub lead: ClockLead,
}

/// Notifies the journal that other instances have appended. Never blocks.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// What other instances have appended after the last row that this one knows.
pub struct Foreign {
    /// The rows in order, continuing the last known one.
    pub rows: Vec<Row>,
    /// The end of the journal after them.
    pub head: Head,
    /// The control version. It may be newer than the rows if there are more.
    pub control: u64,
    /// Whether there are more rows. Then the end of the journal is not locked.
    pub more: bool,
}

/// The writing side of a store, owned by the journal's writer thread.
pub trait Store: Send {
    /// Locks the end of a shared journal until the next [`Store::commit`], and returns what other instances have
    /// appended. Nothing is appended from here on until then. `group` holds the batches of the next group that are
    /// known already; requests that come during the wait for the lock may join them. The journal calls this again
    /// while there is more, and never on a journal that is not shared.
    ///
    /// # Errors
    /// Nothing is locked.
    fn begin(&mut self, group: &[WriteBatch]) -> Result<Foreign, StoreError> {
        let _ = group;
        Err(StoreError::NotStored("the journal is not shared".into()))
    }

    /// Returns what other instances have appended, without locking.
    ///
    /// # Errors
    /// The store cannot be read.
    fn catch_up(&mut self) -> Result<Foreign, StoreError> {
        Err(StoreError::NotStored("the journal is not shared".into()))
    }

    /// Receives the waker of a shared journal.
    fn set_waker(&mut self, waker: Waker) {
        let _ = waker;
    }

    /// Stores a group of batches in order in one transaction. When it returns, the group is durable. A
    /// batch whose precondition fails is rejected: it leaves no row and no side write, and the other
    /// batches are stored.
    ///
    /// # Errors
    /// The whole group failed. The next call of [`Store::recover`] finds the outcome.
    fn commit(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError>;

    /// Reconnects after a failure and returns the end of the journal as it is stored, which is further
    /// than before if the failed commit did become durable.
    ///
    /// # Errors
    /// The store is still unusable.
    fn recover(&mut self) -> Result<Recovered, StoreError>;

    /// Whether the store is still the one that was opened, and not removed or replaced. Cheap.
    ///
    /// # Errors
    /// It is not.
    fn check(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Tests whether the store can be written, without leaving a trace.
    ///
    /// # Errors
    /// The store cannot be written.
    fn probe(&mut self) -> Result<(), StoreError>;

    /// Removes up to [`TRIM_ROWS`] rows that the last `journal.pruned` row declares removed, oldest
    /// first, with the texts that no other row names, and returns the number of rows.
    ///
    /// # Errors
    /// Nothing was removed.
    fn trim(&mut self) -> Result<usize, StoreError>;

    /// Housekeeping after a group. All of its callers have their responses.
    fn after_group(&mut self) {}

    /// Ends the store. No call follows.
    fn close(&mut self) {}
}

/// A durable group.
pub struct GroupCommit {
    /// The end of the journal after the group.
    pub head: Head,
    /// The control version after the group.
    pub control: u64,
    /// The outcome of each batch, in the order of the group.
    pub outcomes: Vec<BatchOutcome>,
}

/// The outcome of one batch of a durable group.
pub enum BatchOutcome {
    /// The rows, in order.
    Stored(Vec<Row>),
    /// The precondition that did not hold.
    Rejected(Rejection),
}

/// The stored end of the journal.
pub struct Recovered {
    /// The last row.
    pub head: Head,
    /// The control version.
    pub control: u64,
}

/// Why a store could not write.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was stored.
    NotStored(Cause),
    /// It is not known whether the group was stored. A store that can find out does so before it
    /// returns this.
    Unknown(Cause),
}

/// The reading side of a store.
pub trait Readers: Send + Sync {
    /// Number of views that may be open at the same time.
    fn limit(&self) -> usize;

    /// Opens a view. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError>;

    /// Opens a view on a copy of the store, for reads that take long. It includes every row whose commit completed
    /// before the call. `None` if there is no copy, or if it lags or fails. Blocks for a bounded time.
    fn replica(&self) -> Option<Box<dyn Read + '_>> {
        None
    }

    /// A read on a view of [`Readers::replica`] failed.
    fn replica_failed(&self, _: &JournalError) {}
}

/// One consistent view of the journal, from its first read until it is dropped. It includes every row
/// whose commit completed before the view was opened. All methods block and fail with
/// [`JournalError::Unavailable`] or [`JournalError::Damaged`].
pub trait Read {
    /// The last row.
    fn head(&self) -> Result<Head, JournalError>;
    /// Id of the first row; 0 for an empty journal.
    fn first_id(&self) -> Result<u64, JournalError>;
    /// One row.
    fn row(&self, id: u64) -> Result<Option<Row>, JournalError>;
    /// The last row of a kind; with `about`, of those whose data has this `id`.
    fn last_row(&self, kind: &str, about: Option<&str>) -> Result<Option<Row>, JournalError>;
    /// Up to `limit` rows of the span that the filter selects. A position beyond the end finds nothing.
    /// Bounded in time: a page may be short, or empty, and still have a `next`.
    fn rows(&self, span: Span, limit: usize, filter: &Filter) -> Result<Page, JournalError>;
    /// [`Read::rows`] after row `after`, oldest first.
    fn page(&self, after: u64, limit: usize, filter: &Filter) -> Result<Page, JournalError> {
        self.rows(Span::after(after), limit, filter)
    }
    /// Visits the last `last` rows (all if `None`) in order, exactly as stored, without any check.
    fn scan(
        &self,
        last: Option<u64>,
        visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), JournalError>;
    /// Number of stored rows.
    fn count(&self) -> Result<u64, JournalError>;
    /// The last row that retention declares removed.
    fn pruned(&self) -> Result<Option<Head>, JournalError>;

    /// The position of an agent; `None` if it has taken no step.
    fn agent(&self, agent_id: &str) -> Result<Option<AgentRecord>, JournalError>;
    /// Up to `limit` agents after `after`, ordered by the bytes of their ids.
    fn agents(&self, after: Option<&str>, limit: usize) -> Result<Vec<AgentRecord>, JournalError>;
    /// The greatest [`AgentRecord::last_event`]; 0 without agents.
    fn last_step(&self) -> Result<u64, JournalError>;
    /// The last stored state of an agent.
    fn snapshot(&self, agent_id: &str) -> Result<Option<StoredSnapshot>, JournalError>;
    /// The rows that an agent's present state consists of.
    fn agent_history(&self, agent_id: &str) -> Result<AgentHistory, JournalError>;
    /// The latest turns of an agent among its last [`RECENT_STEPS`] steps, at most `limit`, oldest first.
    fn recent_turns(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError>;
    /// The latest acts, turns and denials of an agent, at most `limit`, oldest first.
    fn recent_events(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError>;
    /// Versions of up to `limit` notes of an agent that hold a word beginning with a word of the query,
    /// best match first.
    fn search_notes(
        &self,
        agent_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError>;

    /// Up to `limit` plans with this status (any if `None`) created before row `before`, newest first.
    fn proposals(
        &self,
        status: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ProposalRecord>, JournalError>;
    /// One plan.
    fn proposal(&self, id: &str) -> Result<Option<ProposalRecord>, JournalError>;
    /// Token usage since a time (RFC 3339, UTC, microseconds), of one caller or of all, by model within each
    /// name. At most [`MAX_RECORDS`] totals, ordered by name and model.
    fn usage(
        &self,
        by: UsageBy,
        since: &str,
        principal: Option<&str>,
    ) -> Result<Vec<UsageTotal>, JournalError>;
    /// A setting.
    fn setting(&self, key: &str) -> Result<Option<String>, JournalError>;
    /// One job.
    fn job(&self, id: &str) -> Result<Option<JobRecord>, JournalError>;
    /// All jobs that have not ended, in order of arrival.
    fn open_jobs(&self) -> Result<Vec<OpenJob>, JournalError>;
    /// A recorded call.
    fn idempotency(&self, id: &str) -> Result<Option<IdempotencyEntry>, JournalError>;
    /// Ended jobs and idempotency records beyond the limits.
    fn expired(&self, limits: &ExpiryLimits) -> Result<Vec<Expired>, JournalError>;

    /// Up to [`MAX_RECORDS`] of each: jobs and idempotency records that name a row which is neither stored nor declared
    /// removed by retention, and jobs, agents and usage that differ from their rows.
    fn dangling(&self) -> Result<Vec<Dangling>, JournalError>;

    /// The files of a plan, if the store keeps them.
    fn plan_files(&self, plan: &str) -> Result<Vec<PlanFile>, JournalError> {
        let _ = plan;
        Ok(Vec::new())
    }

    /// A stored text.
    fn text(&self, id: &TextId) -> Result<Option<StoredText>, JournalError>;
    /// Visits every stored text with its digest, exactly as stored, without any check. A digest without a text
    /// has an empty one.
    fn texts(&self, visit: &mut TextVisitor<'_>) -> Result<(), JournalError>;

    /// The first step at or before row `upto` that its agent's snapshot does not cover.
    fn first_uncovered_step(&self, upto: u64) -> Result<Option<u64>, JournalError>;
    /// Up to `limit` agents with such a step.
    fn uncovered_agents(&self, upto: u64, limit: usize) -> Result<Vec<String>, JournalError>;
}
