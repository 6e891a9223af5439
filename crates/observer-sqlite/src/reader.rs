//! The reading side: a pool of connections for a running journal, and a file opened by itself.

use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};
use std::time::Duration;

use life_agent_domain::governance::event::Row;
use life_agent_observer::store::RawRow;
use life_agent_observer::{
    AgentHistory, AgentRecord, Dangling, Expired, ExpiryLimits, Filter, Head, IdempotencyEntry,
    JobRecord, JournalError, OpenJob, Page, ProposalRecord, Read, Readers, Span, StoredSnapshot,
    StoredText, TextId, TextVisitor, UsageBy, UsageTotal,
};
use parking_lot::{Mutex, MutexGuard};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::file::{self, log_of, open_for_reading, open_frozen};
use crate::identity::Identity;
use crate::insert::read_tip;
use crate::schema::{self, Found};
use crate::search::SearchIndex;
use crate::sqlite_error::{describe, read_error};
use crate::{agent_history, expiry, idempotency, jobs, notes, page, records, scan, texts};

/// Connections to the file of an open journal.
pub(crate) struct Pool {
    connections: r2d2::Pool<SqliteConnectionManager>,
    identity: Identity,
    size: u32,
    search: Option<SearchIndex>,
}

impl Pool {
    pub(crate) fn new(
        path: &Path,
        identity: Identity,
        size: u32,
        search: Option<SearchIndex>,
    ) -> Self {
        let manager = SqliteConnectionManager::file(path)
            .with_flags(file::read_only())
            .with_init(|connection| file::configure_reader(connection));
        let connections = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(5))
            .error_handler(Box::new(LogFailure))
            .build_unchecked(manager);
        Self { connections, identity, size, search }
    }
}

/// Logs why a connection could not be opened, without the path that the error would name.
#[derive(Debug)]
struct LogFailure;

impl r2d2::HandleError<rusqlite::Error> for LogFailure {
    fn handle_error(&self, error: rusqlite::Error) {
        tracing::error!(why = describe(&error), "cannot open a connection to read the journal");
    }
}

impl Readers for Pool {
    fn limit(&self) -> usize {
        self.size as usize
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        self.identity.check().map_err(JournalError::unavailable)?;
        let connection = self
            .connections
            .get()
            .map_err(|_| JournalError::unavailable("the file cannot be opened for reading"))?;
        Ok(Box::new(View::begin(connection, self.search.as_ref())?))
    }
}

/// A journal's file opened for reading only, whether or not a service has it open.
pub struct SqliteFile {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl SqliteFile {
    /// Opens the file.
    ///
    /// # Errors
    /// [`JournalError::Open`] if it does not exist, is not a journal, or has another schema.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if !path.is_file() {
            return Err(JournalError::open(path.display(), "the file does not exist"));
        }
        Self::inspected(path, open_for_reading(path))
    }

    /// Opens the file of a journal that no process writes to while this exists. Creates none of the files
    /// that SQLite keeps next to a database in use.
    ///
    /// # Errors
    /// See [`SqliteFile::open`].
    pub fn open_idle(path: &Path) -> Result<Self, JournalError> {
        // The log holds rows that the file itself does not.
        if !path.is_file() || log_of(path).metadata().is_ok_and(|log| log.len() > 0) {
            return Self::open(path);
        }
        Self::inspected(path, open_frozen(path))
    }

    fn inspected(path: &Path, opened: rusqlite::Result<Connection>) -> Result<Self, JournalError> {
        let failed = |why: String| JournalError::open(path.display(), why);
        let connection = opened
            .map_err(|error| failed(format!("{}; check its permissions", describe(&error))))?;
        match schema::inspect(&connection).map_err(failed)? {
            Found::Journal(schema::VERSION) => {
                Ok(Self { connection: Mutex::new(connection), path: path.to_owned() })
            }
            Found::Journal(_) => {
                Err(failed("its schema is older; start the service on it once".to_owned()))
            }
            Found::Empty => Err(failed("it holds no journal".to_owned())),
        }
    }

    /// The file as the caller named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last row.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn head(&self) -> Result<Head, JournalError> {
        self.view()?.head()
    }

    /// Copies the journal as it is now into a new file and returns the head of the copy. Writers
    /// continue meanwhile. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`JournalError::Output`].
    pub fn backup(&self, to: &Path) -> Result<Head, JournalError> {
        let output =
            |why: String| JournalError::Output(format!("`{}`: {why}", to.display()).into());
        // Claims the name, so that no other file can take it before the copy.
        std::fs::File::create_new(to).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                output("the file exists already; name another one".to_owned())
            }
            _ => output(error.to_string()),
        })?;
        let copied = copy(&self.connection.lock(), to);
        if copied.is_err() {
            // Half a copy must not be mistaken for a backup.
            let _ = std::fs::remove_file(to);
        }
        copied.map_err(|error| output(describe(&error)))
    }
}

fn copy(from: &Connection, to: &Path) -> rusqlite::Result<Head> {
    let mut copy = Connection::open(to)?;
    // All pages in one step: between two steps, a busy writer would make the copy start over.
    Backup::new(from, &mut copy)?.step(-1)?;
    // A single file that needs no other file next to it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    Ok(read_tip(&copy)?.head)
}

impl Readers for SqliteFile {
    fn limit(&self) -> usize {
        1
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        Ok(Box::new(View::begin(Locked(self.connection.lock()), None)?))
    }
}

struct Locked<'a>(MutexGuard<'a, Connection>);

