//! The file of a journal: resolved, locked against a second process, checked, opened.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use life_agent_observer::{Head, JournalError};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::checkpoint;
use crate::identity::second_name;
use crate::schema::{self, Found};
use crate::sqlite_error::describe;

/// How long a connection waits for a lock, such as that of a script that reads the file.
const BUSY: Duration = Duration::from_secs(5);

/// Files up to this size are checked page by page at every start, which takes a fraction of a second. In
/// larger files a damaged page is found when it is read, or by verifying.
const CHECK_UP_TO_BYTES: u64 = 32 * 1024 * 1024;

/// Upper bound on the pages of 4 KiB of the database, changeable while it is open; 0 for no bound. A
/// journal at its bound behaves as on a full disk.
#[derive(Debug, Clone, Default)]
pub struct PageLimit(Arc<AtomicU32>);

impl PageLimit {
    /// Sets the bound. A bound below the present size permits no further pages.
    pub fn set(&self, pages: u32) {
        self.0.store(pages, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A journal's file, locked until this is dropped.
pub(crate) struct LockedFile {
    path: PathBuf,
    lock: File,
    data: Option<Arc<File>>,
}

/// Opens connections that move pages from the log into the file.
pub(crate) struct CheckpointSource {
    path: PathBuf,
    data: Arc<File>,
}

impl CheckpointSource {
    /// A connection for checkpoints.
    pub(crate) fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = open_existing(&self.path)?;
        connection.execute_batch(DURABLE)?;
        Ok(connection)
    }

    /// Flushes moved pages. SQLite flushes before it reuses the log, and then has less to wait for.
    pub(crate) fn flush(&self) {
        let _ = self.data.sync_data();
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is being spawned shares the lock for a moment.
        let _ = self.lock.unlock();
    }
}

impl LockedFile {
    /// The absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Resolves the file and locks it. It need not exist.
    pub(crate) fn claim(named: &Path) -> Result<Self, JournalError> {
        let failed = |why: String| JournalError::open(named.display(), why);
        let path = resolve(named).map_err(failed)?;
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        // A file next to the database: closing any handle of the database file would release the locks
        // that SQLite holds on it.
        let opened =
            File::options().create(true).truncate(false).read(true).write(true).open(&lock_path);
        let lock = opened.map_err(|error| {
            failed(format!("its folder cannot be written ({error}); name a file in another one"))
        })?;
        if let Some(why) = second_name(&path) {
            return Err(failed(why.to_owned()));
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock, data: None }),
            Err(TryLockError::WouldBlock) => Err(failed(
                "another process has it open; stop that one, or name another file".to_owned(),
            )),
            Err(TryLockError::Error(error)) => {
                Err(failed(format!("it cannot be locked ({error}); name a file on a local disk")))
            }
        }
    }

    /// The head that the last process to have the file open noted, if any.
    pub(crate) fn noted_head(&self) -> Option<Head> {
        let mut text = String::new();
        let mut lock = &self.lock;
        lock.seek(SeekFrom::Start(0)).ok()?;
        lock.take(NOTE_BYTES).read_to_string(&mut text).ok()?;
        let (id, hash) = text.trim().split_once(':')?;
        Some(Head { id: id.parse().ok()?, hash: hash.to_owned() })
    }

    /// Notes a durable head next to the database, so that a database that is put back to an earlier state is
    /// noticed. Not synchronized: a note may be lost, which makes it older than the database.
    pub(crate) fn note_head(&self, head: &Head) {
        // One write of one length, which a process that ends in the middle does not tear.
        let note = format!("{:>20}:{}\n", head.id, head.hash);
        let mut lock = &self.lock;
        let written = lock.seek(SeekFrom::Start(0)).and_then(|_| lock.write_all(note.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "the journal's head could not be noted");
        }
    }

    /// Locks the database file itself, which the name of the lock file does not cover: the same file may be
    /// mounted under another name. SQLite's own locks are of another kind.
    pub(crate) fn lock_data(&mut self) -> Result<(), String> {
        let data = File::open(&self.path).map_err(|error| error.to_string())?;
        if cfg!(unix) && matches!(data.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err("another process has the same file open under another name; stop that one, or name \
                        another file"
                .to_owned());
        }
        // Kept open until every connection is closed: closing a handle of the file releases the locks
        // that SQLite holds on it.
        self.data = Some(Arc::new(data));
        Ok(())
    }

