//! Reads what a journal keeps beside its rows: agents, their states, proposals, settings.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use life_agent_domain::agent::state::AgentState;
use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde_json::value::RawValue;

use crate::error::{JournalError, words};
use crate::file;
use crate::schema::{self, Found};
use crate::work::Head;

/// More agents or plans than this come with the next call.
const MAX_RECORDS: usize = 10_000;

/// A connection that only reads. Everything it does blocks.
pub struct Reader(Handle);

enum Handle {
    Pooled(PooledConnection<SqliteConnectionManager>),
    Own(Connection),
}

/// Where an agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub agent_id: String,
    /// How many steps it has taken.
    pub state_version: u64,
    /// How many of them were turns.
    pub turns: u64,
    /// When it took the last one: RFC 3339, UTC, microseconds.
    pub last_seen: String,
    /// The row of the last one.
    pub last_event: u64,
}

/// The state of an agent after one of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The row that it follows.
    pub event_id: u64,
    /// The state.
    pub state: AgentState,
    /// Its hash; it fits the state. Nothing chains a snapshot: compare it with what the row states.
    pub state_hash: String,
}

/// A change plan with the row that created it.
#[derive(Debug, Clone)]
pub struct ProposalRecord {
    /// The row that created it; also what to ask for as `before` to get older ones.
    pub event_id: u64,
    /// When that was: RFC 3339, UTC, microseconds.
    pub ts: String,
    /// The rest.
    pub proposal: crate::work::Proposal,
}

impl Deref for Reader {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        match &self.0 {
            Handle::Pooled(connection) => connection,
            Handle::Own(connection) => connection,
        }
    }
}

impl Reader {
    pub(crate) fn pooled(connection: PooledConnection<SqliteConnectionManager>) -> Self {
        Self(Handle::Pooled(connection))
    }

