//! Whether the file at the journal's path is still the one that is open.
//!
//! A process keeps writing to a file that was removed or replaced, and everything it answers is lost when it
//! ends. Every commit and every view therefore compares the path with the open file, a few times a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::file::log_of;

/// How long a comparison holds.
const HOLDS: Duration = Duration::from_millis(250);

const REPLACED: &str = "the database file was moved, removed or replaced while it was open; stop the service, \
                        put the file back and start again";
const LOG_REMOVED: &str = "the database's log (`-wal`) was removed or replaced while it was open; stop the service \
                           and restore a backup if rows are missing";

/// Device and number of a file.
type FileId = (u64, u64);

/// The file that is open. Clones share what they find out.
#[derive(Clone)]
pub(crate) struct Identity(Arc<Shared>);

struct Shared {
    path: PathBuf,
    log: PathBuf,
    file: Option<FileId>,
    /// The log's file, once there is one.
    known_log: Mutex<Option<FileId>>,
    started: Instant,
    /// Milliseconds from the start until the last comparison holds.
    valid_until: AtomicU64,
    is_lost: AtomicBool,
}

impl Identity {
    /// The file at `path`, which is open.
    pub(crate) fn of(path: &Path) -> Self {
        Self(Arc::new(Shared {
            path: path.to_owned(),
            log: log_of(path),
            file: id_of(path),
            known_log: Mutex::default(),
            started: Instant::now(),
            valid_until: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
        }))
    }

    /// Whether the path still leads to the open files.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let now = self.now();
        if !self.0.is_lost.load(Ordering::Relaxed)
            && now < self.0.valid_until.load(Ordering::Relaxed)
        {
            return Ok(());
        }
        self.check_now()
    }

    /// The same without regard to an earlier comparison.
    pub(crate) fn check_now(&self) -> Result<(), &'static str> {
        let found = self.compare();
        self.0.is_lost.store(found.is_err(), Ordering::Relaxed);
        if found.is_ok() {
            let until = self.now() + u64::try_from(HOLDS.as_millis()).unwrap_or_default();
            self.0.valid_until.store(until, Ordering::Relaxed);
        }
        found
    }

    /// Forgets the log: the connection that writes is opened again.
    pub(crate) fn forget_log(&self) {
        *self.0.known_log.lock() = None;
    }

    fn compare(&self) -> Result<(), &'static str> {
        // Where files have no numbers, there is nothing to compare.
        let Some(file) = self.0.file else { return Ok(()) };
        if id_of(&self.0.path) != Some(file) {
            return Err(REPLACED);
        }
        let mut known = self.0.known_log.lock();
        let log = id_of(&self.0.log);
        match *known {
            None => *known = log,
            Some(known) if log != Some(known) => return Err(LOG_REMOVED),
            Some(_) => {}
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(unix)]
fn id_of(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn id_of(_: &Path) -> Option<FileId> {
    None
}

/// Why the file must not be a journal: it has a second name, under which another service could open it.
#[cfg(unix)]
pub(crate) fn second_name(path: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    (file.nlink() > 1).then_some(
        "it has more than one name (hard links); remove the others, or name another file",
    )
}

#[cfg(not(unix))]
pub(crate) fn second_name(_: &Path) -> Option<&'static str> {
    None
}
