//! The file under the journal: found, locked against a second process, checked, opened.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{JournalError, words};
use crate::schema::{self, Found};
use crate::wal;

/// How long a connection waits for a lock, such as that of a script that reads the file.
const BUSY: Duration = Duration::from_secs(5);

/// Files up to this size are checked page by page at every start; that takes a fraction of a second.
/// In larger ones a damaged page is found when it is read, or by verifying.
const CHECK_UP_TO_BYTES: u64 = 32 * 1024 * 1024;

/// How many pages of 4 KiB the database may have, changeable while it is open; 0 for no limit. A
/// journal at its limit behaves as on a full disk.
#[derive(Debug, Clone, Default)]
pub struct PageLimit(Arc<AtomicU32>);

impl PageLimit {
    /// From now on, no more than so many pages; fewer than there are means: no further ones.
    pub fn set(&self, pages: u32) {
        self.0.store(pages, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A journal's file, locked for as long as this lives.
pub(crate) struct Locked {
    path: PathBuf,
    lock: File,
    data: Option<Arc<File>>,
}

/// What it takes to move pages out of the log beside the writing connection.
pub(crate) struct Moving {
    path: PathBuf,
    data: Arc<File>,
}

impl Moving {
    /// A connection for that.
    pub(crate) fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = open_existing(&self.path)?;
        connection.execute_batch(CAREFUL)?;
        Ok(connection)
    }

    /// Has the disk take what was moved. SQLite sees to that before it gives up the log; it is done sooner if
    /// most of it is there by then.
    pub(crate) fn flush(&self) {
        let _ = self.data.sync_data();
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started shares the lock for a moment.
        let _ = self.lock.unlock();
    }
}

impl Locked {
    /// The absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the file and locks it; it need not exist yet.
    pub(crate) fn claim(named: &Path) -> Result<Self, JournalError> {
        let path = resolve(named).map_err(|why| JournalError::open(named, why))?;
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        // Beside the database, not the database itself: closing any handle of that file would drop
        // the locks that SQLite holds on it.
        let opened = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = opened.map_err(|error| {
            let why = format!("its folder cannot be written ({error}); name a file in another one");
            JournalError::open(named, why)
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock, data: None }),
            Err(TryLockError::WouldBlock) => Err(JournalError::open(
                named,
                "another process has it open; stop that one, or name another file",
            )),
            Err(TryLockError::Error(error)) => Err(JournalError::open(
                named,
                format!("it cannot be locked ({error}); name a file on a local disk"),
            )),
        }
    }

    /// Checks what is there, makes it a journal of today's schema, and opens it for writing. What
    /// cannot become one is left untouched.
    pub(crate) fn prepare(&self, named: &Path) -> Result<Connection, JournalError> {
        let failed = |why: String| JournalError::open(named, why);
        let size = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        let found = match size {
            0 => Found::Empty,
            size => look_at(&self.path, size).map_err(failed)?,
        };
        let prepared = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let mut connection = Connection::open_with_flags(&self.path, flags | NO_MUTEX)?;
            connection.busy_timeout(BUSY)?;
            // Before WAL is switched on, so that the mark of whose file it is stands in the file
            // itself from the first moment.
            schema::migrate(&mut connection, found)?;
            configure(&connection)?;
            Ok(connection)
        };
        let connection = prepared().map_err(|error: rusqlite::Error| {
            failed(format!(
                "{}; make room or make it writable, or name another file",
                words(&error)
            ))
        })?;
        // SQLite opens what it may not write for reading, and says nothing.
        match connection.is_readonly("main") {
            Ok(false) => Ok(connection),
            _ => Err(failed("the file is read-only; make it writable, or name another one".into())),
        }
    }

    /// For the one thread that moves pages out of the log, once the file is prepared.
    pub(crate) fn moving(&mut self) -> std::io::Result<Moving> {
        let data = Arc::new(File::open(&self.path)?);
        // Kept here, to be closed after every connection: closing a handle of the file drops the locks that
        // SQLite holds on it.
        self.data = Some(Arc::clone(&data));
        Ok(Moving { path: self.path.clone(), data })
    }

    /// Opens the journal for writing once more, after an error. Never makes a new file: one that has
    /// vanished must not be replaced by an empty one.
    pub(crate) fn reopen(&self) -> rusqlite::Result<Connection> {
        let connection = open_existing(&self.path)?;
        configure(&connection)?;
        Ok(connection)
    }
}

/// Every connection is used by one thread at a time.
const NO_MUTEX: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

/// How readers open the file.
pub(crate) fn read_only() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | NO_MUTEX
}

/// What every reading connection is told first.
pub(crate) fn configure_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // In the place of SQLite's own checkpoints, which it would make in the middle of a commit.
    connection.wal_hook(Some(wal::note));
    // The log is cut back after a burst.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.execute_batch(CAREFUL)
}

/// What every connection that changes the file is told. FULL is what makes a commit durable in WAL mode.
const CAREFUL: &str = "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;";

/// Opens what is there to change it; never makes a new file.
fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// What the writing connection keeps of the file in memory, at most: the leaves of the indexes that a few
/// thousand agents need. SQLite's own is 2,000.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// How every SQLite database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Reads an existing file without changing it: is it ours, and is it whole as far as one can tell?
fn look_at(path: &Path, size: u64) -> Result<Found, String> {
    let unreadable = |error| format!("{}; restore a backup, or name another file", words(&error));
    // SQLite takes a file of a few bytes for an empty database and would write over it.
    let mut magic = [0; MAGIC.len()];
    let begins = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    if begins.is_err() || magic != *MAGIC {
        return Err("the file is not an SQLite database; name another file".to_owned());
    }
    let connection = Connection::open_with_flags(path, read_only()).map_err(unreadable)?;
    configure_reader(&connection).map_err(unreadable)?;
    let found = schema::inspect(&connection)?;
    if size <= CHECK_UP_TO_BYTES {
        let check = "PRAGMA quick_check(1)";
        let said: String = connection.query_row(check, [], |row| row.get(0)).map_err(unreadable)?;
        if said != "ok" {
            return Err("the file is damaged; restore a backup, or name another file".to_owned());
        }
    }
    Ok(found)
}

/// The absolute path, so that two names of one file meet at one lock.
fn resolve(named: &Path) -> Result<PathBuf, String> {
    if named.is_dir() {
        return Err("it is a folder; name a file".to_owned());
    }
    if let Ok(path) = named.canonicalize() {
        return Ok(path);
    }
    let name = named.file_name().ok_or("it has no name; name a file")?;
    let folder = match named.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let missing = |_| "its folder does not exist; make the folder, or name another file".to_owned();
    folder.canonicalize().map(|folder| folder.join(name)).map_err(missing)
}
