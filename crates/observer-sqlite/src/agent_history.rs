//! The rows of one agent: all of them block by block, and its steps backward from the last one.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::store::RECENT_STEPS;
use life_agent_observer::{AgentHistory, JournalError};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::page::{COLUMNS, checked, raw_row};
use crate::range::{Range, sort};
use crate::sqlite_error::read_error;
use crate::{records, scan};

/// Rows of a block, as a power of two, as in the index `events_agent`. With longer blocks a row changes
/// more pages of the index; with shorter ones a search reads more blocks.
const BLOCK_BITS: u32 = 9;

/// Rows of any agent that one search covers: about 20 ms.
pub(crate) const SCANNED_ROWS: u64 = 2 << 20;

/// See [`life_agent_observer::Read::agent_history`].
pub(crate) fn history(
    connection: &Connection,
    agent_id: &str,
) -> Result<AgentHistory, JournalError> {
    let snapshot = records::snapshot(connection, agent_id)?;
    let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.event_id);
    let mut walk = StepWalk::new(connection, agent_id)?;
    let mut steps: Vec<Row> = Vec::new();
    while walk.next.is_none_or(|next| next > from) {
        let row = walk.next.or(steps.last().map(|row| row.id)).unwrap_or_default();
        steps.push(walk.step()?.ok_or_else(|| AgentHistory::broken(agent_id, row))?);
    }
    steps.reverse();
    let snapshot_row = if from > 0 { walk.at(from)?.map(|(row, _)| row) } else { None };
    // Asked only where the row is missing, which is rare.
    let pruned = match &snapshot_row {
        None if from > 0 => scan::pruned(connection).map_err(read_error)?.map_or(0, |row| row.id),
        _ => 0,
    };
    Ok(AgentHistory { snapshot, snapshot_row, steps, pruned })
}

/// See [`life_agent_observer::Read::recent_turns`].
pub(crate) fn recent_turns(
    connection: &Connection,
    agent_id: &str,
    limit: usize,
) -> Result<Vec<Row>, JournalError> {
    let is_turn = |row: &Row| row.kind == EventKind::Turn.as_str();
    let mut turns = recent_steps(connection, agent_id, limit, is_turn)?;
    turns.reverse();
    Ok(turns)
}

/// See [`life_agent_observer::Read::recent_events`].
pub(crate) fn recent_events(
    connection: &Connection,
    agent_id: &str,
    limit: usize,
) -> Result<Vec<Row>, JournalError> {
    let mut rows = recent_steps(connection, agent_id, limit, |_| true)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM journal INDEXED BY events_denied
         WHERE agent_id = ?1 AND kind = 'gate.denied' ORDER BY id DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(read_error)?;
    for denied in statement.query_map(params![agent_id, limit], raw_row).map_err(read_error)? {
        rows.push(checked(denied.map_err(read_error)?)?);
    }
    rows.sort_unstable_by_key(|row| row.id);
    rows.drain(..rows.len().saturating_sub(limit));
    Ok(rows)
}

/// The latest requested steps, newest first.
fn recent_steps(
    connection: &Connection,
    agent_id: &str,
    limit: usize,
    wanted: impl Fn(&Row) -> bool,
) -> Result<Vec<Row>, JournalError> {
    let mut walk = StepWalk::new(connection, agent_id)?;
    let mut rows = Vec::new();
    for _ in 0..RECENT_STEPS {
        if rows.len() >= limit {
            break;
        }
        let Some(row) = walk.step()? else { break };
        rows.extend(Some(row).filter(&wanted));
    }
    Ok(rows)
}

