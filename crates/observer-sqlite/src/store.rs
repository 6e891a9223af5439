//! The writing side: one connection, owned by the journal's writer thread.

use std::time::{Duration, Instant};

use life_agent_observer::WriteBatch;
use life_agent_observer::chain::Tip;
use life_agent_observer::store::{GroupCommit, Recovered, Store, StoreError, TRIM_ROWS};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::checkpoint::Checkpointer;
use crate::control;
use crate::file::{LockedFile, PageLimit};
use crate::identity::Identity;
use crate::insert::{self, GroupState, read_tip};
use crate::reader::first_id;
use crate::scan;
use crate::search::SearchThread;
use crate::sqlite_error::{cause, describe};
use crate::texts;

/// Bytes written by a probe: enough to need pages of their own.
const PROBE_BYTES: usize = 16 * 1024;

pub(crate) struct SqliteStore {
    /// Declared first: it reads the journal, and the last connection to close tidies up.
    pub(crate) search: Option<SearchThread>,
    /// Declared before the connection, so that the connection closes last and removes the log.
    pub(crate) checkpointer: Option<Checkpointer>,
    /// `None` after an error, until [`Store::recover`]. Declared before the file, so that it closes
    /// before the lock is released.
    pub(crate) connection: Option<Connection>,
    pub(crate) file: LockedFile,
    pub(crate) limit: PageLimit,
    pub(crate) applied_limit: u32,
    pub(crate) tip: Tip,
    pub(crate) control: u64,
    pub(crate) identity: Identity,
    /// When the head was last noted.
    pub(crate) noted: Option<Instant>,
}

/// How often the head is noted.
const NOTE_EVERY: Duration = Duration::from_secs(1);

impl SqliteStore {
    /// Runs one transaction: durable when this returns `Ok`.
    fn transact<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let result = self.try_transact(write);
        if result.is_err() {
            // Whatever state the connection is in: a new one starts from the stored state.
            self.connection = None;
        }
        result
    }

    fn try_transact<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let not_stored = |error| StoreError::NotStored(cause(error));
        let Some(connection) = self.connection.as_mut() else {
            return Err(StoreError::NotStored("the file is not open".into()));
        };
        let pages = self.limit.get();
        if pages != self.applied_limit {
            // SQLite ignores 0; the largest value means no limit.
            let pragma = if pages == 0 { u32::MAX - 1 } else { pages };
            connection
                .pragma_update_and_check(None, "max_page_count", pragma, |_| Ok(()))
                .map_err(not_stored)?;
            self.applied_limit = pages;
        }
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(not_stored)?;
        let written = write(&transaction).map_err(not_stored)?;
        match transaction.commit() {
            Ok(()) => Ok(written),
            // Without room, the commit record is not in the log.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                Err(not_stored(error))
            }
            // The commit record may have reached the log before the error.
            Err(error) => Err(StoreError::Unknown(cause(error))),
        }
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        self.identity.check().map_err(|why| StoreError::NotStored(why.into()))?;
        let mut state = GroupState::new(self.tip.clone(), self.control);
        let outcomes =
            self.transact(|transaction| insert::group(transaction, &mut state, group))?;
        (self.tip, self.control) = (state.tip, state.control);
        if self.noted.is_none_or(|noted| noted.elapsed() >= NOTE_EVERY) {
            self.noted = Some(Instant::now());
            self.file.note_head(&self.tip.head);
        }
        Ok(GroupCommit { head: self.tip.head.clone(), control: self.control, outcomes })
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.identity.check().map_err(|why| StoreError::NotStored(why.into()))
    }

    fn recover(&mut self) -> Result<Recovered, StoreError> {
        if self.connection.is_none() {
            self.identity.forget_log();
        }
        self.identity.check_now().map_err(|why| StoreError::NotStored(why.into()))?;
        if self.connection.is_none() {
            let reopened = self.file.reopen().and_then(|connection| {
                self.tip = read_tip(&connection)?;
                self.control = control::read(&connection)?;
                Ok(connection)
            });
            let connection = reopened.map_err(|error| StoreError::NotStored(cause(error)))?;
            self.applied_limit = 0;
            self.connection = Some(connection);
        }
        Ok(Recovered { head: self.tip.head.clone(), control: self.control })
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.transact(|transaction| {
            let put = "INSERT OR REPLACE INTO settings (key, value) VALUES ('journal.probe', ?1)";
            transaction.execute(put, ["x".repeat(PROBE_BYTES)]).map(drop)
        })?;
        self.transact(|transaction| {
            transaction.execute("DELETE FROM settings WHERE key = 'journal.probe'", []).map(drop)
        })
    }

    fn trim(&mut self) -> Result<usize, StoreError> {
        self.transact(|transaction| {
            let Some(declared) = scan::pruned(transaction)? else { return Ok(0) };
            // One bound, computed here: with two, SQLite would read all rows up to the larger one.
            let upto = declared.id.min(first_id(transaction)? + (TRIM_ROWS - 1));
            texts::forget(transaction, upto)?;
            transaction.prepare_cached("DELETE FROM journal WHERE id <= ?1")?.execute([upto])
        })
    }

    fn after_group(&mut self) {
        if let (Some(checkpointer), Some(connection)) = (&mut self.checkpointer, &self.connection) {
            checkpointer.after_commit(connection);
        }
    }

    /// Moves the log into the database file, so that the file alone is the journal.
    fn close(&mut self) {
        self.search = None;
        self.checkpointer = None;
        if self.tip.head.id > 0 && self.identity.check_now().is_ok() {
            self.file.note_head(&self.tip.head);
        }
        if let Some(connection) = &self.connection {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            match connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0)) {
                Ok(0) => {}
                Ok(_) => {
                    tracing::warn!("a reader uses the journal's log; it remains next to the file")
                }
                Err(error) => {
                    let why = describe(&error);
                    tracing::warn!(why, "the journal's log remains next to the file");
                }
            }
        }
    }
}
