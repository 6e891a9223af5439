//! What a group needs to know of the stored state, read in one round trip after the head is locked.

use std::collections::{BTreeSet, HashMap, HashSet};

use life_agent_observer::{
    AgentStep, Head, Precondition, SideWrite, StateHash, TextId, WriteBatch,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::pg_error::PgError;
use crate::session::{Request, Session, pipelined};
use crate::texts::KNOWN;

/// Locks the end of the chain: the order of the locks is the order of the rows. The last column is the transaction that
/// wrote it.
pub(crate) const LOCK_HEAD: &str =
    "SELECT id, hash, ts, control, xmin::text FROM head WHERE one FOR UPDATE";
pub(crate) const UNLOCKED_HEAD: &str = "SELECT id, hash, ts, control FROM head WHERE one";
pub(crate) const AGENTS: &str =
    "SELECT agent_id, state_version, turns, last_seen, last_event, first_open, state_hash
    FROM agents WHERE agent_id = ANY($1)";
const PLANS: &str = "SELECT id, status FROM proposals WHERE id = ANY($1)";
const KEYS: &str = "SELECT id FROM idempotency_records WHERE id = ANY($1)";
const JOBS: &str = "SELECT id, status, owner, lease_until, EXISTS (SELECT 1 FROM jobs AS earlier
        WHERE earlier.finished IS NULL AND earlier.seq < jobs.seq AND earlier.agent_id = jobs.agent_id)
    FROM jobs WHERE id = ANY($1)";
/// The time after the wait for the lock, which needs a statement of its own, and the end of a lease that starts now.
pub(crate) const NOW: &str = r#"SELECT to_char(now, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        to_char(now + interval '30 seconds', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    FROM (SELECT clock_timestamp() AT TIME ZONE 'UTC' AS now) AS clock"#;
/// What other instances have appended: a statement of its own, so that it sees what was committed during the wait for
/// the lock.
pub(crate) const TAIL: &str =
    "SELECT id, ts, kind, agent_id, principal, request_id, data, prev_hash, hash, prev_step
    FROM (SELECT *, sum(octet_length(data)) OVER (ORDER BY id) - octet_length(data) AS before
        FROM events WHERE id > $1 AND id <= $1 + 2048) AS tail
    WHERE before <= 4194304 ORDER BY id";

/// The stored end of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredHead {
    pub(crate) head: Head,
    pub(crate) ts: String,
    pub(crate) control: u64,
}

/// The position of one agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentHead {
    pub(crate) version: u64,
    pub(crate) turns: u64,
    /// `None` for an agent whose last step was stored by a version that kept no hash.
    pub(crate) state_hash: Option<StateHash>,
    pub(crate) last_seen: String,
    pub(crate) last_event: u64,
    pub(crate) first_open: Option<u64>,
}

/// The state of a job, as far as its lease is concerned.
#[derive(Debug, Clone)]
pub(crate) struct StoredJob {
    pub(crate) status: String,
    pub(crate) owner: Option<String>,
    pub(crate) until: Option<String>,
    /// Whether an earlier job of its agent is open.
    pub(crate) is_behind: bool,
}

/// The stored state that a group depends on.
pub(crate) struct Stored {
    pub(crate) end: StoredHead,
    /// The transaction that has written it.
    pub(crate) written_by: String,
    /// The server's time.
    pub(crate) now: String,
    /// The end of a lease that starts now.
    pub(crate) lease_end: String,
    pub(crate) agents: HashMap<String, AgentHead>,
    pub(crate) plans: HashMap<String, String>,
    pub(crate) keys: HashSet<String>,
    pub(crate) jobs: HashMap<String, StoredJob>,
    /// Those of the group's texts that are stored.
    pub(crate) texts: HashSet<TextId>,
}

/// The records that a group depends on.
#[derive(Default)]
pub(crate) struct Needed {
    agents: Vec<String>,
    plans: Vec<String>,
    keys: Vec<String>,
    jobs: Vec<String>,
    texts: Vec<Vec<u8>>,
}

