//! Agents, snapshots, plans and settings.

use life_agent_observer::store::MAX_RECORDS;
use life_agent_observer::{
    AgentRecord, Dangling, JournalError, MAX_COUNTED, Proposal, ProposalRecord, StoredSnapshot,
    UsageBy, UsageTotal,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use crate::scan;
use crate::sqlite_error::read_error;

pub(crate) fn agent(
    connection: &Connection,
    agent_id: &str,
) -> rusqlite::Result<Option<AgentRecord>> {
    let sql = "SELECT agent_id, state_version, turns, last_seen, last_event FROM agents
         WHERE agent_id = ?1";
    connection.prepare_cached(sql)?.query_row([agent_id], agent_record).optional()
}

pub(crate) fn agents(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<AgentRecord>> {
    let sql = "SELECT agent_id, state_version, turns, last_seen, last_event FROM agents
         WHERE agent_id > ?1 ORDER BY agent_id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    // No id is empty, so every id comes after the empty text.
    let bounds = params![after.unwrap_or_default(), limit.min(MAX_RECORDS)];
    statement.query_map(bounds, agent_record)?.collect()
}

/// The latest step of any agent.
pub(crate) fn last_step(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT ifnull(max(last_event), 0) FROM agents", [], |row| row.get(0))
}

pub(crate) fn snapshot(
    connection: &Connection,
    agent_id: &str,
) -> Result<Option<StoredSnapshot>, JournalError> {
    let read = || {
        let sql = "SELECT event_id, state, state_hash FROM snapshots WHERE agent_id = ?1";
        let found = connection.prepare_cached(sql)?.query_row([agent_id], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        });
        found.optional()
    };
    let found = read().map_err(read_error)?;
    found.map(|(row, state, hash)| StoredSnapshot::parse(agent_id, row, &state, hash)).transpose()
}

pub(crate) fn proposals(
    connection: &Connection,
    status: Option<&str>,
    before: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<ProposalRecord>> {
    let wanted = if status.is_some() { "status = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT event_id, ts, id, status, intent, artifact, data FROM plans
         WHERE {wanted} AND event_id < ?2 ORDER BY event_id DESC LIMIT ?3"
    );
    let before = before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let bounds = params![status, before, limit.min(MAX_RECORDS)];
    statement.query_map(bounds, proposal_record)?.collect()
}

pub(crate) fn usage(
    connection: &Connection,
    by: UsageBy,
    since: &str,
    principal: Option<&str>,
) -> rusqlite::Result<Vec<UsageTotal>> {
    let name = match by {
        UsageBy::Principal => "principal",
        UsageBy::Agent => "agent_id",
        UsageBy::Model => "model",
    };
    // Times are texts of one form, so their order is that of the times.
    let sql = format!(
        "SELECT {name}, model, count(*), sum(min(prompt_tokens, {MAX_COUNTED})),
         sum(min(completion_tokens, {MAX_COUNTED})), sum(min(total_tokens, {MAX_COUNTED}))
         FROM usage WHERE ts >= ?1 AND (?2 IS NULL OR principal = ?2)
         GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?3"
    );
    let count = |row: &rusqlite::Row<'_>, at: usize| -> rusqlite::Result<u64> {
        Ok(row.get::<_, i64>(at)?.unsigned_abs())
    };
    let total = |row: &rusqlite::Row<'_>| {
        Ok(UsageTotal {
            name: row.get(0)?,
            model: row.get(1)?,
            calls: count(row, 2)?,
            prompt_tokens: count(row, 3)?,
            completion_tokens: count(row, 4)?,
            total_tokens: count(row, 5)?,
        })
    };
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map(params![since, principal, MAX_RECORDS], total)?.collect()
}

pub(crate) fn proposal(
    connection: &Connection,
    id: &str,
) -> rusqlite::Result<Option<ProposalRecord>> {
    let sql = "SELECT event_id, ts, id, status, intent, artifact, data FROM plans
         WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id], proposal_record).optional()
}

pub(crate) fn setting(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM settings WHERE key = ?1";
    connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
}

