//! Puts a group of work into one transaction.

use jiff::Timestamp;
use life_agent_domain::governance::event::{Entry, Row};
use rusqlite::{Connection, OptionalExtension, params};

use crate::chain::{FIRST_PREV_HASH, Link};
use crate::facts;
use crate::forget;
use crate::jobs;
use crate::marks;
use crate::stand::Stands;
use crate::work::{Extra, Head, Work};

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

/// Writes a group into the open transaction of `connection`; the rows of each work, in order.
pub(crate) fn insert(
    connection: &Connection,
    tip: &mut Tip,
    works: Vec<Work>,
) -> rusqlite::Result<Vec<Vec<Row>>> {
    // Rows that share a commit are recorded at the same moment.
    tip.advance(now());
    let mut stands = Stands::default();
    let mut written = Vec::with_capacity(works.len());
    for work in works {
        let agent = work.step.and(work.stepping()).cloned();
        let mut stand = match &agent {
            Some(agent) => Some(stands.of(connection, agent)?),
            None => None,
        };
        let mut rows = Vec::with_capacity(work.entries.len());
        for entry in work.entries {
            let is_step = entry.kind.is_step() && entry.agent == agent;
            let row = tip.next(entry);
            let prev_step = stand.as_mut().filter(|_| is_step).map(|stand| stand.go_on(row.id));
            insert_row(connection, &row, prev_step)?;
            rows.push(row);
        }
        if let (Some(stand), Some(step)) = (stand, work.step) {
            stand.reach(step, &tip.ts);
        }
        if let (Some(agent), Some(snapshot)) = (&agent, &work.snapshot) {
            stands.snapshot(connection, agent, snapshot)?;
        }
        for extra in work.extra {
            put_extra(connection, extra, &rows, &mut stands)?;
        }
        written.push(rows);
    }
    stands.put(connection)?;
    Ok(written)
}

fn insert_row(connection: &Connection, row: &Row, prev_step: Option<u64>) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events
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

fn put_extra(
    connection: &Connection,
    extra: Extra,
    rows: &[Row],
    stands: &mut Stands,
) -> rusqlite::Result<()> {
    match (extra, rows.first()) {
        (Extra::Setting { key, value }, _) => {
            let sql = "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute([key, value])?;
        }
        (Extra::Snapshot(agent, snapshot), _) => stands.snapshot(connection, &agent, &snapshot)?,
        (Extra::GateInputs(agent, change), _) => facts::put(connection, &agent, &change)?,
        (Extra::Job(change), _) => jobs::put(connection, change, rows)?,
        (Extra::Mark(mark), row) => {
            let ts = row.map_or_else(now, |row| row.ts.clone());
            marks::put(connection, &mark, &ts, row.map(|row| row.id))?;
        }
        (Extra::Answer(mark, answer), _) => marks::put_answer(connection, &mark, &now(), &answer)?,
        (Extra::Forget(forgotten), _) => forget::put(connection, &forgotten)?,
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
