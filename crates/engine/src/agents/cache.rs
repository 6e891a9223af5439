//! Agents in memory: loaded from the journal on demand, evicted when idle.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use life_agent_domain::agent::record::apply_row;
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::Row;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    AgentHistory, CommitHandle, Committed, Journal, JournalError, JournalRow,
};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Weighter};
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::news::{News, after};
use crate::blocking::blocking;
use crate::error::EngineError;
use crate::views::Present;

/// The state of an agent after the last queued step, and the journal's epoch that it is based on.
pub(crate) struct Loaded {
    pub(crate) present: Present,
    pub(crate) epoch: u64,
    /// The rows applied to the last snapshot when the agent was loaded; 0 after a step.
    pub(crate) replayed: usize,
}

/// An agent that needed this many rows to be loaded leaves a snapshot with its next step, in addition to the
/// policy's interval: with more agents than fit into memory, each is loaded again and again.
const MANY_ROWS: usize = 8;

impl Loaded {
    /// Whether the next step should leave a snapshot.
    pub(crate) fn loaded_slowly(&self) -> bool {
        self.replayed >= MANY_ROWS
    }
}

/// One agent in memory. The lock on the state orders the agent's steps; it is held while a step is decided
/// and queued, never while it is committed. A queued step keeps its agent's slot alive until it is durable.
pub(crate) struct Slot {
    state: Mutex<Option<Loaded>>,
    /// Whether the agent was loaded before. Until then, no step of it can be queued.
    used: AtomicBool,
    /// What other instances have done to the agent since.
    news: parking_lot::Mutex<News>,
    /// Held exclusively by a turn that waits for a model, so that nothing changes the agent; all other
    /// steps share it.
    turn: RwLock<()>,
    /// The weight in the cache; changed under the lock on the state.
    weight: AtomicU32,
}

impl Slot {
    fn empty() -> Self {
        let (state, used, news) = (Mutex::default(), AtomicBool::default(), News::default());
        let news = parking_lot::Mutex::new(news);
        Self { state, used, news, turn: RwLock::default(), weight: AtomicU32::new(1) }
    }
}

/// Bytes of a state per unit of weight. Few states need more than one unit; a state at all its limits needs
/// about 25.
const UNIT: usize = 2048;
/// Applying more steps than this takes long enough to leave the async thread.
const FEW_STEPS: usize = 64;
/// Slots that the cache allocates at the start.
const PREALLOCATED: usize = 10_000;

/// The agents in memory.
type Placement = Cache<AgentId, Placed, Weights, DefaultHashBuilder, Idle>;

/// The part of the cache that follows the rows of other instances.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Placement>);

impl Slots {
    /// Another instance has stepped an agent: its next use applies the step.
    pub(crate) fn follow(&self, row: &Arc<JournalRow>) {
        let agent = row.agent_id.as_deref().map(AgentId::new);
        let Some(Ok(agent)) = agent else { return };
        if let Some(placed) = self.0.peek(&agent) {
            placed.slot.news.lock().add(row);
        }
    }
}

pub(crate) struct AgentCache {
    slots: Arc<Placement>,
    journal: Journal,
    seed: u64,
    /// The longest wait of a step for a narrated turn.
    wait: Duration,
}

/// A slot and its weight. The cache reads the weight again on eviction, so it may change only by replacing
/// the entry.
#[derive(Clone)]
struct Placed {
    slot: Arc<Slot>,
    weight: u32,
}

#[derive(Clone)]
struct Weights;

impl Weighter<AgentId, Placed> for Weights {
    fn weight(&self, _agent: &AgentId, placed: &Placed) -> u64 {
        placed.weight.into()
    }
}

/// A slot in use must not be evicted: a second slot of the same agent would order steps independently.
#[derive(Clone)]
struct Idle;

impl quick_cache::Lifecycle<AgentId, Placed> for Idle {
    type RequestState = ();
    fn is_pinned(&self, _agent: &AgentId, placed: &Placed) -> bool {
        Arc::strong_count(&placed.slot) > 1
    }
}