impl Needed {
    pub(crate) fn of(group: &[WriteBatch]) -> Self {
        let (mut agents, mut plans) = (BTreeSet::new(), BTreeSet::new());
        let (mut keys, mut jobs) = (BTreeSet::new(), BTreeSet::new());
        let mut texts = BTreeSet::new();
        for batch in group {
            if let Some(AgentStep { .. }) = batch.step {
                agents.extend(batch.stepping_agent().map(|agent| agent.as_str()));
            }
            for condition in &batch.preconditions {
                match condition {
                    Precondition::Agent { agent, .. } => drop(agents.insert(agent.as_str())),
                    Precondition::Plan { id, .. } => drop(plans.insert(id.as_str())),
                    Precondition::KeyUnclaimed { key } => drop(keys.insert(key.as_str())),
                    Precondition::JobLease { id, .. } | Precondition::JobFree { id, .. } => {
                        jobs.insert(id.as_str());
                    }
                    _ => {}
                }
            }
            for write in &batch.side_writes {
                match write {
                    SideWrite::Snapshot(agent, _) => drop(agents.insert(agent.as_str())),
                    SideWrite::Texts(row) => texts.extend(row.ids()),
                    _ => {}
                }
            }
        }
        let owned = |ids: BTreeSet<&str>| ids.into_iter().map(str::to_owned).collect();
        let texts = texts.iter().map(|id: &TextId| id.as_bytes().to_vec()).collect();
        let (agents, plans, keys) = (owned(agents), owned(plans), owned(keys));
        Self { agents, plans, keys, jobs: owned(jobs), texts }
    }

    /// The records without the agents that a test selects.
    pub(crate) fn without_agents(mut self, mut selects: impl FnMut(&str) -> bool) -> Self {
        self.agents.retain(|agent| !selects(agent));
        self
    }

    /// Whether nothing is to be read.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [&self.agents, &self.plans, &self.keys, &self.jobs];
        lists.iter().all(|ids| ids.is_empty()) && self.texts.is_empty()
    }

    /// The records that these do not include.
    pub(crate) fn beyond(self, known: &Self) -> Self {
        fn rest<T: std::hash::Hash + Eq>(all: Vec<T>, known: &[T]) -> Vec<T> {
            let known: HashSet<&T> = known.iter().collect();
            all.into_iter().filter(|one| !known.contains(one)).collect()
        }
        Self {
            agents: rest(self.agents, &known.agents),
            plans: rest(self.plans, &known.plans),
            keys: rest(self.keys, &known.keys),
            jobs: rest(self.jobs, &known.jobs),
            texts: rest(self.texts, &known.texts),
        }
    }

    /// Begins a transaction, locks the head and reads the records, and the rows after `known`.
    pub(crate) async fn read_after(
        &self,
        session: &Session,
        known: i64,
    ) -> Result<(Stored, Vec<Row>), PgError> {
        let requests = vec![
            session.begin(),
            session.query(LOCK_HEAD, vec![]),
            session.query(NOW, vec![]),
            session.query(TAIL, vec![(&known, Type::INT8)]),
        ];
        let mut responses = self.request(session, requests).await?.into_iter().skip(1);
        let mut next = || responses.next().unwrap_or_default();
        let (head, now, tail) = (next(), next(), next());
        let mut stored = Stored::at(&head, &now)?;
        self.add(&mut stored, responses)?;
        Ok((stored, tail))
    }

    /// Reads more records in the open transaction.
    pub(crate) async fn read_more(
        &self,
        session: &Session,
        stored: &mut Stored,
    ) -> Result<(), PgError> {
        let responses = self.request(session, Vec::new()).await?;
        self.add(stored, responses.into_iter())
    }

    async fn request<'a>(
        &'a self,
        session: &'a Session,
        mut requests: Vec<Request<'a>>,
    ) -> Result<Vec<Vec<Row>>, PgError> {
        let lists =
            [(AGENTS, &self.agents), (PLANS, &self.plans), (KEYS, &self.keys), (JOBS, &self.jobs)];
        for (sql, ids) in lists {
            if !ids.is_empty() {
                requests.push(lookup(session, sql, ids));
            }
        }
        if !self.texts.is_empty() {
            requests.push(session.query(KNOWN, vec![(&self.texts, Type::BYTEA_ARRAY)]));
        }
        pipelined(requests).await
    }

    fn add(
        &self,
        stored: &mut Stored,
        mut responses: impl Iterator<Item = Vec<Row>>,
    ) -> Result<(), PgError> {
        let mut next = || responses.next().unwrap_or_default();
        let mut rows = |ids: &Vec<String>| if ids.is_empty() { Vec::new() } else { next() };
        for row in rows(&self.agents) {
            stored.agents.insert(row.try_get(0)?, agent_head(&row)?);
        }
        for row in rows(&self.plans) {
            stored.plans.insert(row.try_get(0)?, row.try_get(1)?);
        }
        for row in rows(&self.keys) {
            stored.keys.insert(row.try_get(0)?);
        }
        for row in rows(&self.jobs) {
            let (status, owner, until) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let is_behind = row.try_get(4)?;
            stored.jobs.insert(row.try_get(0)?, StoredJob { status, owner, until, is_behind });
        }
        for row in if self.texts.is_empty() { Vec::new() } else { next() } {
            let digest: &[u8] = row.try_get(0)?;
            stored.texts.extend(digest.try_into().ok().map(TextId::from_bytes));
        }
        Ok(())
    }
}