/// Ids of the first `limit` rows of the range, in its direction, of this agent and these kinds (any if
/// `None`).
pub(crate) fn ids_of_agent(
    connection: &Connection,
    agent_id: &str,
    kinds: Option<Vec<String>>,
    range: Range,
    limit: usize,
) -> rusqlite::Result<Vec<u64>> {
    if kinds.as_deref().is_some_and(|kinds| kinds == [EventKind::Denied.as_str()]) {
        let sql = format!(
            "SELECT id FROM journal INDEXED BY events_denied
             WHERE agent_id = ?1 AND kind = 'gate.denied' AND id BETWEEN ?2 AND ?3
             ORDER BY id {} LIMIT ?4",
            range.direction()
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let bounds = params![agent_id, range.low, range.high, limit];
        let found = statement.query_map(bounds, |row| row.get(0))?;
        return found.collect();
    }
    let mut blocks = Blocks::new(connection, agent_id, kinds)?;
    let mut ids = Vec::new();
    let (first, last) = (block_of(range.low), block_of(range.high));
    for n in 0..=last - first {
        let block = if range.newest_first { last - n } else { first + n };
        let mut found = blocks.ids(block)?;
        found.retain(|id| (range.low..=range.high).contains(id));
        sort(&mut found, range);
        ids.extend(found);
        if ids.len() >= limit {
            break;
        }
    }
    ids.truncate(limit);
    Ok(ids)
}

fn block_of(id: u64) -> u64 {
    id >> BLOCK_BITS
}

/// Walks from one step of an agent to the previous one.
struct StepWalk<'c> {
    statement: CachedStatement<'c>,
    agent_id: &'c str,
    /// The row of the next step; 0 at the end, `None` where a link is broken.
    next: Option<u64>,
}

impl<'c> StepWalk<'c> {
    /// Starts at the agent's last step.
    fn new(connection: &'c Connection, agent_id: &'c str) -> Result<Self, JournalError> {
        let sql = format!("SELECT {COLUMNS}, prev_step FROM journal WHERE id = ?1");
        let agent = records::agent(connection, agent_id).map_err(read_error)?;
        let next = Some(agent.map_or(0, |agent| agent.last_event));
        let statement = connection.prepare_cached(&sql).map_err(read_error)?;
        Ok(Self { statement, agent_id, next })
    }

    /// The next step; `None` at the end or if it is missing.
    fn step(&mut self) -> Result<Option<Row>, JournalError> {
        let next = self.next.take().filter(|next| *next > 0);
        let Some((row, before)) = next.map(|next| self.at(next)).transpose()?.flatten() else {
            return Ok(None);
        };
        // A link that does not lead backward could lead in a circle.
        self.next = before.filter(|before| *before < row.id);
        Ok(Some(row))
    }

    /// A row of the agent, and the row of its previous step.
    fn at(&mut self, id: u64) -> Result<Option<(Row, Option<u64>)>, JournalError> {
        let found = self.statement.query_row([id], |row| Ok((raw_row(row)?, row.get(9)?)));
        let Some((row, before)) = found.optional().map_err(read_error)? else { return Ok(None) };
        let row = checked(row)?;
        Ok((row.agent_id.as_deref() == Some(self.agent_id)).then_some((row, before)))
    }
}

/// Searches one block after the other for an agent's rows.
struct Blocks<'c> {
    statement: CachedStatement<'c>,
    agent_id: &'c str,
    kinds: Option<Vec<String>>,
}

impl<'c> Blocks<'c> {
    fn new(
        connection: &'c Connection,
        agent_id: &'c str,
        kinds: Option<Vec<String>>,
    ) -> rusqlite::Result<Self> {
        // One range of the index for each kind: for several kinds at once, the planner would read all
        // rows of the agent.
        let kind = if kinds.is_some() { "kind = ?3" } else { "?3 IS NULL" };
        let sql = format!(
            "SELECT id FROM journal INDEXED BY events_agent
             WHERE id >> {BLOCK_BITS} = ?1 AND agent_id = ?2 AND {kind}"
        );
        Ok(Self { statement: connection.prepare_cached(&sql)?, agent_id, kinds })
    }

    /// The ids in this block, in any order.
    fn ids(&mut self, block: u64) -> rusqlite::Result<Vec<u64>> {
        let mut ids = Vec::new();
        match self.kinds.take() {
            Some(kinds) => {
                for kind in &kinds {
                    self.collect(block, Some(kind), &mut ids)?;
                }
                self.kinds = Some(kinds);
            }
            None => self.collect(block, None, &mut ids)?,
        }
        Ok(ids)
    }

    fn collect(
        &mut self,
        block: u64,
        kind: Option<&str>,
        ids: &mut Vec<u64>,
    ) -> rusqlite::Result<()> {
        let found =
            self.statement.query_map(params![block, self.agent_id, kind], |row| row.get(0))?;
        for id in found {
            ids.push(id?);
        }
        Ok(())
    }
}
