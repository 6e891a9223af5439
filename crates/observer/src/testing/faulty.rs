//! A backend that breaks one promise on purpose. A suite that passes it tests nothing.

use std::ops::ControlFlow;
use std::sync::Arc;

use life_agent_domain::governance::event::{Entry, Row};

use super::conformance::Fixture;
use crate::batch::{SideWrite, WriteBatch};
use crate::chain::Tip;
use crate::committed::Head;
use crate::error::JournalError;
use crate::expiry::{Expired, ExpiryLimits};
use crate::filter::{Criteria, Filter};
use crate::idempotency::IdempotencyEntry;
use crate::jobs::{JobRecord, OpenJob};
use crate::page::{Page, Span};
use crate::records::{AgentHistory, AgentRecord, Dangling, ProposalRecord, StoredSnapshot};
use crate::store::{
    Backend, BatchOutcome, GroupCommit, Opened, Read, Readers, Recovered, Store, StoreError,
};
use crate::texts::{StoredText, TextId, TextVisitor};
use crate::usage::{UsageBy, UsageTotal};
use crate::verify::RawRow;

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The last row of a batch of several is answered but not stored.
    LostRow,
    /// The batches of a group are stored in another order than they were queued.
    ReorderedRows,
    /// Preconditions are not checked.
    IgnoredPrecondition,
    /// A rejected batch is stored all the same.
    RejectedBatchStored,
    /// A group is answered before it is durable.
    AnsweredBeforeDurable,
    /// A page repeats the row that the previous page ended with.
    RepeatedRow,
    /// A page leaves out a row.
    SkippedRow,
    /// Idempotency records are not stored.
    LostSideWrite,
    /// A search returns rows that do not match its criteria.
    IgnoredCriteria,
    /// The texts of a row are not stored.
    LostText,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 10] = [
        Fault::LostRow,
        Fault::ReorderedRows,
        Fault::IgnoredPrecondition,
        Fault::RejectedBatchStored,
        Fault::AnsweredBeforeDurable,
        Fault::RepeatedRow,
        Fault::SkippedRow,
        Fault::LostSideWrite,
        Fault::IgnoredCriteria,
        Fault::LostText,
    ];

    /// The check of the suite that must detect the fault.
    pub fn detected_by(self) -> &'static str {
        match self {
            Fault::LostRow | Fault::ReorderedRows => "calls_and_rows_have_the_same_order",
            Fault::IgnoredPrecondition => "the_version_alone_is_not_enough",
            Fault::RejectedBatchStored => "a_failed_precondition_fails_only_its_batch",
            Fault::AnsweredBeforeDurable => "answered_rows_survive_a_crash",
            Fault::RepeatedRow => "a_slow_follower_receives_every_row_once",
            Fault::SkippedRow => "pages_select_what_the_filter_selects",
            Fault::IgnoredCriteria => "searches_select_what_their_criteria_select",
            Fault::LostSideWrite => "a_call_keeps_its_first_effect_and_its_response",
            Fault::LostText => "a_growing_conversation_stores_its_texts_once",
        }
    }
}

/// A fixture whose backend has a fault.
pub struct Broken<F> {
    /// The fixture of the correct backend.
    pub inner: F,
    /// The fault.
    pub fault: Fault,
}

impl<F: Fixture> Fixture for Broken<F> {
    type Backend = Faulty<F::Backend>;

    fn backend(&self) -> Self::Backend {
        Faulty { inner: self.inner.backend(), fault: self.fault }
    }

    fn crash_image(&self) -> Self {
        Self { inner: self.inner.crash_image(), fault: self.fault }
    }
}

/// A backend with a fault.
pub struct Faulty<B> {
    inner: B,
    fault: Fault,
}