impl Stored {
    /// The end of the journal and the time, without records.
    fn at(head: &[Row], now: &[Row]) -> Result<Self, PgError> {
        let missing = || PgError::Other("the journal's tables are missing".to_owned());
        let (head, now) = head.first().zip(now.first()).ok_or_else(missing)?;
        Ok(Self {
            end: stored_head(head)?,
            written_by: head.try_get(4)?,
            now: now.try_get(0)?,
            lease_end: now.try_get(1)?,
            agents: HashMap::new(),
            plans: HashMap::new(),
            keys: HashSet::new(),
            jobs: HashMap::new(),
            texts: HashSet::new(),
        })
    }
}

fn lookup<'a>(session: &'a Session, sql: &'static str, ids: &'a Vec<String>) -> Request<'a> {
    session.query(sql, vec![(ids, Type::TEXT_ARRAY)])
}

/// The end that a query of the table `head` has found.
pub(crate) fn stored_end(rows: &[Row]) -> Result<StoredHead, PgError> {
    let missing = || PgError::Other("the journal's tables are missing".to_owned());
    stored_head(rows.first().ok_or_else(missing)?)
}

/// The row of the table `head`.
fn stored_head(row: &Row) -> Result<StoredHead, PgError> {
    Ok(StoredHead {
        head: Head { id: number(row, 0)?, hash: row.try_get(1)? },
        ts: row.try_get(2)?,
        control: number(row, 3)?,
    })
}

fn agent_head(row: &Row) -> Result<AgentHead, PgError> {
    let hash: Option<&[u8]> = row.try_get(6)?;
    Ok(AgentHead {
        version: number(row, 1)?,
        turns: number(row, 2)?,
        last_seen: row.try_get(3)?,
        last_event: number(row, 4)?,
        first_open: row.try_get::<_, Option<i64>>(5)?.and_then(|id| u64::try_from(id).ok()),
        state_hash: hash.and_then(|hash| hash.try_into().ok()).map(StateHash::from_bytes),
    })
}

/// A column that is never negative.
pub(crate) fn number(row: &Row, column: usize) -> Result<u64, PgError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| PgError::Other("a stored number is negative".to_owned()))
}

/// An id as the database stores it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
