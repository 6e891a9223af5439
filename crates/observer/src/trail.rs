//! The rows of one agent: all of them block by block, and its steps back from the last one.

use life_agent_domain::governance::event::{EventKind, Row};
use rusqlite::{CachedStatement, OptionalExtension, params};

use crate::error::JournalError;
use crate::page::{COLUMNS, checked, raw_row};
use crate::read::{Reader, StoredSnapshot};

/// How many rows a block has, as a power of two: as in the index `events_agent`. With longer ones a row changes
/// more pages of it; with shorter ones there are more to look into.
const BLOCK_BITS: u32 = 9;

/// Rows, the agent's or not, that one call looks through: some 20 ms.
pub(crate) const LOOKED_THROUGH: u64 = 2 << 20;

/// Steps further back are not looked at for what an agent did lately.
const RECENT_STEPS: usize = 256;

/// An agent's last snapshot and what came after it, as of one moment.
#[derive(Debug)]
pub struct Past {
    /// The snapshot; none of an agent that began with an older version, or has taken no step.
    pub snapshot: Option<StoredSnapshot>,
    /// The step that the snapshot was taken after, unless retention has removed it.
    pub snapshot_row: Option<Row>,
    /// The steps since; without a snapshot all of them.
    pub steps: Vec<Row>,
}

impl Reader {
    /// What the present state of an agent is made of.
    pub fn past(&self, agent_id: &str) -> Result<Past, JournalError> {
        // One view of the file for all of it, and locks taken once.
        let _view = self.unchecked_transaction()?;
        let snapshot = self.snapshot(agent_id)?;
        let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.event_id);
        let mut trail = self.trail(agent_id)?;
        let mut steps: Vec<Row> = Vec::new();
        while trail.next.is_none_or(|next| next > from) {
            let row = trail.next.or(steps.last().map(|row| row.id)).unwrap_or_default();
            steps.push(trail.step()?.ok_or_else(|| astray(agent_id, row))?);
        }
        steps.reverse();
        let snapshot_row = if from > 0 { trail.at(from)?.map(|(row, _)| row) } else { None };
        Ok(Past { snapshot, snapshot_row, steps })
    }

    /// The newest turns of an agent among its last few hundred steps, at most `limit`, oldest first.
    pub fn recent_turns(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        let _view = self.unchecked_transaction()?;
        let is_turn = |row: &Row| row.kind == EventKind::Turn.as_str();
        let mut turns = self.recent_steps(agent_id, limit, is_turn)?;
        turns.reverse();
        Ok(turns)
    }

    /// How an agent has fared: its newest acts, turns and refusals, at most `limit`, oldest first.
    pub fn recent(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        let _view = self.unchecked_transaction()?;
        let mut rows = self.recent_steps(agent_id, limit, |_| true)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM events INDEXED BY events_denied
             WHERE agent_id = ?1 AND kind = 'gate.denied' ORDER BY id DESC LIMIT ?2"
        );
        let mut statement = self.prepare_cached(&sql)?;
        let denied = statement.query_map(params![agent_id, limit], raw_row)?;
        rows.extend(denied.map(|row| checked(row?)).collect::<Result<Vec<_>, _>>()?);
        rows.sort_unstable_by_key(|row| row.id);
        rows.drain(..rows.len().saturating_sub(limit));
        Ok(rows)
    }

    /// The newest first.
    fn recent_steps(
        &self,
        agent_id: &str,
        limit: usize,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Vec<Row>, JournalError> {
        let mut trail = self.trail(agent_id)?;
        let (mut rows, mut left) = (Vec::new(), RECENT_STEPS);
        while rows.len() < limit && left > 0 {
            let Some(row) = trail.step()? else { break };
            rows.extend(Some(row).filter(&wanted));
            left -= 1;
        }
        Ok(rows)
    }

    /// From the agent's last step on.
    fn trail<'r>(&'r self, agent_id: &'r str) -> Result<Trail<'r>, JournalError> {
        let sql = format!("SELECT {COLUMNS}, prev_step FROM events WHERE id = ?1");
        let next = Some(self.agent(agent_id)?.map_or(0, |agent| agent.last_event));
        Ok(Trail { statement: self.prepare_cached(&sql)?, agent_id, next })
    }

    /// The numbers of the first `limit` rows after `after`, up to `end`, that are the agent's and of these
    /// kinds (none: of any).
    pub(crate) fn ids_of_agent(
        &self,
        agent_id: &str,
        kinds: Option<Vec<String>>,
        after: u64,
        end: u64,
        limit: usize,
    ) -> rusqlite::Result<Vec<u64>> {
        if kinds.as_deref().is_some_and(|kinds| kinds == [EventKind::Denied.as_str()]) {
            let sql = "SELECT id FROM events INDEXED BY events_denied
                WHERE agent_id = ?1 AND kind = 'gate.denied' AND id > ?2 AND id <= ?3
                ORDER BY id LIMIT ?4";
            let mut statement = self.prepare_cached(sql)?;
            let found =
                statement.query_map(params![agent_id, after, end, limit], |row| row.get(0))?;
            return found.collect();
        }
        let mut blocks = Blocks::new(self, agent_id, kinds)?;
        let mut ids = Vec::new();
        for block in block_of(after + 1)..=block_of(end) {
            let found = blocks.ids(block)?;
            ids.extend(found.into_iter().filter(|id| (after + 1..=end).contains(id)));
            if ids.len() >= limit {
                break;
            }
        }
        ids.truncate(limit);
        Ok(ids)
    }
}

