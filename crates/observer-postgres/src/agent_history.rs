//! The rows of one agent: all of them block by block, and its steps backward from the last one.

use life_agent_domain::governance::event::{EventKind, Row};
use life_agent_observer::store::RECENT_STEPS;
use life_agent_observer::{AgentHistory, JournalError, Read};
use tokio_postgres::types::Type;

use crate::page::{ids_of, row_of, rows_of};
use crate::pg_error::PgError;
use crate::scan::COLUMNS;
use crate::stored::signed;
use crate::view::View;

/// Rows of a block, as a power of two, as in the index `events_agent`.
const BLOCK_BITS: u32 = 9;
/// Blocks that one statement searches.
const BLOCKS: u64 = 512;

/// Rows of any agent that one search covers.
pub(crate) const SCANNED_ROWS: u64 = 2 << 20;

/// Steps that one statement reads.
const STEPS: usize = 128;

/// The columns of [`COLUMNS`] where two tables have them.
const OF_EVENT: &str =
    "e.id, e.ts, e.kind, e.agent_id, e.principal, e.request_id, e.data, e.prev_hash, e.hash,
    e.prev_step";

/// See [`life_agent_observer::Read::agent_history`].
pub(crate) fn history(view: &View<'_>, agent_id: &str) -> Result<AgentHistory, JournalError> {
    let snapshot = view.snapshot(agent_id)?;
    let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.event_id);
    let mut walk = StepWalk::new(view, agent_id)?;
    let mut steps: Vec<Row> = Vec::new();
    while walk.next.is_none_or(|next| next > from) {
        let row = walk.next.or(steps.last().map(|row| row.id)).unwrap_or_default();
        let read = walk.steps(from, STEPS)?;
        if read.is_empty() {
            return Err(AgentHistory::broken(agent_id, row));
        }
        steps.extend(read);
    }
    steps.reverse();
    let snapshot_row = view.row(from)?.filter(|row| row.agent_id.as_deref() == Some(agent_id));
    // Asked only where the row is missing, which is rare.
    let pruned = match &snapshot_row {
        None if from > 0 => view.pruned()?.map_or(0, |row| row.id),
        _ => 0,
    };
    Ok(AgentHistory { snapshot, snapshot_row, steps, pruned })
}

/// See [`life_agent_observer::Read::recent_turns`].
pub(crate) fn recent_turns(
    view: &View<'_>,
    agent_id: &str,
    limit: usize,
) -> Result<Vec<Row>, JournalError> {
    let mut turns = StepWalk::new(view, agent_id)?.recent(RECENT_STEPS)?;
    turns.retain(|row| row.kind == EventKind::Turn.as_str());
    turns.truncate(limit);
    turns.reverse();
    Ok(turns)
}

/// See [`life_agent_observer::Read::recent_events`].
pub(crate) fn recent_events(
    view: &View<'_>,
    agent_id: &str,
    limit: usize,
) -> Result<Vec<Row>, JournalError> {
    let mut rows = StepWalk::new(view, agent_id)?.recent(limit.min(RECENT_STEPS))?;
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE agent_id = $1 AND kind = 'gate.denied'
         ORDER BY id DESC LIMIT $2"
    );
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = vec![(&agent_id as _, Type::TEXT), (&wanted as _, Type::INT8)];
    rows.extend(rows_of(&view.query(&sql, values)?)?);
    rows.sort_unstable_by_key(|row| row.id);
    rows.drain(..rows.len().saturating_sub(limit));
    Ok(rows)
}