impl<B: Backend> Backend for Faulty<B> {
    fn open(self) -> Result<Opened, JournalError> {
        let Opened { name, tip, control, set_back, store, readers, .. } = self.inner.open()?;
        let fault = self.fault;
        let store = FaultyStore { inner: store, fault, tip: tip.clone(), control, buffer: vec![] };
        let readers = Arc::new(FaultyReaders { inner: readers, fault });
        // Alone: the faults are those of commits that nothing precedes.
        let (store, sharing) = (Box::new(store), None);
        Ok(Opened { name, tip, control, set_back, store, readers, sharing })
    }
}

struct FaultyStore {
    inner: Box<dyn Store>,
    fault: Fault,
    /// The end of the journal as callers see it.
    tip: Tip,
    control: u64,
    /// Answered batches that are not stored yet.
    buffer: Vec<WriteBatch>,
}

impl FaultyStore {
    fn lose_rows(&mut self, mut group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        let lost: Vec<Option<Entry>> = group
            .iter_mut()
            .map(|batch| match batch.entries.len() {
                0 | 1 => None,
                _ => batch.entries.pop(),
            })
            .collect();
        let mut commit = self.inner.commit(group)?;
        for (outcome, lost) in commit.outcomes.iter_mut().zip(lost) {
            if let (BatchOutcome::Stored(rows), Some(lost)) = (outcome, lost)
                && let Some(last) = rows.last()
            {
                let head = Head { id: last.id, hash: last.hash.clone() };
                let invented = Tip { head, ts: last.ts.clone() }.seal(lost);
                rows.push(invented);
            }
        }
        Ok(commit)
    }

    fn reorder(&mut self, mut group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        group.reverse();
        let mut commit = self.inner.commit(group)?;
        commit.outcomes.reverse();
        Ok(commit)
    }

    fn store_rejected(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        let copies: Vec<Vec<Entry>> = group.iter().map(copy_entries).collect();
        let mut commit = self.inner.commit(group)?;
        for (outcome, entries) in commit.outcomes.iter().zip(copies) {
            if let BatchOutcome::Rejected(_) = outcome {
                let again = WriteBatch { entries, ..WriteBatch::default() };
                commit.head = self.inner.commit(vec![again])?.head;
            }
        }
        Ok(commit)
    }

    fn buffer(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        self.flush()?;
        let mut outcomes = Vec::new();
        for batch in &group {
            let rows = copy_entries(batch).into_iter().map(|entry| self.tip.seal(entry));
            outcomes.push(BatchOutcome::Stored(rows.collect()));
        }
        self.buffer = group;
        Ok(GroupCommit { head: self.tip.head.clone(), control: self.control, outcomes })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let buffered = std::mem::take(&mut self.buffer);
        if buffered.is_empty() {
            return Ok(());
        }
        let commit = self.inner.commit(buffered)?;
        (self.tip.head, self.control) = (commit.head, commit.control);
        Ok(())
    }
}

fn copy_entries(batch: &WriteBatch) -> Vec<Entry> {
    let copy = |entry: &Entry| Entry {
        kind: entry.kind,
        agent: entry.agent.clone(),
        principal: entry.principal.clone(),
        request_id: entry.request_id.clone(),
        data: entry.data.clone(),
    };
    batch.entries.iter().map(copy).collect()
}

impl Store for FaultyStore {
    fn commit(&mut self, mut group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        match self.fault {
            Fault::LostRow => return self.lose_rows(group),
            Fault::ReorderedRows => return self.reorder(group),
            Fault::RejectedBatchStored => return self.store_rejected(group),
            Fault::AnsweredBeforeDurable => return self.buffer(group),
            Fault::IgnoredPrecondition => {
                for batch in &mut group {
                    batch.preconditions.clear();
                    batch.step.iter_mut().for_each(|step| step.from = None);
                }
            }
            Fault::LostSideWrite => {
                for batch in &mut group {
                    batch.side_writes.retain(|write| !matches!(write, SideWrite::Idempotency(_)));
                }
            }
            Fault::LostText => {
                for batch in &mut group {
                    batch.side_writes.retain(|write| !matches!(write, SideWrite::Texts(_)));
                }
            }
            Fault::RepeatedRow | Fault::SkippedRow | Fault::IgnoredCriteria => {}
        }
        self.inner.commit(group)
    }