    /// Checks the file, migrates it to the present schema and opens it for writing. A file that cannot
    /// become a journal is left unchanged.
    pub(crate) fn prepare(&self, named: &Path) -> Result<Connection, JournalError> {
        let failed = |why: String| JournalError::open(named.display(), why);
        let size = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        let found = match size {
            0 => Found::Empty,
            size => inspect(&self.path, size).map_err(failed)?,
        };
        let prepared = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let mut connection = Connection::open_with_flags(&self.path, flags | NO_MUTEX)?;
            connection.busy_timeout(BUSY)?;
            // Before WAL is enabled, so that the application id is in the file from the first moment.
            schema::migrate(&mut connection, found)?;
            configure(&connection)?;
            Ok((schema::foreign_trigger(&connection)?, connection))
        };
        let (trigger, connection) = prepared().map_err(|error: rusqlite::Error| {
            let why = describe(&error);
            failed(format!("{why}; make room or make it writable, or name another file"))
        })?;
        if let Some(trigger) = trigger {
            return Err(failed(format!(
                "it has a trigger that this service did not create (`{trigger}`), which could change rows; drop it \
                 after an inspection, or name another file"
            )));
        }
        // SQLite opens a file that it may not write for reading, without an error.
        match connection.is_readonly("main") {
            Ok(false) => Ok(connection),
            _ => Err(failed("the file is read-only; make it writable, or name another one".into())),
        }
    }

    /// The source of connections for the checkpoint thread. Call it after [`LockedFile::lock_data`].
    pub(crate) fn checkpoint_source(&self) -> std::io::Result<CheckpointSource> {
        let data = match &self.data {
            Some(data) => Arc::clone(data),
            None => Arc::new(File::open(&self.path)?),
        };
        Ok(CheckpointSource { path: self.path.clone(), data })
    }

    /// Reopens the journal for writing after an error. Never creates a file: a file that has vanished
    /// must not be replaced by an empty one.
    pub(crate) fn reopen(&self) -> rusqlite::Result<Connection> {
        let connection = open_existing(&self.path)?;
        configure(&connection)?;
        Ok(connection)
    }
}

/// Every connection is used by one thread at a time.
const NO_MUTEX: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

/// The flags of reading connections.
pub(crate) fn read_only() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | NO_MUTEX
}

/// Configures a reading connection.
pub(crate) fn configure_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(48);
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(48);
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Replaces SQLite's own checkpoints, which would run inside a commit.
    connection.wal_hook(Some(checkpoint::note_log_size));
    // Truncates the log after a burst.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.execute_batch(DURABLE)
}

/// Configures every connection that changes the file. FULL makes a commit durable in WAL mode.
/// What retention removes is overwritten.
const DURABLE: &str =
    "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;";

/// Longest note of a head.
const NOTE_BYTES: u64 = 128;

/// Opens an existing file for writing.
fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Upper bound on the writing connection's page cache: the index leaves that a few thousand agents need.
/// SQLite's default is 2,000.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// The first bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Inspects an existing file without changing it.
fn inspect(path: &Path, size: u64) -> Result<Found, String> {
    let unreadable =
        |error| format!("{}; restore a backup, or name another file", describe(&error));
    // SQLite takes a file of a few bytes for an empty database and would overwrite it.
    let mut magic = [0; MAGIC.len()];
    let begins = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    if begins.is_err() || magic != *MAGIC {
        return Err("the file is not an SQLite database; name another file".to_owned());
    }
    if is_backup(path) && log_of(path).metadata().is_ok_and(|log| log.len() > 0) {
        return Err("it is a backup, and the log of another database lies next to it (`-wal`); remove the files \
                    that end in `-wal` and `-shm`, or name another file"
            .to_owned());
    }
    let connection = Connection::open_with_flags(path, read_only()).map_err(unreadable)?;
    configure_reader(&connection).map_err(unreadable)?;
    let found = schema::inspect(&connection)?;
    if size <= CHECK_UP_TO_BYTES {
        let check = "PRAGMA quick_check(1)";
        let result: String =
            connection.query_row(check, [], |row| row.get(0)).map_err(unreadable)?;
        if result != "ok" {
            return Err("the file is damaged; restore a backup, or name another file".to_owned());
        }
    }
    Ok(found)
}

/// Whether the header says that the file has no log, as a backup does: SQLite would take a log next to it for
/// the file's own, with the rows of another time.
fn is_backup(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18..] == [1, 1]
}

/// Opens a journal for reading. A database in WAL mode needs a file next to it even for reading. Where
/// that cannot be created (a backup on a read-only medium) and the log is empty, the file is read as it is.
pub(crate) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let opened = Connection::open_with_flags(path, read_only()).and_then(|connection| {
        configure_reader(&connection)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    opened.or_else(|error| match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
            if log_of(path).metadata().map_or(0, |log| log.len()) == 0 =>
        {
            open_frozen(path).map_err(|_| error)
        }
        _ => Err(error),
    })
}

/// The write-ahead log of a database, in the folder of the file itself.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    log.into()
}

/// Opens a file that does not change.
pub(crate) fn open_frozen(path: &Path) -> rusqlite::Result<Connection> {
    let absolute = path.canonicalize().ok();
    let text = absolute.as_deref().and_then(Path::to_str);
    let text = text.ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))?;
    let name = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = read_only() | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    configure_reader(&connection)?;
    Ok(connection)
}

/// The absolute path, so that two names of one file lead to one lock.
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