impl AgentCache {
    pub(crate) fn new(journal: Journal, seed: u64, max_in_memory: usize, wait: Duration) -> Self {
        let slots = Cache::with(
            max_in_memory.min(PREALLOCATED),
            max_in_memory as u64,
            Weights,
            DefaultHashBuilder::default(),
            Idle,
        );
        Self { slots: Arc::new(slots), journal, seed, wait }
    }

    /// The part that follows the rows of other instances.
    pub(crate) fn slots(&self) -> Slots {
        Slots(Arc::clone(&self.slots))
    }

    pub(crate) fn slot(&self, agent: &AgentId) -> Arc<Slot> {
        let empty = || Placed { slot: Arc::new(Slot::empty()), weight: 1 };
        let Ok(placed) = self.slots.get_or_insert_with(agent, || Ok::<_, Infallible>(empty()));
        placed.slot
    }

    /// Stores the agent's current state in its slot and updates the slot's weight.
    pub(crate) fn store(
        &self,
        agent: &AgentId,
        slot: &Arc<Slot>,
        held: &mut Option<Loaded>,
        loaded: Loaded,
    ) {
        let weight = loaded.present.state.size() / UNIT + 1;
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        *held = Some(loaded);
        if slot.weight.swap(weight, Ordering::Relaxed) != weight {
            let placed = Placed { slot: Arc::clone(slot), weight };
            // The caller holds the slot, so the entry exists.
            let _ = self.slots.replace(agent.clone(), placed, true);
        }
    }

    /// For steps that do not wait: any number of them may run concurrently.
    pub(crate) async fn lock_shared<'s>(
        &self,
        slot: &'s Slot,
    ) -> Result<RwLockReadGuard<'s, ()>, EngineError> {
        match slot.turn.try_read() {
            Ok(shared) => Ok(shared),
            Err(_) => self.in_time(slot.turn.read()).await,
        }
    }

    /// For a narrated turn: the agent takes no other step while the guard lives.
    pub(crate) async fn lock_exclusive<'s>(
        &self,
        slot: &'s Slot,
    ) -> Result<RwLockWriteGuard<'s, ()>, EngineError> {
        self.in_time(slot.turn.write()).await
    }

    async fn in_time<T>(&self, turn: impl Future<Output = T>) -> Result<T, EngineError> {
        tokio::time::timeout(self.wait, turn).await.map_err(|_| EngineError::AgentBusy)
    }

    /// Locks the slot and loads the agent if necessary.
    pub(crate) async fn lock<'s>(
        &self,
        agent: &AgentId,
        slot: &'s Arc<Slot>,
    ) -> Result<MutexGuard<'s, Option<Loaded>>, EngineError> {
        let mut held = slot.state.lock().await;
        let news = std::mem::take(&mut *slot.news.lock());
        // A failed commit changes the epoch: the state in memory may never have become durable, so it is
        // read from the journal.
        let current = held.take_if(|loaded| loaded.epoch == self.journal.epoch());
        let followed = match (current, news) {
            (Some(loaded), News::None) => {
                *held = Some(loaded);
                return Ok(held);
            }
            (Some(loaded), News::Steps(rows, _)) => {
                after(&loaded.present, &rows).map(|present| Loaded { present, ..loaded })
            }
            _ => None,
        };
        *held = None;
        let loaded = match followed {
            Some(loaded) => loaded,
            None => {
                if slot.used.swap(true, Ordering::SeqCst) {
                    // Steps of a disconnected caller may still be queued.
                    self.journal.barrier().await?;
                }
                self.load(agent).await?
            }
        };
        self.store(agent, slot, &mut held, loaded);
        Ok(held)
    }

    /// The current state.
    pub(crate) async fn present(&self, agent: &AgentId) -> Result<Present, EngineError> {
        // So that no state is older than the answer of another instance.
        self.journal.catch_up().await?;
        let slot = self.slot(agent);
        let held = self.lock(agent, &slot).await?;
        held.as_ref().map(|loaded| loaded.present.clone()).ok_or(EngineError::Unavailable)
    }

    /// Waits for a step. If the agent was in another state than the step was decided on, its state in
    /// memory is discarded.
    pub(crate) async fn settle(
        &self,
        slot: &Slot,
        pending: CommitHandle,
    ) -> Result<Committed, JournalError> {
        let committed = pending.await;
        // Whatever was rejected: the state in memory is after a step that was not taken.
        if let Err(JournalError::Rejected(_)) = &committed {
            *slot.news.lock() = News::Unknown;
        }
        committed
    }

    async fn load(&self, agent: &AgentId) -> Result<Loaded, EngineError> {
        // Read first: if a commit fails during the load, the load is stale.
        let epoch = self.journal.epoch();
        let history = self.journal.agent_history(agent.as_str()).await?;
        let (owned, seed) = (agent.clone(), self.seed);
        let (present, replayed) = if history.steps.len() > FEW_STEPS {
            blocking(move || rebuild(history, &owned, seed)).await??
        } else {
            rebuild(history, agent, seed)?
        };
        Ok(Loaded { present, epoch, replayed })
    }
}

