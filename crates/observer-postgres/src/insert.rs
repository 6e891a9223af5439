//! The second round trip of a group: rows, agents, side writes, the new head, and the commit.

use life_agent_domain::governance::event::Row;
use life_agent_observer::StateHash;
use life_agent_observer::store::BatchOutcome;
use tokio_postgres::types::{ToSql, Type};

use crate::group::Group;
use crate::pg_error::PgError;
use crate::session::{Request, Session, Value, pipelined};
use crate::stored::{AGENTS, LOCK_HEAD, NOW, TAIL, signed};

const ROWS: &str = "INSERT INTO events
    (id, ts, kind, data, agent_id, principal, request_id, prev_hash, hash, prev_step)
    SELECT * FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::int8[])";
const PUT_AGENTS: &str = "INSERT INTO agents
    (agent_id, state_version, turns, last_seen, last_event, first_open, state_hash)
    SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::int8[], $6::int8[], $7::bytea[])
    ON CONFLICT (agent_id) DO UPDATE SET state_version = excluded.state_version, turns = excluded.turns,
        last_seen = excluded.last_seen, last_event = excluded.last_event, first_open = excluded.first_open,
        state_hash = excluded.state_hash";
const PUT_SNAPSHOTS: &str = "INSERT INTO snapshots (agent_id, event_id, version, state, state_hash)
    SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::text[])
    ON CONFLICT (agent_id) DO UPDATE SET event_id = excluded.event_id, version = excluded.version,
        state = excluded.state, state_hash = excluded.state_hash";
const MOVE_HEAD: &str = "UPDATE head SET id = $1, hash = $2, ts = $3, control = $4 WHERE one
    RETURNING pg_current_xact_id()::xid::text";

/// Data of one statement, in bytes. The server takes messages of up to 1 GiB.
const STATEMENT_BYTES: usize = 8 << 20;

const INTS: Type = Type::INT8_ARRAY;
const TEXTS: Type = Type::TEXT_ARRAY;

/// Prepares the statements of every group.
pub(crate) async fn prepare(session: &Session) -> Result<(), PgError> {
    let rows = [INTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, INTS];
    session.prepare(LOCK_HEAD, &[]).await?;
    session.prepare(NOW, &[]).await?;
    session.prepare(TAIL, &[Type::INT8]).await?;
    session.prepare(AGENTS, &[TEXTS]).await?;
    session.prepare(ROWS, &rows).await?;
    session.prepare(PUT_AGENTS, &[TEXTS, INTS, INTS, TEXTS, INTS, INTS, Type::BYTEA_ARRAY]).await?;
    session.prepare(PUT_SNAPSHOTS, &[TEXTS, INTS, INTS, TEXTS, TEXTS]).await?;
    session.prepare(MOVE_HEAD, &[Type::INT8, Type::TEXT, Type::TEXT, Type::INT8]).await
}

/// The columns of several rows.
#[derive(Default)]
struct Columns<'r> {
    ids: Vec<i64>,
    texts: [Vec<&'r str>; 7],
    agents: Vec<Option<&'r str>>,
    links: Vec<Option<i64>>,
    bytes: usize,
}

impl<'r> Columns<'r> {
    fn push(&mut self, row: &'r Row, link: Option<u64>) {
        let Row { id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash } = row;
        self.bytes += data.get().len();
        self.ids.push(signed(*id));
        let texts = [ts, kind, data.get(), principal, request_id, prev_hash, hash];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.push(text));
        self.agents.push(agent_id.as_deref());
        self.links.push(link.map(signed));
    }

    fn request<'a>(&'a self, session: &'a Session) -> Request<'a> {
        let [ts, kind, data, principal, request_id, prev_hash, hash] = &self.texts;
        let texts = |column: &'a Vec<&'r str>| (column as &'a (dyn ToSql + Sync), TEXTS);
        let values = vec![
            (&self.ids as &(dyn ToSql + Sync), INTS),
            texts(ts),
            texts(kind),
            texts(data),
            (&self.agents, TEXTS),
            texts(principal),
            texts(request_id),
            texts(prev_hash),
            texts(hash),
            (&self.links, INTS),
        ];
        session.query(ROWS, values)
    }
}

