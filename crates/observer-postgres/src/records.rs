//! The head, agents, snapshots, plans, usage, settings, recorded calls and notes.

use life_agent_observer::store::MAX_RECORDS;
use life_agent_observer::{
    AgentRecord, Dangling, Head, IdempotencyEntry, IdempotencyRecord, JournalError, MAX_COUNTED,
    PlanFile, Proposal, ProposalRecord, Read, StoredResponse, StoredSnapshot, UsageBy, UsageTotal,
    rank_notes,
};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::pg_error::PgError;
use crate::stored::{number, signed};
use crate::view::View;

/// Reads all rows with one function.
pub(crate) fn each<T>(
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, PgError>,
) -> Result<Vec<T>, JournalError> {
    rows.iter().map(read).collect::<Result<_, _>>().map_err(PgError::of_read)
}

/// A number that one statement returns.
pub(crate) fn count_of(view: &View<'_>, sql: &str) -> Result<u64, JournalError> {
    let number: Option<i64> = view.column(&view.query(sql, vec![])?, 0)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
}

/// A bound on the number of rows.
fn limited(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_RECORDS)).unwrap_or(i64::MAX)
}

pub(crate) fn head(view: &View<'_>) -> Result<Head, JournalError> {
    let rows = view.query("SELECT id, hash FROM head", vec![])?;
    let found = each(&rows, |row| Ok(Head { id: number(row, 0)?, hash: row.try_get(1)? }))?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| JournalError::damaged("the end of the journal is missing"))
}

pub(crate) fn agent(view: &View<'_>, agent_id: &str) -> Result<Option<AgentRecord>, JournalError> {
    let sql = "SELECT agent_id, state_version, turns, last_seen, last_event FROM agents
        WHERE agent_id = $1";
    let rows = view.query(sql, vec![(&agent_id, Type::TEXT)])?;
    Ok(each(&rows, agent_record)?.pop())
}

