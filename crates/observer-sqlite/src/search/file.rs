//! The file of the index: created, checked against the journal, or built again.

use std::fs::{OpenOptions, Permissions};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::sqlite_error::describe;

/// Identifies an index in the file's header: `LAS1` in ASCII.
const APPLICATION_ID: i64 = 0x4C41_5331;
/// The form of the tokens. An index of another form is built again.
const FORM: i64 = 1;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    BEGIN;
    -- `upto` is the last indexed row and `hash` its hash; rows before `first` were removed.
    CREATE TABLE progress (first INTEGER NOT NULL, upto INTEGER NOT NULL, hash TEXT NOT NULL);
    INSERT INTO progress VALUES (0, 0, '');
    -- Times are mostly in the order of rows, but a clock can be set back.
    CREATE TABLE blocks (block INTEGER PRIMARY KEY, earliest TEXT NOT NULL, latest TEXT NOT NULL);
    COMMIT;";

/// The indexed rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) first: u64,
    pub(super) upto: u64,
    pub(super) hash: String,
}

impl Progress {
    pub(super) fn read(index: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT first, upto, hash FROM progress";
        index.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self { first: row.get(0)?, upto: row.get(1)?, hash: row.get(2)? })
        })
    }

    pub(super) fn write(&self, index: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE progress SET first = ?1, upto = ?2, hash = ?3";
        index.prepare_cached(sql)?.execute((self.first, self.upto, &self.hash)).map(drop)
    }
}

/// Opens the index of a journal for writing, or an empty one in its place if it is missing, damaged, of an older
/// form or of another journal.
pub(super) fn open(path: &Path, journal: &Connection) -> Result<Connection, String> {
    if path.exists() {
        match open_existing(path, journal) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(why) => return Err(why),
        }
        remove(path).map_err(|error| error.to_string())?;
    }
    create(path)
}

/// The index in the file, if it is one of this journal. The error names a file that must not be replaced.
fn open_existing(path: &Path, journal: &Connection) -> Result<Option<Connection>, String> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("its name belongs to something that is no file".to_owned());
    }
    let inspected = || -> rusqlite::Result<(Connection, i64, i64)> {
        let index = connect(path)?;
        let number = |sql| index.query_row(sql, [], |row| row.get::<_, i64>(0));
        let (application, form) =
            (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
        Ok((index, application, form))
    };
    // A file that cannot be read as a database is a damaged index: nothing else has this name.
    let Ok((index, application, form)) = inspected() else { return Ok(None) };
    if application != APPLICATION_ID && metadata.len() > 0 && application != 0 {
        return Err("its name belongs to the file of another program".to_owned());
    }
    if (application, form) != (APPLICATION_ID, FORM) {
        return Ok(None);
    }
    restrict(path).map_err(|error| error.to_string())?;
    Ok(belongs_to(&index, journal).unwrap_or(false).then_some(index))
}

/// Whether the journal holds the last indexed row.
fn belongs_to(index: &Connection, journal: &Connection) -> rusqlite::Result<bool> {
    let progress = Progress::read(index)?;
    let sql = "SELECT hash FROM journal WHERE id = ?1";
    let hash: Option<String> =
        journal.query_row(sql, [progress.upto], |row| row.get(0)).optional()?;
    Ok(progress.upto == 0 || hash.as_deref() == Some(progress.hash.as_str()))
}

/// Creates an empty index, which only the service's user may read.
fn create(path: &Path) -> Result<Connection, String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| error.to_string())?;
    let created = || -> rusqlite::Result<Connection> {
        let index = connect(path)?;
        index.execute_batch(SCHEMA)?;
        index.pragma_update(None, "user_version", FORM)?;
        index.pragma_update(None, "application_id", APPLICATION_ID)?;
        Ok(index)
    };
    created().map_err(|error| describe(&error))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let index = Connection::open_with_flags(path, flags)?;
    index.busy_timeout(Duration::from_secs(5))?;
    index.set_prepared_statement_cache_capacity(32);
    // After a power failure the end of the index may be missing, as its progress shows.
    index.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;",
    )?;
    Ok(index)
}

/// Removes the file and its log.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["-wal", "-shm", ""] {
        let mut name = path.to_owned().into_os_string();
        name.push(end);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(unix)]
fn restrict(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> std::io::Result<()> {
    Ok(())
}
