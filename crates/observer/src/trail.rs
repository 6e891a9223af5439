//! The rows of one agent: all of them block by block, and its steps back from the last one.

use life_agent_domain::record::{EventKind, Row};
use rusqlite::{CachedStatement, OptionalExtension, params};

use crate::error::JournalError;
use crate::page::{COLUMNS, checked, raw_row};
use crate::read::{Reader, StoredSnapshot};

/// How many rows a block has, as a power of two: as in the index `events_agent`. With longer ones a row changes
/// more pages of it; with shorter ones there are more to look into.
const BLOCK_BITS: u32 = 9;

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
        let last = self.agent(agent_id)?.map_or(0, |agent| agent.last_event);
        let sql = format!("SELECT {COLUMNS}, prev_step FROM events WHERE id = ?1");
        let mut statement = self.prepare_cached(&sql)?;
        let mut step = |id: u64| {
            let found = statement.query_row([id], |row| Ok((raw_row(row)?, row.get(9)?)));
            let Some((row, before)) = found.optional()? else { return Ok(None) };
            Ok::<_, JournalError>(Some((checked(row)?, before)))
        };
        let mut steps = Vec::new();
        let mut next = last;
        while next > from {
            let (row, before): (Row, Option<u64>) =
                step(next)?.ok_or_else(|| astray(agent_id, next))?;
            let own = row.agent_id.as_deref() == Some(agent_id);
            // Each leads further back, or this would not end.
            next = before
                .filter(|before| own && *before < next)
                .ok_or_else(|| astray(agent_id, next))?;
            steps.push(row);
        }
        steps.reverse();
        let snapshot_row = if from > 0 { step(from)?.map(|(row, _)| row) } else { None };
        Ok(Past { snapshot, snapshot_row, steps })
    }

    /// The newest rows of an agent that are of these kinds, at most `limit`, oldest first.
    pub fn recent(
        &self,
        agent_id: &str,
        kinds: &[EventKind],
        limit: usize,
    ) -> Result<Vec<Row>, JournalError> {
        let _view = self.unchecked_transaction()?;
        let (first, last) = (self.first()?, self.head()?.id);
        let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
        let mut blocks = Blocks::new(self, agent_id, Some(kinds))?;
        let mut ids = Vec::new();
        for block in (block_of(first)..=block_of(last)).rev() {
            if ids.len() >= limit {
                break;
            }
            ids.extend(blocks.ids(block)?.into_iter().rev());
        }
        ids.truncate(limit);
        let sql = format!("SELECT {COLUMNS} FROM events WHERE id = ?1");
        let mut statement = self.prepare_cached(&sql)?;
        let rows = ids.iter().rev().map(|id| checked(statement.query_row([id], raw_row)?));
        rows.collect()
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
        let mut blocks = Blocks::new(self, agent_id, kinds)?;
        let mut ids = Vec::new();
        for block in block_of(after.saturating_add(1))..=block_of(end) {
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
