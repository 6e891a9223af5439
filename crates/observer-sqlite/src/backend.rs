//! Opens a file as a journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use life_agent_observer::{Backend, JournalError, Opened};

use crate::checkpoint::Checkpointer;
use crate::control;
use crate::file::{LockedFile, PageLimit};
use crate::insert::read_tip;
use crate::reader::Pool;
use crate::sqlite_error::cause;
use crate::store::SqliteStore;

/// Limits of an SQLite journal. The defaults suit a service.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Connections that read at the same time.
    pub readers: u32,
    /// A bound on the file's size; tests also use it to simulate a full disk.
    pub page_limit: PageLimit,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, page_limit: PageLimit::default() }
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

impl Backend for Sqlite {
    fn open(self) -> Result<Opened, JournalError> {
        let path = &self.path;
        let mut file = LockedFile::claim(path)?;
        let connection = file.prepare(path)?;
        let failed = |error| JournalError::open(path.display(), cause(error));
        let tip = read_tip(&connection).map_err(failed)?;
        let control = control::read(&connection).map_err(failed)?;
        let readers = Arc::new(Pool::new(file.path(), self.options.readers.max(1)));
        let checkpointer = file.checkpoint_source().and_then(Checkpointer::start);
        let checkpointer = checkpointer.map_err(|error| {
            JournalError::open(path.display(), format!("cannot start its thread: {error}"))
        })?;
        let store = SqliteStore {
            checkpointer: Some(checkpointer),
            connection: Some(connection),
            file,
            limit: self.options.page_limit,
            applied_limit: 0,
            tip: tip.clone(),
            control,
        };
        Ok(Opened {
            name: path.display().to_string(),
            tip,
            control,
            store: Box::new(store),
            readers,
        })
    }
}
