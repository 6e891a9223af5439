//! Opens a file as a journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use life_agent_observer::chain::Tip;
use life_agent_observer::{Backend, Head, JournalError, Opened};
use rusqlite::{Connection, OptionalExtension};

use crate::checkpoint::Checkpointer;
use crate::control;
use crate::file::{LockedFile, PageLimit};
use crate::identity::Identity;
use crate::insert::read_tip;
use crate::reader::Pool;
use crate::search::{SearchIndex, SearchThread};
use crate::sqlite_error::cause;
use crate::store::SqliteStore;

/// Limits of an SQLite journal. The defaults suit a service.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Connections that read at the same time.
    pub readers: u32,
    /// A bound on the file's size; tests also use it to simulate a full disk.
    pub page_limit: PageLimit,
    /// Whether searches have an index, in a file next to the journal's that ends in `-search`. Without one, they read
    /// the journal.
    pub search: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, page_limit: PageLimit::default(), search: true }
    }
}

/// A journal in an SQLite file that is not opened yet.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    options: SqliteOptions,
}

impl Sqlite {
    /// The journal in the file `path`, which is created if it does not exist.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), options: SqliteOptions::default() }
    }

    /// Sets the limits.
    pub fn with(self, options: SqliteOptions) -> Self {
        Self { options, ..self }
    }
}

/// The head that was noted for this file, unless the file still holds it.
fn set_back(
    file: &LockedFile,
    connection: &Connection,
    tip: &Tip,
) -> rusqlite::Result<Option<Head>> {
    let Some(noted) = file.noted_head().filter(|noted| noted.id > 0) else { return Ok(None) };
    if tip.head.id < noted.id {
        return Ok(Some(noted));
    }
    let sql = "SELECT hash FROM journal WHERE id = ?1";
    let hash: Option<String> =
        connection.query_row(sql, [noted.id], |row| row.get(0)).optional()?;
    // A row that retention has removed since is covered by the rows after it.
    Ok(hash.filter(|hash| *hash != noted.hash).map(|_| noted))
}

impl Backend for Sqlite {
    fn open(self) -> Result<Opened, JournalError> {
        let path = &self.path;
        let mut file = LockedFile::claim(path)?;
        let connection = file.prepare(path)?;
        let failed = |error| JournalError::open(path.display(), cause(error));
        file.lock_data().map_err(|why| JournalError::open(path.display(), why))?;
        let tip = read_tip(&connection).map_err(failed)?;
        let control = control::read(&connection).map_err(failed)?;
        let set_back = set_back(&file, &connection, &tip).map_err(failed)?;
        let identity = Identity::of(file.path());
        let size = self.options.readers.max(1);
        let index = self.options.search.then(|| SearchIndex::of(file.path(), size));
        let readers = Arc::new(Pool::new(file.path(), identity.clone(), size, index.clone()));
        let checkpointer = file.checkpoint_source().and_then(Checkpointer::start);
        let checkpointer = checkpointer.map_err(|error| {
            JournalError::open(path.display(), format!("cannot start its thread: {error}"))
        })?;
        let search = index.map(|index| SearchThread::start(file.path(), index)).transpose();
        let search = search.map_err(|error| {
            JournalError::open(path.display(), format!("cannot start its thread: {error}"))
        })?;
        let store = SqliteStore {
            search,
            checkpointer: Some(checkpointer),
            connection: Some(connection),
            file,
            limit: self.options.page_limit,
            applied_limit: 0,
            tip: tip.clone(),
            control,
            identity,
            noted: None,
        };
        Ok(Opened {
            name: path.display().to_string(),
            tip,
            control,
            set_back,
            store: Box::new(store),
            readers,
            sharing: None,
        })
    }
}