pub(crate) fn agents(
    view: &View<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<AgentRecord>, JournalError> {
    let sql = "SELECT agent_id, state_version, turns, last_seen, last_event FROM agents
        WHERE agent_id > $1 ORDER BY agent_id LIMIT $2";
    // No id is empty, so every id comes after the empty text.
    let (after, limit) = (after.unwrap_or_default(), limited(limit));
    let rows = view.query(sql, vec![(&after, Type::TEXT), (&limit, Type::INT8)])?;
    each(&rows, agent_record)
}

fn agent_record(row: &Row) -> Result<AgentRecord, PgError> {
    Ok(AgentRecord {
        agent_id: row.try_get(0)?,
        state_version: number(row, 1)?,
        turns: number(row, 2)?,
        last_seen: row.try_get(3)?,
        last_event: number(row, 4)?,
    })
}

pub(crate) fn snapshot(
    view: &View<'_>,
    agent_id: &str,
) -> Result<Option<StoredSnapshot>, JournalError> {
    let sql = "SELECT event_id, state, state_hash FROM snapshots WHERE agent_id = $1";
    let rows = view.query(sql, vec![(&agent_id, Type::TEXT)])?;
    let found = each(&rows, |row| {
        Ok((number(row, 0)?, row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?))
    })?;
    let found = found.into_iter().next();
    found.map(|(row, state, hash)| StoredSnapshot::parse(agent_id, row, &state, hash)).transpose()
}

pub(crate) fn proposals(
    view: &View<'_>,
    status: Option<&str>,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ProposalRecord>, JournalError> {
    let sql = "SELECT event_id, ts, id, status, intent, artifact, data FROM proposals
        WHERE ($1::text IS NULL OR status = $1) AND event_id < $2 ORDER BY event_id DESC LIMIT $3";
    let (before, limit) = (before.map_or(i64::MAX, signed), limited(limit));
    let values =
        vec![(&status as _, Type::TEXT), (&before as _, Type::INT8), (&limit as _, Type::INT8)];
    each(&view.query(sql, values)?, proposal_record)
}

pub(crate) fn proposal(view: &View<'_>, id: &str) -> Result<Option<ProposalRecord>, JournalError> {
    let sql =
        "SELECT event_id, ts, id, status, intent, artifact, data FROM proposals WHERE id = $1";
    Ok(each(&view.query(sql, vec![(&id, Type::TEXT)])?, proposal_record)?.pop())
}

fn proposal_record(row: &Row) -> Result<ProposalRecord, PgError> {
    Ok(ProposalRecord {
        event_id: number(row, 0)?,
        ts: row.try_get(1)?,
        proposal: Proposal {
            id: row.try_get(2)?,
            status: row.try_get(3)?,
            intent: row.try_get(4)?,
            artifact: row.try_get(5)?,
            data: json(row.try_get(6)?)?,
        },
    })
}

/// Stored JSON.
pub(crate) fn json(text: String) -> Result<Box<RawValue>, PgError> {
    RawValue::from_string(text).map_err(|_| PgError::Other("a stored value is not JSON".to_owned()))
}

pub(crate) fn usage(
    view: &View<'_>,
    by: UsageBy,
    since: &str,
    principal: Option<&str>,
) -> Result<Vec<UsageTotal>, JournalError> {
    let name = match by {
        UsageBy::Principal => "principal",
        UsageBy::Agent => "agent_id",
        UsageBy::Model => "model",
    };
    let sum =
        |column: &str| format!("least(sum(least({column}, {MAX_COUNTED})), {})::int8", i64::MAX);
    // Times are texts of one form, so their order is that of the times.
    let sql = format!(
        "SELECT {name}, model, count(*), {}, {}, {} FROM llm_usage
         WHERE ts >= $1 AND ($2::text IS NULL OR principal = $2)
         GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2 LIMIT $3",
        sum("prompt_tokens"),
        sum("completion_tokens"),
        sum("total_tokens")
    );
    let limit = limited(MAX_RECORDS);
    let values =
        vec![(&since as _, Type::TEXT), (&principal as _, Type::TEXT), (&limit as _, Type::INT8)];
    each(&view.query(&sql, values)?, |row| {
        Ok(UsageTotal {
            name: row.try_get(0)?,
            model: row.try_get(1)?,
            calls: number(row, 2)?,
            prompt_tokens: number(row, 3)?,
            completion_tokens: number(row, 4)?,
            total_tokens: number(row, 5)?,
        })
    })
}

pub(crate) fn setting(view: &View<'_>, key: &str) -> Result<Option<String>, JournalError> {
    let sql = "SELECT value FROM settings WHERE key = $1";
    view.column(&view.query(sql, vec![(&key, Type::TEXT)])?, 0)
}

pub(crate) fn idempotency(
    view: &View<'_>,
    id: &str,
) -> Result<Option<IdempotencyEntry>, JournalError> {
    let sql = "SELECT id, digest, job_id, event_id, status, headers, body FROM idempotency_records
        WHERE id = $1";
    let rows = view.query(sql, vec![(&id, Type::TEXT)])?;
    let found = each(&rows, |row| {
        let status: Option<i64> = row.try_get(4)?;
        let response = match status.and_then(|status| u16::try_from(status).ok()) {
            Some(status) => {
                Some(StoredResponse { status, headers: row.try_get(5)?, body: row.try_get(6)? })
            }
            None => None,
        };
        let record = IdempotencyRecord {
            id: row.try_get(0)?,
            digest: row.try_get(1)?,
            job: row.try_get(2)?,
        };
        let event_id = row.try_get::<_, Option<i64>>(3)?.and_then(|id| u64::try_from(id).ok());
        Ok(IdempotencyEntry { record, event_id, response })
    })?;
    Ok(found.into_iter().next())
}

/// The notes of an agent are few, so they are ranked here, with the same result on every server.
pub(crate) fn search_notes(
    view: &View<'_>,
    agent_id: &str,
    query: &str,
    limit: usize,
) -> Result<Vec<u64>, JournalError> {
    let sql = "SELECT version, text FROM notes WHERE agent_id = $1 ORDER BY version";
    let rows = view.query(sql, vec![(&agent_id, Type::TEXT)])?;
    let notes = each(&rows, |row| Ok((number(row, 0)?, row.try_get::<_, String>(1)?)))?;
    let notes = notes.iter().map(|(version, text)| (*version, text.as_str()));
    Ok(rank_notes(query, notes, limit))
}

/// See [`life_agent_observer::Read::dangling`].
pub(crate) fn dangling(view: &View<'_>) -> Result<Vec<Dangling>, JournalError> {
    let pruned = signed(view.pruned()?.map_or(0, |pruned| pruned.id));
    let limit = limited(MAX_RECORDS);
    let mut found = Vec::new();
    for (record, table) in [("job", "jobs"), ("idempotency record", "idempotency_records")] {
        let sql = format!(
            "SELECT id, event_id FROM {table} AS record WHERE event_id > $1
             AND NOT EXISTS (SELECT 1 FROM events WHERE events.id = record.event_id) LIMIT $2"
        );
        let rows = view.query(&sql, vec![(&pruned, Type::INT8), (&limit, Type::INT8)])?;
        found.extend(each(&rows, |row| {
            Ok(Dangling { record, id: row.try_get(0)?, row: number(row, 1)?, differs: false })
        })?);
    }
    let checks = [("job", DIFFERING_JOBS), ("agent", DIFFERING_AGENTS), ("usage", DIFFERING_USAGE)];
    for (record, sql) in checks {
        let rows = view.query(sql, vec![(&pruned, Type::INT8), (&limit, Type::INT8)])?;
        found.extend(each(&rows, |row| {
            Ok(Dangling { record, id: row.try_get(0)?, row: number(row, 1)?, differs: true })
        })?);
    }
    Ok(found)
}

/// Jobs whose row is not their turn.
const DIFFERING_JOBS: &str = "SELECT jobs.id, events.id FROM jobs JOIN events ON events.id = jobs.event_id
    WHERE events.id > $1 AND (events.kind <> 'obs.turn' OR events.agent_id IS DISTINCT FROM jobs.agent_id
        OR events.principal <> jobs.principal OR events.request_id <> jobs.request_id)
    LIMIT $2";

/// Agents whose state or number of turns is not that of their last rows.
const DIFFERING_AGENTS: &str = "SELECT agents.agent_id, events.id
    FROM agents JOIN events ON events.id = agents.last_event
    LEFT JOIN (SELECT agent_id, max((data::json #>> '{turn,number}')::bigint) AS number FROM events
        WHERE kind = 'obs.turn' GROUP BY agent_id) AS turn ON turn.agent_id = agents.agent_id
    WHERE events.id > $1 AND (turn.number <> agents.turns
        OR encode(agents.state_hash, 'hex') <> (events.data::json #>> '{state_hash}'))
    LIMIT $2";

/// Model calls whose row states other tokens than the table, or whose tokens the table lacks.
const DIFFERING_USAGE: &str = "SELECT request_id, id FROM (
        SELECT id, ts, request_id, (data::json #>> '{usage,prompt_tokens}')::bigint AS prompt,
            (data::json #>> '{usage,completion_tokens}')::bigint AS completion
        FROM events WHERE id > $1 AND kind = 'llm.chat'
    ) AS called
    WHERE prompt + completion > 0 AND NOT EXISTS (
        SELECT 1 FROM llm_usage AS usage
        WHERE usage.request_id = called.request_id AND usage.ts = called.ts
            AND usage.prompt_tokens = called.prompt AND usage.completion_tokens = called.completion)
    LIMIT $2";

pub(crate) fn first_uncovered_step(
    view: &View<'_>,
    upto: u64,
) -> Result<Option<u64>, JournalError> {
    let sql = "SELECT first_open FROM agents WHERE first_open <= $1 ORDER BY 1 LIMIT 1";
    let rows = view.query(sql, vec![(&signed(upto), Type::INT8)])?;
    Ok(each(&rows, |row| number(row, 0))?.pop())
}

pub(crate) fn uncovered_agents(
    view: &View<'_>,
    upto: u64,
    limit: usize,
) -> Result<Vec<String>, JournalError> {
    let sql = "SELECT agent_id FROM agents WHERE first_open <= $1 ORDER BY 1 LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = view.query(sql, vec![(&signed(upto), Type::INT8), (&limit, Type::INT8)])?;
    each(&rows, |row| Ok(row.try_get(0)?))
}

/// The files of a plan.
pub(crate) fn plan_files(view: &View<'_>, plan: &str) -> Result<Vec<PlanFile>, JournalError> {
    let sql = "SELECT plan, name, content FROM plan_files WHERE plan = $1 ORDER BY name";
    each(&view.query(sql, vec![(&plan, Type::TEXT)])?, |row| {
        Ok(PlanFile { plan: row.try_get(0)?, name: row.try_get(1)?, content: row.try_get(2)? })
    })
}