impl Deref for Locked<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

/// A read transaction: one state of the file from its first read until it is dropped.
struct View<'s, C: Deref<Target = Connection>>(C, Option<&'s SearchIndex>);

impl<'s, C: Deref<Target = Connection>> View<'s, C> {
    fn begin(connection: C, search: Option<&'s SearchIndex>) -> Result<Self, JournalError> {
        let begin = || connection.prepare_cached("BEGIN")?.execute([]);
        begin().map_err(read_error)?;
        Ok(Self(connection, search))
    }
}

impl<C: Deref<Target = Connection>> Drop for View<'_, C> {
    fn drop(&mut self) {
        let end = || self.0.prepare_cached("COMMIT")?.execute([]);
        if let Err(error) = end() {
            tracing::warn!(why = describe(&error), "a view of the journal did not end");
        }
    }
}

impl<C: Deref<Target = Connection>> Read for View<'_, C> {
    fn head(&self) -> Result<Head, JournalError> {
        Ok(read_tip(&self.0).map_err(read_error)?.head)
    }

    fn first_id(&self) -> Result<u64, JournalError> {
        first_id(&self.0).map_err(read_error)
    }

    fn row(&self, id: u64) -> Result<Option<Row>, JournalError> {
        page::row(&self.0, id)
    }

    fn last_row(&self, kind: &str, about: Option<&str>) -> Result<Option<Row>, JournalError> {
        page::last_row(&self.0, kind, about)
    }

    fn rows(&self, span: Span, limit: usize, filter: &Filter) -> Result<Page, JournalError> {
        page::rows(&self.0, self.1, span, limit, filter)
    }

    fn scan(
        &self,
        last: Option<u64>,
        visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        scan::scan(&self.0, last, visit).map_err(read_error)
    }

    fn count(&self) -> Result<u64, JournalError> {
        let count = self.0.query_row("SELECT count(*) FROM journal", [], |row| row.get(0));
        count.map_err(read_error)
    }

    fn pruned(&self) -> Result<Option<Head>, JournalError> {
        scan::pruned(&self.0).map_err(read_error)
    }

    fn agent(&self, agent_id: &str) -> Result<Option<AgentRecord>, JournalError> {
        records::agent(&self.0, agent_id).map_err(read_error)
    }

    fn agents(&self, after: Option<&str>, limit: usize) -> Result<Vec<AgentRecord>, JournalError> {
        records::agents(&self.0, after, limit).map_err(read_error)
    }

    fn last_step(&self) -> Result<u64, JournalError> {
        records::last_step(&self.0).map_err(read_error)
    }

    fn snapshot(&self, agent_id: &str) -> Result<Option<StoredSnapshot>, JournalError> {
        records::snapshot(&self.0, agent_id)
    }

    fn agent_history(&self, agent_id: &str) -> Result<AgentHistory, JournalError> {
        agent_history::history(&self.0, agent_id)
    }

    fn recent_turns(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        agent_history::recent_turns(&self.0, agent_id, limit)
    }

    fn recent_events(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        agent_history::recent_events(&self.0, agent_id, limit)
    }

    fn search_notes(
        &self,
        agent_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError> {
        notes::search(&self.0, agent_id, query, limit).map_err(read_error)
    }

    fn proposals(
        &self,
        status: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ProposalRecord>, JournalError> {
        records::proposals(&self.0, status, before, limit).map_err(read_error)
    }

    fn proposal(&self, id: &str) -> Result<Option<ProposalRecord>, JournalError> {
        records::proposal(&self.0, id).map_err(read_error)
    }

    fn usage(
        &self,
        by: UsageBy,
        since: &str,
        principal: Option<&str>,
    ) -> Result<Vec<UsageTotal>, JournalError> {
        records::usage(&self.0, by, since, principal).map_err(read_error)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, JournalError> {
        records::setting(&self.0, key).map_err(read_error)
    }

    fn job(&self, id: &str) -> Result<Option<JobRecord>, JournalError> {
        jobs::find(&self.0, id).map_err(read_error)
    }

    fn open_jobs(&self) -> Result<Vec<OpenJob>, JournalError> {
        jobs::open(&self.0).map_err(read_error)
    }

    fn idempotency(&self, id: &str) -> Result<Option<IdempotencyEntry>, JournalError> {
        idempotency::find(&self.0, id).map_err(read_error)
    }

    fn expired(&self, limits: &ExpiryLimits) -> Result<Vec<Expired>, JournalError> {
        expiry::find(&self.0, limits).map_err(read_error)
    }

    fn dangling(&self) -> Result<Vec<Dangling>, JournalError> {
        records::dangling(&self.0).map_err(read_error)
    }

    fn text(&self, id: &TextId) -> Result<Option<StoredText>, JournalError> {
        texts::find(&self.0, id).map_err(read_error)
    }

    fn texts(&self, visit: &mut TextVisitor<'_>) -> Result<(), JournalError> {
        texts::visit(&self.0, visit).map_err(read_error)
    }

    fn first_uncovered_step(&self, upto: u64) -> Result<Option<u64>, JournalError> {
        records::first_uncovered_step(&self.0, upto).map_err(read_error)
    }

    fn uncovered_agents(&self, upto: u64, limit: usize) -> Result<Vec<String>, JournalError> {
        records::uncovered_agents(&self.0, upto, limit).map_err(read_error)
    }
}

/// Id of the first row; 0 if there is none.
pub(crate) fn first_id(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT ifnull(min(id), 0) FROM journal";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}