/// See [`life_agent_observer::Read::dangling`].
pub(crate) fn dangling(connection: &Connection) -> rusqlite::Result<Vec<Dangling>> {
    let pruned = scan::pruned(connection)?.map_or(0, |pruned| pruned.id);
    let mut found = Vec::new();
    for (record, table) in [("job", "jobs"), ("idempotency record", "marks")] {
        let sql = format!(
            "SELECT id, event_id FROM {table} WHERE event_id > ?1
             AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.id = {table}.event_id) LIMIT ?2"
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![pruned, MAX_RECORDS], |row| {
            Ok(Dangling { record, id: row.get(0)?, row: row.get(1)?, differs: false })
        })?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    let checks = [
        ("job", DIFFERING_JOBS, true),
        ("agent", DIFFERING_AGENTS, true),
        ("usage", ORPHANED_USAGE, false),
        ("usage", DIFFERING_USAGE, true),
    ];
    for (record, sql, differs) in checks {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map(params![pruned, MAX_RECORDS], |row| {
            Ok(Dangling { record, id: row.get(0)?, row: row.get(1)?, differs })
        })?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(found)
}

/// Jobs whose row is not their turn.
const DIFFERING_JOBS: &str =
    "SELECT jobs.id, journal.id FROM jobs JOIN journal ON journal.id = jobs.event_id
    WHERE journal.id > ?1 AND (journal.kind <> 'obs.turn' OR journal.agent_id IS NOT jobs.agent_id
        OR journal.principal <> jobs.principal OR journal.request_id <> jobs.request_id)
    LIMIT ?2";

/// Agents whose state or number of turns is not that of their last rows.
const DIFFERING_AGENTS: &str = "SELECT agents.agent_id, journal.id
    FROM agents JOIN journal ON journal.id = agents.last_event
    LEFT JOIN (SELECT agent_id, max(json_extract(data, '$.turn.number')) AS number FROM journal
        WHERE kind = 'obs.turn' GROUP BY agent_id) AS turn ON turn.agent_id = agents.agent_id
    WHERE journal.id > ?1 AND (turn.number <> agents.turns
        OR agents.state_hash IS NOT NULL
            AND lower(hex(agents.state_hash)) <> json_extract(journal.data, '$.state_hash'))
    LIMIT ?2";

/// Usage of a call that has no row, or of another request than its row.
const ORPHANED_USAGE: &str = "SELECT usage.request_id, usage.event_id FROM usage
    LEFT JOIN journal ON journal.id = usage.event_id
    WHERE usage.event_id > ?1 AND (journal.id IS NULL OR journal.request_id <> usage.request_id
        OR journal.principal <> usage.principal OR journal.ts <> usage.ts)
    LIMIT ?2";

/// Model calls whose row states other tokens than the table, or whose tokens the table lacks.
const DIFFERING_USAGE: &str = "SELECT request_id, id FROM (
        SELECT id, request_id, json_extract(data, '$.usage.prompt_tokens') AS prompt,
            json_extract(data, '$.usage.completion_tokens') AS completion
        FROM journal WHERE id > ?1 AND kind = 'llm.chat'
    ) AS called
    WHERE prompt + completion > 0 AND id NOT IN (
        SELECT journal.id FROM journal JOIN usage ON usage.event_id = journal.id
        WHERE journal.kind = 'llm.chat'
            AND usage.prompt_tokens = json_extract(journal.data, '$.usage.prompt_tokens')
            AND usage.completion_tokens = json_extract(journal.data, '$.usage.completion_tokens'))
    LIMIT ?2";

pub(crate) fn first_uncovered_step(
    connection: &Connection,
    upto: u64,
) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT min(first_open) FROM agents WHERE first_open <= ?1";
    connection.prepare_cached(sql)?.query_row([upto], |row| row.get(0))
}

pub(crate) fn uncovered_agents(
    connection: &Connection,
    upto: u64,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT agent_id FROM agents WHERE first_open <= ?1 LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map(params![upto, limit], |row| row.get(0))?.collect()
}

fn agent_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<AgentRecord> {
    Ok(AgentRecord {
        agent_id: row.get(0)?,
        state_version: row.get(1)?,
        turns: row.get(2)?,
        last_seen: row.get(3)?,
        last_event: row.get(4)?,
    })
}

fn proposal_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<ProposalRecord> {
    let data = RawValue::from_string(row.get(6)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(ProposalRecord {
        event_id: row.get(0)?,
        ts: row.get(1)?,
        proposal: Proposal {
            id: row.get(2)?,
            status: row.get(3)?,
            intent: row.get(4)?,
            artifact: row.get(5)?,
            data,
        },
    })
}