/// Splits the rows into statements of bounded size.
fn chunks<'r>(group: &Group, outcomes: &'r [BatchOutcome]) -> Vec<Columns<'r>> {
    let stored = outcomes.iter().flat_map(|outcome| match outcome {
        BatchOutcome::Stored(rows) => rows.as_slice(),
        BatchOutcome::Rejected(_) => &[],
    });
    let mut chunks: Vec<Columns<'r>> = Vec::new();
    for (row, link) in stored.zip(&group.links) {
        match chunks.last_mut().filter(|chunk| chunk.bytes < STATEMENT_BYTES) {
            Some(chunk) => chunk.push(row, *link),
            None => {
                let mut chunk = Columns::default();
                chunk.push(row, *link);
                chunks.push(chunk);
            }
        }
    }
    chunks
}

/// The columns of the changed agents.
#[derive(Default)]
struct Agents<'g> {
    names: Vec<&'g str>,
    versions: Vec<i64>,
    turns: Vec<i64>,
    seen: Vec<&'g str>,
    last: Vec<i64>,
    open: Vec<Option<i64>>,
    hashes: Vec<Option<&'g [u8]>>,
}

impl<'g> Agents<'g> {
    fn of(group: &'g Group) -> Self {
        let mut columns = Self::default();
        for (name, head) in group.agents() {
            columns.names.push(name);
            columns.versions.push(signed(head.version));
            columns.turns.push(signed(head.turns));
            columns.seen.push(&head.last_seen);
            columns.last.push(signed(head.last_event));
            columns.open.push(head.first_open.map(signed));
            let hash = head.state_hash.as_ref().map(StateHash::as_bytes);
            columns.hashes.push(hash.map(<[u8; 32]>::as_slice));
        }
        columns
    }

    fn request<'a>(&'a self, session: &'a Session) -> Option<Request<'a>> {
        let values: Vec<Value<'a>> = vec![
            (&self.names, TEXTS),
            (&self.versions, INTS),
            (&self.turns, INTS),
            (&self.seen, TEXTS),
            (&self.last, INTS),
            (&self.open, INTS),
            (&self.hashes, Type::BYTEA_ARRAY),
        ];
        (!self.names.is_empty()).then(|| session.query(PUT_AGENTS, values))
    }
}

/// The columns of the new snapshots.
#[derive(Default)]
struct Snapshots<'g> {
    agents: Vec<&'g str>,
    rows: Vec<i64>,
    versions: Vec<i64>,
    states: Vec<&'g str>,
    hashes: Vec<&'g str>,
}

impl<'g> Snapshots<'g> {
    fn of(group: &'g Group) -> Self {
        let mut columns = Self::default();
        for (agent, (row, snapshot)) in &group.snapshots {
            columns.agents.push(agent);
            columns.rows.push(signed(*row));
            columns.versions.push(signed(snapshot.version()));
            columns.states.push(snapshot.state());
            columns.hashes.push(snapshot.state_hash());
        }
        columns
    }

    fn request<'a>(&'a self, session: &'a Session) -> Option<Request<'a>> {
        let values: Vec<Value<'a>> = vec![
            (&self.agents, TEXTS),
            (&self.rows, INTS),
            (&self.versions, INTS),
            (&self.states, TEXTS),
            (&self.hashes, TEXTS),
        ];
        (!self.agents.is_empty()).then(|| session.query(PUT_SNAPSHOTS, values))
    }
}

/// Writes a group in the open transaction, commits it and notifies the other instances. Returns the transaction.
pub(crate) async fn write(
    session: &Session,
    group: &Group,
    outcomes: &[BatchOutcome],
    notify: &str,
) -> Result<String, PgError> {
    let commit = format!("{notify}; COMMIT");
    let chunks = chunks(group, outcomes);
    let (agents, snapshots) = (Agents::of(group), Snapshots::of(group));
    let (id, control) = (signed(group.tip.head.id), signed(group.control));
    let end: Vec<Value<'_>> = vec![
        (&id, Type::INT8),
        (&group.tip.head.hash, Type::TEXT),
        (&group.tip.ts, Type::TEXT),
        (&control, Type::INT8),
    ];
    let mut requests: Vec<_> = chunks.iter().map(|chunk| chunk.request(session)).collect();
    requests.extend(agents.request(session));
    requests.extend(snapshots.request(session));
    requests.extend(group.writes.iter().map(|write| write.run(session)));
    requests.push(session.query(MOVE_HEAD, end));
    requests.push(session.batch(&commit));
    let moved = requests.len() - 2;
    let responses = pipelined(requests).await?;
    let row = responses.get(moved).and_then(|rows| rows.first());
    let missing = || PgError::Other("the journal's tables are missing".to_owned());
    Ok(row.ok_or_else(missing)?.try_get(0)?)
}