    /// Opens a journal's file for reading only, whether or not a service has it open.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |why: String| JournalError::open(path, why);
        if !path.is_file() {
            return Err(failed("there is no such file".to_owned()));
        }
        Self::inspected(path, open_for_reading(path))
    }

    /// Opens the file of a journal that nobody writes to as long as this lives, and makes none of the
    /// files that SQLite keeps beside a journal in use.
    pub fn open_idle(path: &Path) -> Result<Self, JournalError> {
        // What is in the log is in no other file; SQLite must look at both.
        if !path.is_file() || log_of(path).metadata().is_ok_and(|log| log.len() > 0) {
            return Self::open(path);
        }
        Self::inspected(path, open_frozen(path))
    }

    fn inspected(path: &Path, opened: rusqlite::Result<Connection>) -> Result<Self, JournalError> {
        let failed = |why: String| JournalError::open(path, why);
        let connection = opened
            .map_err(|error| failed(format!("{}; look at its permissions", words(&error))))?;
        match schema::inspect(&connection).map_err(failed)? {
            Found::Journal(schema::VERSION) => Ok(Self(Handle::Own(connection))),
            Found::Journal(_) => {
                Err(failed("its schema is older; start the service on it once".to_owned()))
            }
            Found::Empty => Err(failed("it holds no journal".to_owned())),
        }
    }

    /// The last row.
    pub fn head(&self) -> Result<Head, JournalError> {
        Ok(crate::batch::Tip::read(self)?.head)
    }

    /// The number of the first row; 0 if there is none.
    pub(crate) fn first(&self) -> Result<u64, JournalError> {
        Ok(first(self)?)
    }

    /// Where an agent stands; none for one that has taken no step.
    pub fn agent(&self, agent_id: &str) -> Result<Option<AgentRecord>, JournalError> {
        let sql = "SELECT agent_id, state_version, turns, last_seen, last_event FROM agents
             WHERE agent_id = ?1";
        Ok(self.prepare_cached(sql)?.query_row([agent_id], agent_record).optional()?)
    }

    /// Up to `limit` agents in the order of their ids, after one of them (none: from the first).
    pub fn agents(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AgentRecord>, JournalError> {
        let sql = "SELECT agent_id, state_version, turns, last_seen, last_event FROM agents
             WHERE agent_id > ?1 ORDER BY agent_id LIMIT ?2";
        let mut statement = self.prepare_cached(sql)?;
        // No id is empty, so all come after it.
        let found = statement
            .query_map(params![after.unwrap_or_default(), limit.min(MAX_RECORDS)], agent_record)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The last stored state of an agent.
    pub fn snapshot(&self, agent_id: &str) -> Result<Option<StoredSnapshot>, JournalError> {
        let sql = "SELECT event_id, state, state_hash FROM snapshots WHERE agent_id = ?1";
        let found = self.prepare_cached(sql)?.query_row([agent_id], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        });
        let Some((event_id, text, state_hash)) = found.optional()? else {
            return Ok(None);
        };
        // Going on from a state that is not the recorded one would be worse than not going on.
        let state = serde_json::from_str::<AgentState>(&text).ok();
        match state.filter(|state| state.hash() == state_hash) {
            Some(state) => Ok(Some(StoredSnapshot { event_id, state, state_hash })),
            None => Err(JournalError::Damaged(format!(
                "the stored state of agent `{agent_id}` does not fit its hash"
            ))),
        }
    }

    /// Up to `limit` change plans, newest first: of this status, created before the row `before`.
    pub fn proposals(
        &self,
        status: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ProposalRecord>, JournalError> {
        let wanted = if status.is_some() { "status = ?1" } else { "?1 IS NULL" };
        let sql = format!(
            "SELECT event_id, ts, id, status, intent, artifact, data FROM proposals
             WHERE {wanted} AND event_id < ?2 ORDER BY event_id DESC LIMIT ?3"
        );
        let before = before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
        let mut statement = self.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![status, before, limit.min(MAX_RECORDS)], proposal_record)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// One change plan.
    pub fn proposal(&self, id: &str) -> Result<Option<ProposalRecord>, JournalError> {
        let sql = "SELECT event_id, ts, id, status, intent, artifact, data FROM proposals
             WHERE id = ?1";
        Ok(self.prepare_cached(sql)?.query_row([id], proposal_record).optional()?)
    }

    /// A setting, as it was last put.
    pub fn setting(&self, key: &str) -> Result<Option<String>, JournalError> {
        let sql = "SELECT value FROM settings WHERE key = ?1";
        Ok(self.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?)
    }
}

/// The number of the first row; 0 if there is none.
pub(crate) fn first(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT ifnull(min(id), 0) FROM events";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// A database in WAL mode needs a file beside it even for reading. Where that cannot be made (a
/// backup on a read-only medium) and no log waits to be read, the file is read as it stands.
fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let opened = Connection::open_with_flags(path, file::read_only()).and_then(|connection| {
        file::configure_reader(&connection)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    opened.or_else(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
            if log_of(path).metadata().map_or(0, |log| log.len()) == 0 =>
        {
            open_frozen(path).map_err(|_| error)
        }
        _ => Err(error),
    })
}

/// The write-ahead log beside a database, which lies where the file itself does.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    log.into()
}

/// Opens a file that is promised not to change.
fn open_frozen(path: &Path) -> rusqlite::Result<Connection> {
    let absolute = path.canonicalize().ok();
    let text = absolute.as_deref().and_then(Path::to_str);
    let text = text.ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))?;
    let name = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = file::read_only() | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    file::configure_reader(&connection)?;
    Ok(connection)
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
    let data: String = row.get(6)?;
    let proposal = crate::work::Proposal {
        id: row.get(2)?,
        status: row.get(3)?,
        intent: row.get(4)?,
        artifact: row.get(5)?,
        data: RawValue::from_string(data).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, error.into())
        })?,
    };
    Ok(ProposalRecord { event_id: row.get(0)?, ts: row.get(1)?, proposal })
}
