//! Keeps SQLite's write-ahead log short: a second thread moves committed pages into the database file.
//!
//! SQLite would do that inside a commit, and every caller of that commit would wait for it. The log
//! starts over only once all of its pages have been moved, and under load another commit always arrives
//! first. The last few pages are therefore left to the writer, between two commits. See
//! <https://sqlite.org/wal.html#avoiding_excessively_large_wal_files>.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::file::CheckpointSource;
use crate::sqlite_error::describe;

/// Pages in the log from which on they are moved.
const START_PAGES: u32 = 1_000;
/// Further pages before the next attempt, if a reader still needs the log.
const RETRY_PAGES: u32 = 250;
/// The writer moves this many pages in less time than a commit or two.
const FEW_PAGES: u32 = 50;
/// From here on the writer moves all pages, whatever it takes: 64 MiB of log.
const MAX_PAGES: u32 = 16_384;

thread_local! {
    /// Pages in the log after the last commit of this thread's connection.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Called by SQLite after a commit, in place of its own checkpoint.
pub(crate) fn note_log_size(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    LOG_PAGES.set(u32::try_from(pages).unwrap_or_default());
    Ok(())
}

/// State shared by the writer and the checkpoint thread.
#[derive(Default)]
struct Progress {
    /// Pages in the log.
    log_pages: AtomicU32,
    /// Whether nearly all of them have been moved.
    few_left: AtomicBool,
}

/// The writer's handle on the checkpoint thread, which ends when this is dropped.
pub(crate) struct Checkpointer {
    progress: Arc<Progress>,
    request: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Pages in the log at the last request, until the log starts over.
    requested_at: u32,
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.request = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(source: CheckpointSource) -> std::io::Result<Self> {
        let progress = Arc::new(Progress::default());
        let (request, requests) = sync_channel(1);
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new()
            .name("journal-log".to_owned())
            .spawn(move || run(&source, &requests, &shared))?;
        Ok(Self { progress, request: Some(request), thread: Some(thread), requested_at: 0 })
    }

    /// After a commit of this connection: has pages moved if there are enough of them.
    pub(crate) fn after_commit(&mut self, connection: &Connection) {
        let pages = LOG_PAGES.get();
        self.progress.log_pages.store(pages, Ordering::SeqCst);
        if pages < self.requested_at {
            self.requested_at = 0;
        }
        let due = pages >= START_PAGES && pages >= self.requested_at + RETRY_PAGES;
        if self.progress.few_left.swap(false, Ordering::SeqCst) || due && pages >= MAX_PAGES {
            if let Err(error) = move_pages(connection) {
                warn(&error);
            }
        } else if due && let Some(request) = &self.request {
            // A full channel means that an earlier request is still being served.
            let _ = request.try_send(());
        } else {
            return;
        }
        self.requested_at = pages;
    }
}

fn run(source: &CheckpointSource, requests: &Receiver<()>, progress: &Progress) {
    let mut opened = None;
    while requests.recv().is_ok() {
        let connected = opened.take().map_or_else(|| source.connect(), Ok);
        let done = connected.and_then(|connection| {
            let few_left = move_most(&connection, source, progress)?;
            // After an error the next attempt starts with a new connection.
            opened = Some(connection);
            Ok(few_left)
        });
        match done {
            Ok(few_left) => progress.few_left.store(few_left, Ordering::SeqCst),
            Err(error) => warn(&error),
        }
    }
}

/// Moves pages until few are left, or until a reader prevents progress. Returns whether few are left.
fn move_most(
    connection: &Connection,
    source: &CheckpointSource,
    progress: &Progress,
) -> rusqlite::Result<bool> {
    let mut before = u32::MAX;
    loop {
        let moved = move_pages(connection)?;
        source.flush();
        let left = progress.log_pages.load(Ordering::SeqCst).saturating_sub(moved);
        if left <= FEW_PAGES || left >= before {
            return Ok(left <= FEW_PAGES);
        }
        before = left;
    }
}

/// Moves the pages that no reader needs in the log. Returns how many of the log's pages have been moved.
fn move_pages(connection: &Connection) -> rusqlite::Result<u32> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2))
        .map(|pages| u32::try_from(pages).unwrap_or_default())
}

fn warn(error: &rusqlite::Error) {
    tracing::warn!(why = describe(error), "the journal's log cannot be shortened and grows");
}
