//! Agents in memory: read from the journal when they are needed, forgotten when they are idle.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use life_agent_domain::agent::rules::{ActStep, TurnStep, apply_act, apply_turn};
use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{
    AgentHistory, CommitHandle, Committed, Journal, JournalError, Rejection,
};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Weighter};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::answers::Present;
use crate::error::EngineError;
use crate::facts::blocking;

/// An agent's state as the last queued step left it, and the journal's epoch that it belongs to.
pub(crate) struct Loaded {
    pub(crate) present: Present,
    pub(crate) epoch: u64,
    /// How many rows had to be applied to the last snapshot, until a step has been taken.
    pub(crate) replayed: usize,
}

/// An agent that needed this many rows to be loaded leaves a snapshot with its next step, whenever the policy
/// would have one: with more agents than fit into memory each is loaded again and again.
const MANY_ROWS: usize = 8;

impl Loaded {
    /// Whether the next step should leave a snapshot.
    pub(crate) fn took_many_rows(&self) -> bool {
        self.replayed >= MANY_ROWS
    }
}

/// One agent's place in memory. Whoever holds the state may take the agent's next step; it is held for
/// as long as that takes to decide, and never while something is waited for. A queued step keeps the slot of
/// its agent until it is durable.
pub(crate) struct Slot {
    state: Mutex<Option<Loaded>>,
    /// Whether its agent was ever looked up. Until then no step of it can be queued.
    used: AtomicBool,
    /// A turn that waits for a model has it to itself, so that nothing changes the agent meanwhile;
    /// all other steps share it.
    turn: RwLock<()>,
    /// The rooms that it counts for; changed by whoever holds the state.
    rooms: AtomicU32,
}

impl Slot {
    fn empty() -> Self {
        let (state, used) = (Mutex::default(), AtomicBool::default());
        Self { state, used, turn: RwLock::default(), rooms: AtomicU32::new(1) }
    }
}

/// Bytes of a state that take one of the places in memory. Few states need more; one that is full to its
/// limits takes 25 or so.
const ROOM: usize = 2048;
/// Applying more steps than this takes long enough to leave the async thread.
const FEW_STEPS: usize = 64;
/// Space is set aside at once for so many.
const FEW: usize = 10_000;

pub(crate) struct Agents {
    slots: Cache<AgentId, Placed, Rooms, DefaultHashBuilder, Idle>,
    journal: Journal,
    seed: u64,
    /// How long a step waits for a turn under way.
    wait: Duration,
}

/// A slot and what it counts for. The cache asks for that again when it lets the slot go, so it may change
/// only by another one taking its place.
#[derive(Clone)]
struct Placed {
    slot: Arc<Slot>,
    rooms: u32,
}

#[derive(Clone)]
struct Rooms;

impl Weighter<AgentId, Placed> for Rooms {
    fn weight(&self, _agent: &AgentId, placed: &Placed) -> u64 {
        placed.rooms.into()
    }
}

/// A slot that someone holds must stay: a second one for the same agent would order steps anew.
#[derive(Clone)]
struct Idle;

impl quick_cache::Lifecycle<AgentId, Placed> for Idle {
    type RequestState = ();
    fn is_pinned(&self, _agent: &AgentId, placed: &Placed) -> bool {
        Arc::strong_count(&placed.slot) > 1
    }
}

impl Agents {
    pub(crate) fn new(journal: Journal, seed: u64, max_in_memory: usize, wait: Duration) -> Self {
        let slots = Cache::with(
            max_in_memory.min(FEW),
            max_in_memory as u64,
            Rooms,
            DefaultHashBuilder::default(),
            Idle,
        );
        Self { slots, journal, seed, wait }
    }

    pub(crate) fn slot(&self, agent: &AgentId) -> Arc<Slot> {
        let empty = || Placed { slot: Arc::new(Slot::empty()), rooms: 1 };
        let Ok(placed) = self.slots.get_or_insert_with(agent, || Ok::<_, Infallible>(empty()));
        placed.slot
    }

    /// Puts the agent's present state into its slot, which counts for as much as the state is large.
    pub(crate) fn keep(
        &self,
        agent: &AgentId,
        slot: &Arc<Slot>,
        held: &mut Option<Loaded>,
        loaded: Loaded,
    ) {
        let rooms = loaded.present.state.size() / ROOM + 1;
        let rooms = u32::try_from(rooms).unwrap_or(u32::MAX);
        *held = Some(loaded);
        if slot.rooms.swap(rooms, Ordering::Relaxed) != rooms {
            let placed = Placed { slot: Arc::clone(slot), rooms };
            // Whoever holds a slot keeps it where it is.
            let _ = self.slots.replace(agent.clone(), placed, true);
        }
    }

