//! Where agents stand after the group that is being written: one row of `agents` each, read once and put once,
//! however many steps the group has of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use life_agent_domain::governance::ids::AgentId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::work::{AgentStep, Snapshot};

/// The agents of a group.
#[derive(Default)]
pub(crate) struct Stands(HashMap<AgentId, Stand>);

/// Where one of them stands.
#[derive(Default)]
pub(crate) struct Stand {
    version: u64,
    turns: u64,
    seen: String,
    last_event: u64,
    first_open: Option<u64>,
}

impl Stands {
    /// Where the agent stands by now.
    pub(crate) fn of(
        &mut self,
        connection: &Connection,
        agent: &AgentId,
    ) -> rusqlite::Result<&mut Stand> {
        Ok(match self.0.entry(agent.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(stored(connection, agent)?.unwrap_or_default()),
        })
    }

    /// Keeps the agent's present state, unless it is another one than the snapshot's by now.
    pub(crate) fn snapshot(
        &mut self,
        connection: &Connection,
        agent: &AgentId,
        snapshot: &Snapshot,
    ) -> rusqlite::Result<()> {
        let stand = self.of(connection, agent)?;
        if stand.last_event > 0 && stand.version == snapshot.version {
            put_snapshot(connection, agent, stand.last_event, snapshot)?;
            stand.first_open = None;
        }
        Ok(())
    }

    /// Writes them down.
    pub(crate) fn put(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql =
            "INSERT INTO agents (agent_id, state_version, turns, last_seen, last_event, first_open)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (agent_id) DO UPDATE SET state_version = excluded.state_version,
                turns = excluded.turns, last_seen = excluded.last_seen,
                last_event = excluded.last_event, first_open = excluded.first_open";
        for (agent, stand) in self.0.iter().filter(|(_, stand)| stand.last_event > 0) {
            let Stand { version, turns, seen, last_event, first_open } = stand;
            let agent = agent.as_str();
            connection
                .prepare_cached(sql)?
                .execute(params![agent, version, turns, seen, last_event, first_open])?;
        }
        Ok(())
    }
}

impl Stand {
    /// The agent takes a step with the row `id`; the row of its step before, 0 if there was none.
    pub(crate) fn go_on(&mut self, id: u64) -> u64 {
        self.first_open.get_or_insert(id);
        std::mem::replace(&mut self.last_event, id)
    }

    /// What its steps have made of it.
    pub(crate) fn reach(&mut self, step: AgentStep, seen: &str) {
        (self.version, self.turns) = (step.version, step.turns);
        seen.clone_into(&mut self.seen);
    }
}

fn stored(connection: &Connection, agent: &AgentId) -> rusqlite::Result<Option<Stand>> {
    let sql = "SELECT state_version, turns, last_seen, last_event, first_open FROM agents
        WHERE agent_id = ?1";
    let found = connection.prepare_cached(sql)?.query_row([agent.as_str()], |row| {
        Ok(Stand {
            version: row.get(0)?,
            turns: row.get(1)?,
            seen: row.get(2)?,
            last_event: row.get(3)?,
            first_open: row.get(4)?,
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
    let Snapshot { version, state, state_hash } = snapshot;
    let agent = agent.as_str();
    connection
        .prepare_cached(sql)?
        .execute(params![agent, event_id, version, state, state_hash])?;
    Ok(())
}