    fn recover(&mut self) -> Result<Recovered, StoreError> {
        self.inner.recover()
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.inner.check()
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.inner.probe()
    }

    fn trim(&mut self) -> Result<usize, StoreError> {
        self.inner.trim()
    }

    fn after_group(&mut self) {
        self.inner.after_group();
    }

    fn close(&mut self) {
        // An orderly end hides the fault; only a crash shows it.
        let _ = self.flush();
        self.inner.close();
    }
}

struct FaultyReaders {
    inner: Arc<dyn Readers>,
    fault: Fault,
}

impl Readers for FaultyReaders {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        Ok(Box::new(FaultyView { inner: self.inner.view()?, fault: self.fault }))
    }
}

struct FaultyView<'r> {
    inner: Box<dyn Read + 'r>,
    fault: Fault,
}

/// Forwards methods to the correct view.
macro_rules! forward {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {
        $(fn $name(&self $(, $argument: $type)*) -> Result<$result, JournalError> {
            self.inner.$name($($argument),*)
        })*
    };
}

impl Read for FaultyView<'_> {
    fn rows(&self, span: Span, limit: usize, filter: &Filter) -> Result<Page, JournalError> {
        let repeat = u64::from(self.fault == Fault::RepeatedRow);
        let span = Span { after: span.after.saturating_sub(repeat), ..span };
        let mut filter = filter.clone();
        if self.fault == Fault::IgnoredCriteria {
            filter = filter.with(Criteria::default());
        }
        let mut page = self.inner.rows(span, limit, &filter)?;
        if self.fault == Fault::SkippedRow && page.rows.len() > 2 {
            page.rows.remove(1);
        }
        Ok(page)
    }

    forward! {
        fn head(&self) -> Head;
        fn first_id(&self) -> u64;
        fn row(&self, id: u64) -> Option<Row>;
        fn scan(&self, last: Option<u64>, visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>) -> ();
        fn count(&self) -> u64;
        fn pruned(&self) -> Option<Head>;
        fn agent(&self, agent_id: &str) -> Option<AgentRecord>;
        fn agents(&self, after: Option<&str>, limit: usize) -> Vec<AgentRecord>;
        fn last_step(&self) -> u64;
        fn snapshot(&self, agent_id: &str) -> Option<StoredSnapshot>;
        fn agent_history(&self, agent_id: &str) -> AgentHistory;
        fn recent_turns(&self, agent_id: &str, limit: usize) -> Vec<Row>;
        fn recent_events(&self, agent_id: &str, limit: usize) -> Vec<Row>;
        fn search_notes(&self, agent_id: &str, query: &str, limit: usize) -> Vec<u64>;
        fn proposals(&self, status: Option<&str>, before: Option<u64>, limit: usize) -> Vec<ProposalRecord>;
        fn proposal(&self, id: &str) -> Option<ProposalRecord>;
        fn last_row(&self, kind: &str, about: Option<&str>) -> Option<Row>;
        fn dangling(&self) -> Vec<Dangling>;
        fn usage(&self, by: UsageBy, since: &str, principal: Option<&str>) -> Vec<UsageTotal>;
        fn setting(&self, key: &str) -> Option<String>;
        fn job(&self, id: &str) -> Option<JobRecord>;
        fn open_jobs(&self) -> Vec<OpenJob>;
        fn idempotency(&self, id: &str) -> Option<IdempotencyEntry>;
        fn expired(&self, limits: &ExpiryLimits) -> Vec<Expired>;
        fn text(&self, id: &TextId) -> Option<StoredText>;
        fn texts(&self, visit: &mut TextVisitor<'_>) -> ();
        fn first_uncovered_step(&self, upto: u64) -> Option<u64>;
        fn uncovered_agents(&self, upto: u64, limit: usize) -> Vec<String>;
    }
}