    /// For a step that is over in no time: any number of them may be about to take theirs.
    pub(crate) async fn share<'s>(
        &self,
        slot: &'s Slot,
    ) -> Result<RwLockReadGuard<'s, ()>, EngineError> {
        match slot.turn.try_read() {
            Ok(shared) => Ok(shared),
            Err(_) => self.in_time(slot.turn.read()).await,
        }
    }

    /// For a turn that takes its time: until the guard goes, the agent takes no other step.
    pub(crate) async fn hold<'s>(
        &self,
        slot: &'s Slot,
    ) -> Result<RwLockWriteGuard<'s, ()>, EngineError> {
        self.in_time(slot.turn.write()).await
    }

    async fn in_time<T>(&self, turn: impl Future<Output = T>) -> Result<T, EngineError> {
        tokio::time::timeout(self.wait, turn).await.map_err(|_| EngineError::AgentBusy)
    }

    /// Locks the slot, with the agent's present state in it.
    pub(crate) async fn lock<'s>(
        &self,
        agent: &AgentId,
        slot: &'s Arc<Slot>,
    ) -> Result<MutexGuard<'s, Option<Loaded>>, EngineError> {
        let mut held = slot.state.lock().await;
        // After a failed commit the epoch is another one: what is in memory may never have become
        // durable, so only the journal knows.
        if held.as_ref().is_none_or(|loaded| loaded.epoch != self.journal.epoch()) {
            *held = None;
            if slot.used.swap(true, Ordering::SeqCst) {
                // Steps of a caller that has gone away may still be queued.
                self.journal.barrier().await?;
            }
            let loaded = self.load(agent).await?;
            self.keep(agent, slot, &mut held, loaded);
        }
        Ok(held)
    }

    /// The present state, without taking a step.
    pub(crate) async fn present(&self, agent: &AgentId) -> Result<Present, EngineError> {
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
    ) -> Result<Committed, EngineError> {
        let committed = pending.await;
        if let Err(JournalError::Rejected(Rejection::AgentChanged(_))) = &committed {
            *slot.state.lock().await = None;
        }
        Ok(committed?)
    }

    async fn load(&self, agent: &AgentId) -> Result<Loaded, EngineError> {
        // The epoch first: should a commit fail from here on, this load counts as stale.
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

/// The state that the last snapshot and the rows after it give. Each row states the hash of the state
/// it led to: where they differ, the journal was changed behind our back and nothing is built on it. Also
/// how many rows there were.
fn rebuild(
    history: AgentHistory,
    agent: &AgentId,
    seed: u64,
) -> Result<(Present, usize), JournalError> {
    let AgentHistory { snapshot, snapshot_row, steps } = history;
    // Snapshots are not chained, rows are: what the row of the snapshot states counts.
    let stated = |row: Row| match serde_json::from_str::<Stated>(row.data.get()) {
        Ok(stated) => Ok((row.id, stated.state_hash)),
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
            Err(corrupt(agent, id, &"the state it states is not the state it leads to"))
        }
        _ => Ok((Present { state: Arc::new(state), state_hash }, steps.len())),
    }
}

fn corrupt(agent: &AgentId, row: u64, why: &dyn std::fmt::Display) -> JournalError {
    JournalError::damaged(format!("agent `{agent}` cannot be rebuilt at row {row}: {why}"))
}

#[derive(Deserialize)]
struct Stated {
    state_hash: String,
}

/// Applies a recorded step and returns the state hash that the row states.
pub(crate) fn apply_row(state: &mut AgentState, row: &Row) -> Result<String, serde_json::Error> {
    let data = row.data.get();
    if row.kind == EventKind::Act.as_str() {
        apply_act(state, &serde_json::from_str::<ActStep>(data)?);
    } else {
        apply_turn(state, &serde_json::from_str::<TurnStep>(data)?);
    }
    Ok(serde_json::from_str::<Stated>(data)?.state_hash)
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
        let agents = Agents::new(journal.clone(), 1, 64, Duration::ZERO);
        let agent = |n: usize| AgentId::new(&format!("a{n}")).unwrap();
        let busy = agents.slot(&agent(0));
        // One room each, and ten.
        for (texts, fit) in [(1, 60..=65), (80, 4..=8)] {
            for n in 0..200 {
                let slot = agents.slot(&agent(n));
                let mut held = slot.state.lock().await;
                agents.keep(&agent(n), &slot, &mut held, loaded(texts));
            }
            let left = agents.slots.len();
            assert!(fit.contains(&left), "{left} of {texts} texts each");
            assert!(Arc::ptr_eq(&busy, &agents.slot(&agent(0))));
        }
        journal.close().await.unwrap();
    }
}
