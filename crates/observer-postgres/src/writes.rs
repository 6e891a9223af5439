//! The writes of a group in addition to its rows, each one statement.

use life_agent_domain::governance::event::Row;
use life_agent_observer::{
    Expired, IdempotencyRecord, JobChange, Lease, NoteChange, PlanFile, Proposal, StoredResponse,
    Usage,
};
use serde_json::value::RawValue;
use tokio_postgres::types::{ToSql, Type};

use crate::session::{Request, Session};
use crate::stored::signed;

/// A statement and its values.
pub(crate) struct Write {
    sql: &'static str,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Write {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new() }
    }

    fn text(self, text: impl Into<Option<String>>) -> Self {
        self.value(text.into(), Type::TEXT)
    }

    fn int(self, number: impl Into<Option<u64>>) -> Self {
        self.value(number.into().map(signed), Type::INT8)
    }

    pub(crate) fn value(mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> Self {
        self.values.push((Box::new(value), kind));
        self
    }

    /// The request; nothing is sent before it is polled.
    pub(crate) fn run<'a>(&'a self, session: &'a Session) -> Request<'a> {
        let value = |(value, kind): &'a (Box<dyn ToSql + Sync + Send>, Type)| {
            let value: &'a (dyn ToSql + Sync) = value.as_ref();
            (value, kind.clone())
        };
        session.query(self.sql, self.values.iter().map(value).collect())
    }
}

/// A text that PostgreSQL can store. Only texts of providers and of notes come here with a NUL; `WriteBatch` refuses
/// it in the texts of callers.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// A statement that always fails.
pub(crate) fn unknown() -> Write {
    Write::new("SELECT 1 / 0")
}

pub(crate) fn setting(key: String, value: String) -> Write {
    let sql = "INSERT INTO settings (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    Write::new(sql).text(key).text(value)
}

pub(crate) fn notes(agent: &str, change: NoteChange) -> impl Iterator<Item = Write> + use<> {
    let removed = (!change.removed.is_empty()).then(|| {
        let versions: Vec<i64> = change.removed.into_iter().map(signed).collect();
        let sql = "DELETE FROM notes WHERE agent_id = $1 AND version = ANY($2)";
        Write::new(sql).text(agent.to_owned()).value(versions, Type::INT8_ARRAY)
    });
    let agent = agent.to_owned();
    let added = change.added.into_iter().map(move |(version, text)| {
        let sql = "INSERT INTO notes (agent_id, version, text) VALUES ($1, $2, $3)
            ON CONFLICT (agent_id, version) DO UPDATE SET text = excluded.text";
        Write::new(sql).text(agent.clone()).int(version).text(storable(text))
    });
    removed.into_iter().chain(added)
}

/// Keeps the first effect of a call that takes effect in several transactions.
pub(crate) fn claim(record: IdempotencyRecord, ts: String, event_id: Option<u64>) -> Write {
    let sql = "INSERT INTO idempotency_records (id, digest, ts, event_id, job_id)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
    Write::new(sql).text(record.id).text(record.digest).text(ts).int(event_id).text(record.job)
}

pub(crate) fn response(record: IdempotencyRecord, ts: String, response: StoredResponse) -> Write {
    let sql = "INSERT INTO idempotency_records (id, digest, ts, status, headers, body)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, headers = excluded.headers,
            body = excluded.body";
    let StoredResponse { status, headers, body } = response;
    let write = Write::new(sql).text(record.id).text(record.digest).text(ts);
    write.int(u64::from(status)).text(headers).value(body, Type::BYTEA)
}

pub(crate) fn expire(expired: Expired) -> Write {
    let (sql, gone) = match expired {
        Expired::Jobs(gone) => ("DELETE FROM jobs WHERE seq = ANY($1)", gone),
        Expired::Records(gone) => ("DELETE FROM idempotency_records WHERE seq = ANY($1)", gone),
    };
    let gone: Vec<i64> = gone.into_iter().map(signed).collect();
    Write::new(sql).value(gone, Type::INT8_ARRAY)
}

pub(crate) fn proposal(proposal: Proposal, row: &Row) -> Write {
    let sql = "INSERT INTO proposals (id, event_id, ts, status, intent, artifact, data)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, intent = excluded.intent,
            artifact = excluded.artifact, data = excluded.data";
    let data = proposal.data.get().to_owned();
    let write = Write::new(sql).text(proposal.id).int(row.id).text(row.ts.clone());
    write.text(proposal.status).text(proposal.intent).text(proposal.artifact).text(data)
}

pub(crate) fn plan_file(file: PlanFile) -> Write {
    let sql = "INSERT INTO plan_files (plan, name, content) VALUES ($1, $2, $3)
        ON CONFLICT (plan, name) DO UPDATE SET content = excluded.content";
    Write::new(sql).text(file.plan).text(file.name).value(file.content, Type::BYTEA)
}

pub(crate) fn usage(usage: Usage, row: &Row) -> Write {
    let sql = "INSERT INTO llm_usage (ts, request_id, principal, agent_id, model,
        prompt_tokens, completion_tokens, total_tokens) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let write = Write::new(sql).text(row.ts.clone()).text(row.request_id.clone());
    let write = write.text(row.principal.clone()).text(row.agent_id.clone());
    let write = write.text(storable(usage.model)).int(usage.prompt_tokens);
    write.int(usage.completion_tokens).int(usage.total_tokens)
}

/// The write of a job's change; `turn` is the row of its turn.
pub(crate) fn job(change: JobChange, turn: Option<&Row>) -> Option<Write> {
    let json = |text: &RawValue| text.get().to_owned();
    Some(match change {
        JobChange::Queued(job) => {
            let sql =
                "INSERT INTO jobs (id, status, agent_id, principal, request_id, input, created)
                VALUES ($1, 'queued', $2, $3, $4, $5, $6)";
            let write = Write::new(sql).text(job.id).text(job.agent.as_str().to_owned());
            write.text(job.principal).text(job.request_id).text(job.input).text(job.created)
        }
        JobChange::Started { id, at, lease } => {
            let (owner, until) = lease.map(|Lease { owner, until }| (owner, until)).unzip();
            let sql =
                "UPDATE jobs SET status = 'running', started = $2, owner = $3, lease_until = $4
                WHERE id = $1 AND finished IS NULL";
            Write::new(sql).text(id).text(at).text(owner).text(until)
        }
        JobChange::Renewed { id, lease } => {
            let sql = "UPDATE jobs SET lease_until = $3
                WHERE id = $1 AND status = 'running' AND owner = $2";
            Write::new(sql).text(id).text(lease.owner).text(lease.until)
        }
        JobChange::Done { id } => {
            let row = turn?;
            let sql = "UPDATE jobs SET status = 'done', finished = $2, event_id = $3
                WHERE id = $1 AND finished IS NULL";
            Write::new(sql).text(id).text(row.ts.clone()).int(row.id)
        }
        JobChange::Answered { id, result } => {
            let sql = "UPDATE jobs SET result = $2 WHERE id = $1 AND status = 'done'";
            Write::new(sql).text(id).text(json(&result))
        }
        JobChange::Ended { id, status, at, error } => {
            let sql = "UPDATE jobs SET status = $2, finished = $3, error = $4
                WHERE id = $1 AND finished IS NULL";
            let write = Write::new(sql).text(id).text(status.as_str().to_owned()).text(at);
            write.text(error.as_deref().map(json))
        }
    })
}