/// Applies the rows after the last snapshot. Each row states the hash of the resulting state; a mismatch
/// means that the journal was changed, and the agent is not used. Also returns the number of rows.
fn rebuild(
    history: AgentHistory,
    agent: &AgentId,
    seed: u64,
) -> Result<(Present, usize), JournalError> {
    let AgentHistory { snapshot, snapshot_row, steps, pruned } = history;
    // Rows are chained, snapshots are not, so the hash in the snapshot's row counts. A snapshot whose row never
    // existed was not stored by a step.
    if let (Some(snapshot), None) = (&snapshot, &snapshot_row)
        && snapshot.event_id > pruned
    {
        return Err(corrupt(agent, snapshot.event_id, &"its stored state belongs to no row"));
    }
    let stated = |row: Row| match row.state_mark() {
        Ok(mark) => Ok((row.id, mark.state_hash.into_owned())),
        Err(error) => Err(corrupt(agent, row.id, &error)),
    };
    let mut stated = snapshot_row.map(stated).transpose()?;
    let mut state = snapshot.map_or_else(|| AgentState::initial(seed), |snapshot| snapshot.state);
    for row in &steps {
        let hash = apply_row(&mut state, row).map_err(|error| corrupt(agent, row.id, &error))?;
        stated = Some((row.id, hash));
    }
    let state_hash = state.hash();
    match stated {
        Some((id, hash)) if hash != state_hash => {
            Err(corrupt(agent, id, &"its state hash does not match the rebuilt state"))
        }
        _ => Ok((Present { state: Arc::new(state), state_hash }, steps.len())),
    }
}

fn corrupt(agent: &AgentId, row: u64, why: &dyn std::fmt::Display) -> JournalError {
    JournalError::damaged(format!("agent `{agent}` cannot be rebuilt at row {row}: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use life_agent_domain::agent::state::Memory;
    use life_agent_observer::Options;
    use life_agent_observer_sqlite::Sqlite;

    use super::*;

    fn loaded(texts: usize) -> Loaded {
        let mut state = AgentState::initial(1);
        let memory = |version| Memory { version, text: "x".repeat(200) };
        state.memory = (0..texts as u64).map(memory).collect();
        let present = Present { state: Arc::new(state), state_hash: String::new() };
        Loaded { present, epoch: 0, replayed: 0 }
    }

    #[tokio::test]
    async fn large_states_take_the_room_of_several_and_what_is_held_stays() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(Sqlite::at(dir.path().join("agent.db")), Options::default());
        let journal = journal.unwrap();
        let agents = AgentCache::new(journal.clone(), 1, 64, Duration::ZERO);
        let agent = |n: usize| AgentId::new(&format!("a{n}")).unwrap();
        let busy = agents.slot(&agent(0));
        // One room each, and ten.
        for (texts, fit) in [(1, 60..=65), (80, 4..=8)] {
            for n in 0..200 {
                let slot = agents.slot(&agent(n));
                let mut held = slot.state.lock().await;
                agents.store(&agent(n), &slot, &mut held, loaded(texts));
            }
            let left = agents.slots.len();
            assert!(fit.contains(&left), "{left} of {texts} texts each");
            assert!(Arc::ptr_eq(&busy, &agents.slot(&agent(0))));
        }
        journal.close().await.unwrap();
    }
}
