//! The heads of the agents in the current group: each row of `agents` is read once and written once,
//! however many of the agent's steps the group holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{AgentStep, AgentVersion, Snapshot, StateHash};
use rusqlite::{Connection, OptionalExtension, params};

/// The agents of a group.
#[derive(Default)]
pub(crate) struct AgentHeads(HashMap<AgentId, AgentHead>);

/// The position of one agent.
#[derive(Default)]
pub(crate) struct AgentHead {
    version: u64,
    turns: u64,
    /// `None` for an agent whose last step was stored by a version that kept no hash.
    state_hash: Option<StateHash>,
    last_seen: String,
    last_event: u64,
    first_open: Option<u64>,
}

impl AgentHeads {
    /// The agent's head after the batches of the group so far.
    pub(crate) fn of(
        &mut self,
        connection: &Connection,
        agent: &AgentId,
    ) -> rusqlite::Result<&mut AgentHead> {
        Ok(match self.0.entry(agent.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(stored(connection, agent)?.unwrap_or_default()),
        })
    }

    /// Stores a snapshot of the agent's present state, unless the agent is at another version.
    pub(crate) fn snapshot(
        &mut self,
        connection: &Connection,
        agent: &AgentId,
        snapshot: &Snapshot,
    ) -> rusqlite::Result<()> {
        let head = self.of(connection, agent)?;
        if head.last_event > 0 && head.version == snapshot.version() {
            put_snapshot(connection, agent, head.last_event, snapshot)?;
            head.first_open = None;
        }
        Ok(())
    }

    /// Writes the heads.
    pub(crate) fn put(&self, connection: &Connection) -> rusqlite::Result<()> {
        // A short text: SQLite compiles it once, but looking it up hashes it for every group.
        let sql = "REPLACE INTO agents (agent_id, state_version, turns, last_seen, last_event,
first_open, state_hash) VALUES (?,?,?,?,?,?,?)";
        for (agent, head) in self.0.iter().filter(|(_, head)| head.last_event > 0) {
            let AgentHead { version, turns, state_hash, last_seen, last_event, first_open } = head;
            let state_hash = state_hash.as_ref().map(StateHash::as_bytes);
            connection.prepare_cached(sql)?.execute(params![
                agent.as_str(),
                version,
                turns,
                last_seen,
                last_event,
                first_open,
                state_hash
            ])?;
        }
        Ok(())
    }
}

impl AgentHead {
    /// Whether the agent is at this version and state.
    pub(crate) fn is_at(&self, at: &AgentVersion) -> bool {
        let same_state =
            at.version == 0 || self.state_hash.is_none_or(|state_hash| state_hash == at.state_hash);
        self.version == at.version && same_state
    }

    /// The agent takes a step with row `id`. Returns the row of its previous step, 0 if there is none.
    pub(crate) fn advance(&mut self, id: u64) -> u64 {
        self.first_open.get_or_insert(id);
        std::mem::replace(&mut self.last_event, id)
    }

    /// Sets the position after the steps of a batch.
    pub(crate) fn reach(&mut self, step: AgentStep, last_seen: &str) {
        (self.version, self.turns) = (step.version, step.turns);
        self.state_hash = Some(step.state_hash);
        last_seen.clone_into(&mut self.last_seen);
    }
}

fn stored(connection: &Connection, agent: &AgentId) -> rusqlite::Result<Option<AgentHead>> {
    let sql =
        "SELECT state_version, turns, last_seen, last_event, first_open, state_hash FROM agents
        WHERE agent_id = ?1";
    let found = connection.prepare_cached(sql)?.query_row([agent.as_str()], |row| {
        Ok(AgentHead {
            version: row.get(0)?,
            turns: row.get(1)?,
            last_seen: row.get(2)?,
            last_event: row.get(3)?,
            first_open: row.get(4)?,
            state_hash: row.get::<_, Option<[u8; 32]>>(5)?.map(StateHash::from_bytes),
        })
    });
    found.optional()
}

fn put_snapshot(
    connection: &Connection,
    agent: &AgentId,
    event_id: u64,
    snapshot: &Snapshot,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO snapshots (agent_id, event_id, version, state, state_hash)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        agent.as_str(),
        event_id,
        snapshot.version(),
        snapshot.state(),
        snapshot.state_hash()
    ])?;
    Ok(())
}