/// Ids of the first `limit` rows after `after`, up to `end`, of this agent and these kinds (any if `None`).
pub(crate) fn ids_of_agent(
    view: &View<'_>,
    agent_id: &str,
    kinds: Option<Vec<&str>>,
    after: u64,
    end: u64,
    limit: usize,
) -> Result<Vec<i64>, JournalError> {
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX);
    let (first, last) = (signed(after), signed(end));
    if kinds.as_deref().is_some_and(|kinds| kinds == [EventKind::Denied.as_str()]) {
        let sql = "SELECT id FROM events WHERE agent_id = $1 AND kind = 'gate.denied' AND id > $2 AND id <= $3
            ORDER BY id LIMIT $4";
        let values = vec![
            (&agent_id as _, Type::TEXT),
            (&first as _, Type::INT8),
            (&last as _, Type::INT8),
            (&wanted as _, Type::INT8),
        ];
        return ids_of(&view.query(sql, values)?);
    }
    let sql = format!(
        "SELECT found.id FROM generate_series($1::int8, $2::int8) AS block CROSS JOIN LATERAL (
            SELECT id FROM events WHERE (id >> {BLOCK_BITS}) = block AND agent_id = $3
                AND ($4::text[] IS NULL OR kind = ANY($4)) AND id > $5 AND id <= $6) AS found
         ORDER BY 1 LIMIT $7"
    );
    let mut ids = Vec::new();
    let (mut block, last_block) = ((after + 1) >> BLOCK_BITS, end >> BLOCK_BITS);
    while block <= last_block && ids.len() < limit {
        let (from, to) = (signed(block), signed(last_block.min(block + BLOCKS - 1)));
        let values = vec![
            (&from as _, Type::INT8),
            (&to as _, Type::INT8),
            (&agent_id as _, Type::TEXT),
            (&kinds as _, Type::TEXT_ARRAY),
            (&first as _, Type::INT8),
            (&last as _, Type::INT8),
            (&wanted as _, Type::INT8),
        ];
        ids.extend(ids_of(&view.query(&sql, values)?)?);
        block += BLOCKS;
    }
    ids.truncate(limit);
    Ok(ids)
}

/// Walks from one step of an agent to the previous ones.
struct StepWalk<'v, 'p> {
    view: &'v View<'p>,
    agent_id: &'v str,
    /// The row of the next step; 0 at the end, `None` where a link is broken.
    next: Option<u64>,
}

impl<'v, 'p> StepWalk<'v, 'p> {
    /// Starts at the agent's last step.
    fn new(view: &'v View<'p>, agent_id: &'v str) -> Result<Self, JournalError> {
        let next = Some(view.agent(agent_id)?.map_or(0, |agent| agent.last_event));
        Ok(Self { view, agent_id, next })
    }

    /// The latest steps, newest first.
    fn recent(&mut self, limit: usize) -> Result<Vec<Row>, JournalError> {
        let mut steps = Vec::new();
        while steps.len() < limit {
            let read = self.steps(0, STEPS.min(limit - steps.len()))?;
            if read.is_empty() {
                break;
            }
            steps.extend(read);
        }
        Ok(steps)
    }

    /// Up to `limit` further steps after row `from`, newest first; none at the end or if the next one is missing.
    fn steps(&mut self, from: u64, limit: usize) -> Result<Vec<Row>, JournalError> {
        let Some(next) = self.next.filter(|next| *next > 0) else { return Ok(Vec::new()) };
        // A link that does not lead backward could lead in a circle.
        let sql = format!(
            "WITH RECURSIVE walk AS (
                SELECT {COLUMNS}, 1 AS step FROM events WHERE id = $1 AND agent_id = $4
                UNION ALL
                SELECT {OF_EVENT}, walk.step + 1 FROM walk JOIN events AS e ON e.id = walk.prev_step
                WHERE walk.prev_step < walk.id AND walk.prev_step > $2 AND walk.step < $3
                    AND e.agent_id = $4)
             SELECT {COLUMNS} FROM walk ORDER BY id DESC"
        );
        let (start, from) = (signed(next), signed(from));
        let count = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = vec![
            (&start as _, Type::INT8),
            (&from as _, Type::INT8),
            (&count as _, Type::INT4),
            (&self.agent_id as _, Type::TEXT),
        ];
        let rows = self.view.query(&sql, values)?;
        let mut steps = Vec::with_capacity(rows.len());
        self.next = None;
        for row in &rows {
            let step = row_of(row)?;
            let before: Option<i64> =
                row.try_get(9).map_err(|error| PgError::from(error).of_read())?;
            let before = before.and_then(|before| u64::try_from(before).ok());
            self.next = before.filter(|before| *before < step.id);
            steps.push(step);
        }
        Ok(steps)
    }
}
