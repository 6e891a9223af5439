//! A backend in memory. Clones share the journal, so that it can be reopened.

mod apply;
mod read;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use life_agent_domain::governance::event::{EventKind, Row};
use parking_lot::RwLock;

use super::conformance::Fixture;
use crate::batch::{StateHash, Usage, WriteBatch};
use crate::chain::Tip;
use crate::committed::Head;
use crate::declared::declared_pruned;
use crate::error::JournalError;
use crate::idempotency::IdempotencyEntry;
use crate::jobs::{JobRecord, Lease};
use crate::records::{AgentRecord, ProposalRecord};
use crate::retention::TRIM_ROWS;
use crate::store::{Backend, GroupCommit, Opened, Read, Readers, Recovered, Store, StoreError};
use crate::texts::{StoredText, TextId, roots_of};

/// A journal in memory. It lasts as long as one of its clones.
#[derive(Clone, Default)]
pub struct Memory(Arc<RwLock<Tables>>);

impl Memory {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// An independent copy of the present content.
    pub fn image(&self) -> Self {
        Self(Arc::new(RwLock::new(self.0.read().clone())))
    }
}

/// The content of a journal.
#[derive(Clone)]
struct Tables {
    tip: Tip,
    control: u64,
    /// Rows by id, with the link to the agent's previous step.
    rows: BTreeMap<u64, (Row, Option<u64>)>,
    agents: BTreeMap<String, Agent>,
    snapshots: BTreeMap<String, StoredState>,
    proposals: BTreeMap<String, ProposalRecord>,
    settings: BTreeMap<String, String>,
    jobs: BTreeMap<u64, Job>,
    calls: BTreeMap<u64, Call>,
    notes: BTreeMap<(String, u64), String>,
    texts: HashMap<TextId, StoredText>,
    /// Usage with the row that it belongs to.
    usage: Vec<(Row, Usage)>,
}

#[derive(Clone)]
struct Agent {
    record: AgentRecord,
    state_hash: StateHash,
    first_open: Option<u64>,
}

#[derive(Clone)]
struct StoredState {
    event_id: u64,
    state: String,
    state_hash: String,
}

#[derive(Clone)]
struct Job {
    record: JobRecord,
    lease: Option<Lease>,
}

#[derive(Clone)]
struct Call {
    ts: String,
    entry: IdempotencyEntry,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            tip: Tip::empty(),
            control: 0,
            rows: BTreeMap::new(),
            agents: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            proposals: BTreeMap::new(),
            settings: BTreeMap::new(),
            jobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            notes: BTreeMap::new(),
            texts: HashMap::new(),
            usage: Vec::new(),
        }
    }
}

impl Tables {
    /// The last row that retention declares removed.
    fn pruned(&self) -> Option<Head> {
        let kind = EventKind::JournalPruned.as_str();
        let (row, _) = self.rows.values().rev().find(|(row, _)| row.kind == kind)?;
        declared_pruned(row.id, row.data.get())
    }

    /// Removes the texts that no row names.
    fn forget_texts(&mut self) {
        let rows = self.rows.values().map(|(row, _)| row);
        let mut open: Vec<TextId> = rows.flat_map(|row| roots_of(row.data.get())).collect();
        let mut named = HashSet::new();
        while let Some(id) = open.pop() {
            if let Some(text) = self.texts.get(&id).filter(|_| named.insert(id)) {
                open.extend(text.parts());
            }
        }
        self.texts.retain(|id, _| named.contains(id));
    }
}

impl Backend for Memory {
    fn open(self) -> Result<Opened, JournalError> {
        let (tip, control) = {
            let tables = self.0.read();
            (tables.tip.clone(), tables.control)
        };
        Ok(Opened {
            sharing: None,
            name: "memory".to_owned(),
            tip,
            control,
            set_back: None,
            store: Box::new(MemoryStore(self.clone())),
            readers: Arc::new(self),
        })
    }
}

impl Fixture for Memory {
    type Backend = Self;

    fn backend(&self) -> Self {
        self.clone()
    }

    fn crash_image(&self) -> Self {
        self.image()
    }
}

struct MemoryStore(Memory);

impl Store for MemoryStore {
    fn commit(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        let mut tables = self.0.0.write();
        tables.check_group(&group)?;
        let _ = tables.tip.advance(now());
        let outcomes = group.into_iter().map(|batch| tables.apply(batch)).collect();
        Ok(GroupCommit { head: tables.tip.head.clone(), control: tables.control, outcomes })
    }

    fn recover(&mut self) -> Result<Recovered, StoreError> {
        let tables = self.0.0.read();
        Ok(Recovered { head: tables.tip.head.clone(), control: tables.control })
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn trim(&mut self) -> Result<usize, StoreError> {
        let mut tables = self.0.0.write();
        let Some(declared) = tables.pruned() else { return Ok(0) };
        let gone: Vec<u64> = tables.rows.range(..=declared.id).map(|(id, _)| *id).collect();
        let gone = gone.iter().take(usize::try_from(TRIM_ROWS).unwrap_or(usize::MAX));
        let removed = gone.filter(|id| tables.rows.remove(id).is_some()).count();
        tables.forget_texts();
        Ok(removed)
    }
}

impl Readers for Memory {
    fn limit(&self) -> usize {
        4
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        Ok(Box::new(read::View(self.0.read())))
    }
}

fn now() -> String {
    format!("{:.6}", Timestamp::now())
}
