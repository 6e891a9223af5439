//! Keeps SQLite's log short: moves what is committed into the database file, beside the writing.
//!
//! SQLite would do that within a commit, and all who wait for that one would wait for it too. Here a thread with a
//! connection of its own does it. But the log begins anew only once all of it has been moved, and under load
//! there is always one commit more: so the last few pages are left to the writer, between two commits. See
//! <https://sqlite.org/wal.html#avoiding_excessively_large_wal_files>.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::error::words;
use crate::file::Moving;

/// Pages in the log from which on they are moved.
const ENOUGH: u32 = 1_000;
/// Pages that have to come before it is tried again, where a reader still needs the log.
const AGAIN: u32 = 250;
/// So many pages the writer moves in less time than a commit or two.
const FEW: u32 = 50;
/// From here on the writer moves them whatever it takes: 64 MiB of log.
const MOST: u32 = 16_384;

thread_local! {
    /// Pages in the log after the last commit of this thread's connection.
    static LOGGED: Cell<u32> = const { Cell::new(0) };
}

/// What a writing connection has for SQLite's own checkpoints.
pub(crate) fn note(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    LOGGED.set(u32::try_from(pages).unwrap_or_default());
    Ok(())
}

/// What the two threads tell each other.
#[derive(Default)]
struct Told {
    /// Pages in the log.
    logged: AtomicU32,
    /// Nearly all have been moved.
    few_left: AtomicBool,
}

/// The writer's hold on the thread that moves pages; it ends with this.
pub(crate) struct Shortener {
    told: Arc<Told>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Pages in the log when it was last asked for, until the log begins anew.
    asked_at: u32,
}

impl Drop for Shortener {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shortener {
    /// Starts the thread.
    pub(crate) fn start(moving: Moving) -> std::io::Result<Self> {
        let told = Arc::new(Told::default());
        let (ask, asked) = sync_channel(1);
        let own = Arc::clone(&told);
        let thread = std::thread::Builder::new()
            .name("journal-log".to_owned())
            .spawn(move || run(&moving, &asked, &own))?;
        Ok(Self { told, ask: Some(ask), thread: Some(thread), asked_at: 0 })
    }

    /// After a commit of this connection: has pages moved if there are enough of them.
    pub(crate) fn after_commit(&mut self, connection: &Connection) {
        let pages = LOGGED.get();
        self.told.logged.store(pages, Ordering::SeqCst);
        if pages < self.asked_at {
            self.asked_at = 0;
        }
        let due = pages >= ENOUGH && pages >= self.asked_at + AGAIN;
        if self.told.few_left.swap(false, Ordering::SeqCst) || due && pages >= MOST {
            if let Err(error) = passed(connection) {
                warn(&error);
            }
        } else if due && let Some(ask) = &self.ask {
            // It may still be at it, and has then been asked already.
            let _ = ask.try_send(());
        } else {
            return;
        }
        self.asked_at = pages;
    }
}

fn run(moving: &Moving, asked: &Receiver<()>, told: &Told) {
    let mut opened = None;
    while asked.recv().is_ok() {
        let connected = opened.take().map_or_else(|| moving.connect(), Ok);
        let done = connected.and_then(|connection| {
            let few_left = most(&connection, moving, told)?;
            // After an error the next try begins with another one.
            opened = Some(connection);
            Ok(few_left)
        });
        match done {
            Ok(few_left) => told.few_left.store(few_left, Ordering::SeqCst),
            Err(error) => warn(&error),
        }
    }
}

/// Moves pages until few are left, or no fewer than before: then a reader needs them where they are. Whether
/// few are left.
fn most(connection: &Connection, moving: &Moving, told: &Told) -> rusqlite::Result<bool> {
    let mut before = u32::MAX;
    loop {
        let moved = passed(connection)?;
        moving.flush();
        let left = told.logged.load(Ordering::SeqCst).saturating_sub(moved);
        if left <= FEW || left >= before {
            return Ok(left <= FEW);
        }
        before = left;
    }
}

/// Moves what no reader needs where it is; how many pages of the log have been moved by now.
fn passed(connection: &Connection) -> rusqlite::Result<u32> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2))
        .map(|pages| u32::try_from(pages).unwrap_or_default())
}

fn warn(error: &rusqlite::Error) {
    tracing::warn!(why = words(error), "the journal's log could not be shortened and grows");
}
