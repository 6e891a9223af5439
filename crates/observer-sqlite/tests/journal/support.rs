//! A journal in a temporary folder, and helpers that fill it.

use std::path::{Path, PathBuf};

use life_agent_domain::agent::state::AgentState;
use life_agent_domain::governance::event::{Entry, EventKind};
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::verify::{Verdict, Whole, verify};
use life_agent_observer::{
    AgentStep, Filter, Head, Journal, JournalError, Options, Readers, Snapshot, StateHash,
    WriteBatch,
};
use life_agent_observer_sqlite::{Sqlite, SqliteFile, SqliteOptions};
use rusqlite::Connection;
use serde_json::value::RawValue;
use tempfile::TempDir;

pub(crate) struct Folder {
    pub(crate) dir: TempDir,
    pub(crate) db: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("agent.db");
        Self { dir, db }
    }

    pub(crate) fn open(&self) -> Journal {
        self.open_with(Options::default())
    }

    pub(crate) fn open_with(&self, options: Options) -> Journal {
        Journal::open(Sqlite::at(&self.db), options).unwrap()
    }

    /// A journal with these limits.
    pub(crate) fn open_limited(&self, options: SqliteOptions) -> Journal {
        Journal::open(Sqlite::at(&self.db).with(options), Options::default()).unwrap()
    }

    /// The file, opened for reading only.
    pub(crate) fn file(&self) -> SqliteFile {
        SqliteFile::open(&self.db).unwrap()
    }

    /// The error of a start on this file.
    pub(crate) fn refusal(&self) -> String {
        match Journal::open(Sqlite::at(&self.db), Options::default()) {
            Ok(_) => panic!("the file was taken for a journal"),
            Err(error) => error.to_string(),
        }
    }

    /// A direct connection, as a script would use it.
    pub(crate) fn sql(&self) -> Connection {
        Connection::open(&self.db).unwrap()
    }

    /// Puts the file back to schema 5, as the release before the views wrote it.
    pub(crate) fn downgrade_to_5(&self) -> Connection {
        let sql = self.sql();
        sql.execute_batch(TO_SCHEMA_5).unwrap();
        sql
    }

    pub(crate) fn verify(&self, expect: Option<&Head>) -> Verdict {
        verify(&*self.file().view().unwrap(), expect, |_, _| ()).unwrap()
    }

    pub(crate) fn whole(&self) -> Whole {
        whole(self.verify(None))
    }
}

const TO_SCHEMA_5: &str = "
    DROP VIEW events;
    DROP VIEW actions;
    DROP VIEW proposals;
    DROP VIEW llm_usage;
    ALTER TABLE usage DROP COLUMN event_id;
    ALTER TABLE journal RENAME TO events;
    ALTER TABLE plans RENAME TO proposals;
    ALTER TABLE usage RENAME TO llm_usage;
    CREATE VIEW actions AS
    SELECT id, ts, agent_id,
           coalesce(json_extract(data, '$.action'), json_extract(data, '$.turn.action')) AS action,
           data
    FROM events
    WHERE kind IN ('obs.act', 'obs.turn');
    PRAGMA user_version = 5;";

pub(crate) fn whole(verdict: Verdict) -> Whole {
    match verdict {
        Verdict::Whole(whole) => whole,
        Verdict::Broken(broken) => panic!("{broken}"),
    }
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn entry(kind: EventKind, name: Option<&str>, data: &str) -> Entry {
    Entry {
        kind,
        agent: name.map(agent),
        principal: "key".to_owned(),
        request_id: "r-1".to_owned(),
        data: RawValue::from_string(data.to_owned()).unwrap(),
    }
}

/// A step that leads its agent to `version`.
pub(crate) fn step(name: &str, version: u64) -> WriteBatch {
    let data = format!(r#"{{"action":"rest","state_version":{version}}}"#);
    WriteBatch {
        step: Some(AgentStep {
            version,
            turns: version / 2,
            state_hash: state_hash(version),
            from: None,
        }),
        ..WriteBatch::of(entry(EventKind::Act, Some(name), &data))
    }
}

/// The hash of [`state`].
pub(crate) fn state_hash(version: u64) -> StateHash {
    StateHash::from_hex(&state(version).hash())
}

pub(crate) fn state(version: u64) -> AgentState {
    AgentState { version, ..AgentState::initial(42) }
}

pub(crate) fn snapshot(version: u64) -> Snapshot {
    let state = state(version);
    let hash = state.hash();
    Snapshot::of(&state, &hash)
}

pub(crate) fn plain(n: u64) -> WriteBatch {
    WriteBatch::of(entry(EventKind::Denied, None, &format!(r#"{{"n":{n}}}"#)))
}

/// Writes `count` plain rows and waits for them.
pub(crate) async fn fill(journal: &Journal, count: u64) {
    for n in 1..=count {
        drop(journal.append(plain(n)).unwrap());
    }
    journal.barrier().await.unwrap();
}

pub(crate) async fn write(journal: &Journal, work: WriteBatch) -> Result<u64, JournalError> {
    Ok(journal.append(work)?.await?.id)
}

/// The numbers of all rows that match the filter, page by page.
pub(crate) async fn ids(journal: &Journal, filter: Filter, limit: usize) -> Vec<u64> {
    let (mut ids, mut next) = (vec![], Some(0));
    while let Some(after) = next {
        let page = journal.page(after, limit, filter.clone()).await.unwrap();
        ids.extend(page.rows.iter().map(|row| row.id));
        next = page.next;
    }
    ids
}

pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