fn block_of(id: u64) -> u64 {
    id >> BLOCK_BITS
}

fn astray(agent_id: &str, row: u64) -> JournalError {
    JournalError::Damaged(format!(
        "the steps of agent `{agent_id}` do not lead back to its snapshot: row {row} is missing or not one of them"
    ))
}

/// Goes back from one step of an agent to the one before.
struct Trail<'r> {
    statement: CachedStatement<'r>,
    agent_id: &'r str,
    /// The row of the step that comes next; 0 at the end, none where the way is lost.
    next: Option<u64>,
}

impl Trail<'_> {
    /// The next one; none at the end, or if it is not there.
    fn step(&mut self) -> Result<Option<Row>, JournalError> {
        let next = self.next.take().filter(|next| *next > 0);
        let Some((row, before)) = next.map(|next| self.at(next)).transpose()?.flatten() else {
            return Ok(None);
        };
        // Each leads further back, or there would be no end.
        self.next = before.filter(|before| *before < row.id);
        Ok(Some(row))
    }

    /// A row of the agent, and that of the step before it.
    fn at(&mut self, id: u64) -> Result<Option<(Row, Option<u64>)>, JournalError> {
        let found = self.statement.query_row([id], |row| Ok((raw_row(row)?, row.get(9)?)));
        let Some((row, before)) = found.optional()? else { return Ok(None) };
        let row = checked(row)?;
        Ok((row.agent_id.as_deref() == Some(self.agent_id)).then_some((row, before)))
    }
}

/// Looks into one block after the other for an agent's rows.
struct Blocks<'r> {
    statement: CachedStatement<'r>,
    agent_id: &'r str,
    kinds: Option<Vec<String>>,
}

impl<'r> Blocks<'r> {
    fn new(
        reader: &'r Reader,
        agent_id: &'r str,
        kinds: Option<Vec<String>>,
    ) -> rusqlite::Result<Self> {
        // One run of the index for each kind: the planner would look at all rows of the agent for several.
        let kind = if kinds.is_some() { "kind = ?3" } else { "?3 IS NULL" };
        let sql = format!(
            "SELECT id FROM events INDEXED BY events_agent
             WHERE id >> {BLOCK_BITS} = ?1 AND agent_id = ?2 AND {kind}"
        );
        Ok(Self { statement: reader.prepare_cached(&sql)?, agent_id, kinds })
    }

    /// Their numbers in this block, in order.
    fn ids(&mut self, block: u64) -> rusqlite::Result<Vec<u64>> {
        let (statement, agent_id) = (&mut self.statement, self.agent_id);
        let mut ids = Vec::new();
        let mut look = |kind: Option<&str>| -> rusqlite::Result<()> {
            let found = statement.query_map(params![block, agent_id, kind], |row| row.get(0))?;
            for id in found {
                ids.push(id?);
            }
            Ok(())
        };
        match &self.kinds {
            Some(kinds) => kinds.iter().try_for_each(|kind| look(Some(kind)))?,
            None => look(None)?,
        }
        ids.sort_unstable();
        Ok(ids)
    }
}
