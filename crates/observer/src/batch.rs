//! Puts a group of work into one transaction.

use std::collections::HashMap;

use jiff::Timestamp;
use life_agent_domain::ids::AgentId;
use life_agent_domain::record::{Entry, Row};
use rusqlite::{Connection, OptionalExtension, params};

use crate::chain::{FIRST_PREV_HASH, Link};
use crate::facts;
use crate::forget;
use crate::jobs;
use crate::marks;
use crate::work::{AgentStep, Extra, Head, Snapshot, Work};

/// The end of the journal: what the next row goes on from.
#[derive(Debug, Clone)]
pub(crate) struct Tip {
    pub(crate) head: Head,
    /// When its last row was recorded; empty if there is none.
    pub(crate) ts: String,
}

impl Tip {
    /// The end of the journal as the file has it.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT id, hash, ts FROM events ORDER BY id DESC LIMIT 1";
        let last = connection.query_row(sql, [], |row| {
            Ok(Self { head: Head { id: row.get(0)?, hash: row.get(1)? }, ts: row.get(2)? })
        });
        let none =
            || Self { head: Head { id: 0, hash: FIRST_PREV_HASH.to_owned() }, ts: String::new() };
        Ok(last.optional()?.unwrap_or_else(none))
    }

    /// From now on rows are recorded at this time. A clock that was set back must not make them look
    /// older than the ones before them.
    fn advance(&mut self, now: String) {
        if now > self.ts {
            self.ts = now;
        }
    }

    /// The row that this entry becomes.
    fn next(&mut self, entry: Entry) -> Row {
        let id = self.head.id + 1;
        let agent_id: Option<String> = entry.agent.map(String::from);
        let kind = entry.kind.as_str();
        let hash = Link {
            prev_hash: self.head.hash.as_bytes(),
            id,
            ts: self.ts.as_bytes(),
            kind: kind.as_bytes(),
            agent_id: agent_id.as_deref().map(str::as_bytes),
            principal: entry.principal.as_bytes(),
            request_id: entry.request_id.as_bytes(),
            data: entry.data.get().as_bytes(),
        }
        .hash_text();
        let prev = std::mem::replace(&mut self.head, Head { id, hash: hash.clone() });
        Row {
            id,
            ts: self.ts.clone(),
            kind: kind.to_owned(),
            agent_id,
            principal: entry.principal,
            request_id: entry.request_id,
            data: entry.data,
            prev_hash: prev.hash,
            hash,
        }
    }
}

/// Where an agent stands after this group: one upsert an agent, however many steps it took.
struct Stand {
    step: AgentStep,
    seen: String,
    event_id: u64,
}

/// Writes a group into the open transaction of `connection`; the rows of each work, in order.
pub(crate) fn insert(
    connection: &Connection,
    tip: &mut Tip,
    works: Vec<Work>,
) -> rusqlite::Result<Vec<Vec<Row>>> {
    // Rows that share a commit are recorded at the same moment.
    tip.advance(now());
    let mut stands: HashMap<AgentId, Stand> = HashMap::new();
    let mut written = Vec::with_capacity(works.len());
    for work in works {
        let stepping = work.step_entry().map(|(index, agent)| (index, agent.clone()));
        let mut rows = Vec::with_capacity(work.entries.len());
        for entry in work.entries {
            let row = tip.next(entry);
            insert_row(connection, &row)?;
            rows.push(row);
        }
        if let Some((index, agent)) = stepping
            && let Some(row) = rows.get(index)
        {
            if let Some(snapshot) = &work.snapshot {
                put_snapshot(connection, &agent, row.id, snapshot)?;
            }
            if let Some(step) = work.step {
                let stand = Stand { step, seen: row.ts.clone(), event_id: row.id };
                stands.insert(agent, stand);
            }
        }
        for extra in work.extra {
            put_extra(connection, extra, &rows, &stands)?;
        }
        written.push(rows);
    }
    for (agent, stand) in &stands {
        put_agent(connection, agent, stand)?;
    }
    Ok(written)
}

fn insert_row(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events
        (id, ts, kind, data, agent_id, principal, request_id, prev_hash, hash)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        row.id,
        row.ts,
        row.kind,
        row.data.get(),
        row.agent_id,
        row.principal,
        row.request_id,
        row.prev_hash,
        row.hash
    ])?;
    Ok(())
}

fn put_agent(connection: &Connection, agent: &AgentId, stand: &Stand) -> rusqlite::Result<()> {
    let sql = "INSERT INTO agents (agent_id, state_version, turns, last_seen, last_event)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (agent_id) DO UPDATE SET state_version = excluded.state_version,
            turns = excluded.turns, last_seen = excluded.last_seen, last_event = excluded.last_event";
    let Stand { step, seen, event_id } = stand;
    let agent = agent.as_str();
    connection.prepare_cached(sql)?.execute(params![
        agent,
        step.version,
        step.turns,
        seen,
        event_id
    ])?;
    Ok(())
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

fn put_extra(
    connection: &Connection,
    extra: Extra,
    rows: &[Row],
    stands: &HashMap<AgentId, Stand>,
) -> rusqlite::Result<()> {
    match (extra, rows.first()) {
        (Extra::Setting { key, value }, _) => {
            let sql = "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute([key, value])?;
        }
        (Extra::Snapshot(agent, snapshot), _) => {
            let stood = match stands.get(&agent) {
                Some(stand) => Some((stand.step.version, stand.event_id)),
                None => stored_stand(connection, &agent)?,
            };
            if let Some((_, event_id)) = stood.filter(|(version, _)| *version == snapshot.version) {
                put_snapshot(connection, &agent, event_id, &snapshot)?;
            }
        }
        (Extra::Facts(agent, change), _) => facts::put(connection, &agent, &change)?,
        (Extra::Job(change), _) => jobs::put(connection, change, rows)?,
        (Extra::Mark(mark), row) => {
            let ts = row.map_or_else(now, |row| row.ts.clone());
            marks::put(connection, &mark, &ts, row.map(|row| row.id))?;
        }
        (Extra::Answer(mark, answer), _) => marks::put_answer(connection, &mark, &now(), &answer)?,
        (Extra::Forget(forget), _) => forget::put(connection, &forget)?,
        (Extra::Proposal(proposal), Some(row)) => {
            let sql = "INSERT INTO proposals (id, event_id, ts, status, intent, artifact, data)
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
        }
        (Extra::Usage(usage), Some(row)) => {
            let sql = "INSERT INTO llm_usage (ts, request_id, principal, agent_id, model,
                prompt_tokens, completion_tokens, total_tokens)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            connection.prepare_cached(sql)?.execute(params![
                row.ts,
                row.request_id,
                row.principal,
                row.agent_id,
                usage.model,
                countable(usage.prompt_tokens),
                countable(usage.completion_tokens),
                countable(usage.total_tokens)
            ])?;
        }
        // Refused by `Work::check`: these two need a row.
        (Extra::Proposal(_) | Extra::Usage(_), None) => {}
    }
    Ok(())
}

fn now() -> String {
    format!("{:.6}", Timestamp::now())
}

/// Token counts come from a provider: a wild one must not fail the group.
fn countable(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn stored_stand(connection: &Connection, agent: &AgentId) -> rusqlite::Result<Option<(u64, u64)>> {
    let sql = "SELECT state_version, last_event FROM agents WHERE agent_id = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([agent.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
    found.optional()
}
