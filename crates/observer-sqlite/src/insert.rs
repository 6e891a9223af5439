//! Writes a group of batches in one transaction.

use jiff::Timestamp;
use life_agent_domain::governance::event::Row;
use life_agent_observer::chain::Tip;
use life_agent_observer::store::BatchOutcome;
use life_agent_observer::{Head, Proposal, SideWrite, Usage, WriteBatch};
use rusqlite::{Connection, OptionalExtension, params};

use crate::agent_heads::AgentHeads;
use crate::{control, expiry, idempotency, jobs, notes, preconditions, texts};

/// The end of the journal as the file stores it.
pub(crate) fn read_tip(connection: &Connection) -> rusqlite::Result<Tip> {
    let sql = "SELECT id, hash, ts FROM journal ORDER BY id DESC LIMIT 1";
    let last = connection.query_row(sql, [], |row| {
        Ok(Tip { head: Head { id: row.get(0)?, hash: row.get(1)? }, ts: row.get(2)? })
    });
    Ok(last.optional()?.unwrap_or_else(Tip::empty))
}

/// The journal's end while a group is written.
pub(crate) struct GroupState {
    pub(crate) tip: Tip,
    pub(crate) control: u64,
}

impl GroupState {
    pub(crate) fn new(tip: Tip, control: u64) -> Self {
        Self { tip, control }
    }
}

/// Writes a group in the open transaction of `connection`.
pub(crate) fn group(
    connection: &Connection,
    state: &mut GroupState,
    batches: Vec<WriteBatch>,
) -> rusqlite::Result<Vec<BatchOutcome>> {
    // All rows of a commit have the same time.
    if let Some(before) = state.tip.advance(now()) {
        let now = &state.tip.ts;
        tracing::warn!(before, now, "the clock was set back; rows have the new time from here on");
    }
    let mut heads = AgentHeads::default();
    let mut outcomes = Vec::with_capacity(batches.len());
    for batch in batches {
        let time = &state.tip.ts;
        let rejection = preconditions::check(connection, &mut heads, state.control, time, &batch)?;
        outcomes.push(match rejection {
            Some(rejection) => BatchOutcome::Rejected(rejection),
            None => BatchOutcome::Stored(insert_batch(connection, state, &mut heads, batch)?),
        });
    }
    heads.put(connection)?;
    Ok(outcomes)
}

fn insert_batch(
    connection: &Connection,
    state: &mut GroupState,
    heads: &mut AgentHeads,
    batch: WriteBatch,
) -> rusqlite::Result<Vec<Row>> {
    let agent = batch.step.and(batch.stepping_agent()).cloned();
    let mut head = match &agent {
        Some(agent) => Some(heads.of(connection, agent)?),
        None => None,
    };
    let mut rows = Vec::with_capacity(batch.entries.len());
    for entry in batch.entries {
        let is_step = entry.kind.is_step() && entry.agent == agent;
        let row = state.tip.seal(entry);
        let prev_step = head.as_mut().filter(|_| is_step).map(|head| head.advance(row.id));
        insert_row(connection, &row, prev_step)?;
        rows.push(row);
    }
    if let (Some(head), Some(step)) = (head, batch.step) {
        head.reach(step, &state.tip.ts);
    }
    if let (Some(agent), Some(snapshot)) = (&agent, &batch.snapshot) {
        heads.snapshot(connection, agent, snapshot)?;
    }
    for write in batch.side_writes {
        side_write(connection, write, &rows, heads, &mut state.control)?;
    }
    Ok(rows)
}

fn insert_row(connection: &Connection, row: &Row, prev_step: Option<u64>) -> rusqlite::Result<()> {
    let sql = "INSERT INTO journal
        (id, ts, kind, data, agent_id, principal, request_id, prev_hash, hash, prev_step)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(sql)?.execute(params![
        row.id,
        row.ts,
        row.kind,
        row.data.get(),
        row.agent_id,
        row.principal,
        row.request_id,
        row.prev_hash,
        row.hash,
        prev_step
    ])?;
    Ok(())
}

fn side_write(
    connection: &Connection,
    write: SideWrite,
    rows: &[Row],
    heads: &mut AgentHeads,
    control: &mut u64,
) -> rusqlite::Result<()> {
    match (write, rows.first()) {
        (SideWrite::Setting { key, value }, _) => {
            let sql = "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute([key, value]).map(drop)
        }
        (SideWrite::AdvanceControl, _) => {
            *control += 1;
            control::write(connection, *control)
        }
        (SideWrite::Snapshot(agent, snapshot), _) => heads.snapshot(connection, &agent, &snapshot),
        (SideWrite::Notes(agent, change), _) => notes::put(connection, &agent, &change),
        (SideWrite::Job(change), _) => jobs::put(connection, change, rows),
        (SideWrite::Idempotency(record), row) => {
            let ts = row.map_or_else(now, |row| row.ts.clone());
            idempotency::put(connection, &record, &ts, row.map(|row| row.id))
        }
        (SideWrite::Response(record, response), _) => {
            idempotency::put_response(connection, &record, &now(), &response)
        }
        (SideWrite::Texts(row), _) => texts::put(connection, &row),
        // The plans folder has it.
        (SideWrite::PlanFile(_), _) => Ok(()),
        (SideWrite::Expire(expired), _) => expiry::remove(connection, &expired),
        (SideWrite::Proposal(proposal), Some(row)) => put_proposal(connection, &proposal, row),
        (SideWrite::Usage(usage), Some(row)) => put_usage(connection, &usage, row),
        // `WriteBatch` refuses these two without a row.
        (SideWrite::Proposal(_) | SideWrite::Usage(_), None) => Ok(()),
        (other, _) => {
            tracing::error!(?other, "this backend does not know a side write");
            Err(rusqlite::Error::InvalidQuery)
        }
    }
}

fn put_proposal(connection: &Connection, proposal: &Proposal, row: &Row) -> rusqlite::Result<()> {
    let sql = "INSERT INTO plans (id, event_id, ts, status, intent, artifact, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, intent = excluded.intent,
            artifact = excluded.artifact, data = excluded.data";
    connection.prepare_cached(sql)?.execute(params![
        proposal.id,
        row.id,
        row.ts,
        proposal.status,
        proposal.intent,
        proposal.artifact,
        proposal.data.get()
    ])?;
    Ok(())
}

fn put_usage(connection: &Connection, usage: &Usage, row: &Row) -> rusqlite::Result<()> {
    let sql = "INSERT INTO usage (ts, request_id, principal, agent_id, model,
        prompt_tokens, completion_tokens, total_tokens, event_id)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    // Token counts come from a provider: an absurd one must not fail the group.
    let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.execute(params![
        row.ts,
        row.request_id,
        row.principal,
        row.agent_id,
        usage.model,
        count(usage.prompt_tokens),
        count(usage.completion_tokens),
        count(usage.total_tokens),
        row.id
    ])?;
    Ok(())
}

fn now() -> String {
    format!("{:.6}", Timestamp::now())
}
