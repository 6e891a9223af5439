//! The one thread that writes: it commits whatever has queued since its last commit.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use life_agent_domain::governance::event::Row;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::batch::{self, Tip};
use crate::error::{JournalError, words};
use crate::file::{Locked, PageLimit};
use crate::retention;
use crate::shared::Shared;
use crate::wal::Shortener;
use crate::work::{Recorded, Work, Written};

/// A commit takes no further work once it holds this many rows.
const MAX_ROWS: usize = 512;

/// After a commit of this many rows or more the next one waits for company: so many callers at once send
/// more in a moment, and a commit costs much the same for few rows as for many. With fewer, waiting brings
/// nothing: nobody waits who was alone before.
const CROWD: usize = 16;
/// How long it waits.
const GATHER: Duration = Duration::from_micros(100);

/// The probe of a journal that failed: large enough to need pages of its own.
const PROBE_BYTES: usize = 16 * 1024;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, JournalError>>;

/// What the thread is asked to do, in the order of the queue.
pub(crate) enum Command {
    Write(Box<Work>, Answer<Written>),
    /// Answered when everything before it is durable or has failed.
    Barrier(oneshot::Sender<()>),
    /// Tries whether writing works.
    Probe(Answer<()>),
    /// Removes some of the rows that retention has declared removed; how many.
    Trim(Answer<usize>),
    /// Takes nothing more, finishes what is queued, and ends.
    Close,
}

pub(crate) struct Writer {
    pub(crate) queue: mpsc::Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
    /// None once it has ended. Stands before the connection, so that this one is closed last and tidies up.
    pub(crate) shortener: Option<Shortener>,
    /// None after an error, until it can be opened again. Stands before the file, so that it is closed
    /// before the lock goes.
    pub(crate) connection: Option<Connection>,
    pub(crate) file: Locked,
    pub(crate) limit: PageLimit,
    pub(crate) tip: Tip,
    pub(crate) applied_limit: u32,
}

/// Work that goes into one commit, with those who wait for it.
#[derive(Default)]
struct Group {
    works: Vec<Work>,
    answers: Vec<Answer<Written>>,
    barriers: Vec<oneshot::Sender<()>>,
    /// [`Work::held`], let go at the end.
    held: Vec<Arc<dyn Any + Send + Sync>>,
    rows: usize,
}

/// Tells followers that nothing will come any more, however the thread ends.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.published.send_modify(|published| published.closed = true);
    }
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.shared));
        metrics::counter!("journal_errors_total").increment(0);
        let mut rows = 0;
        while let Some(first) = self.queue.blocking_recv() {
            if rows >= CROWD {
                std::thread::sleep(GATHER);
            }
            let mut group = Group::default();
            let mut next = Some(first);
            while let Some(command) = next {
                next = match self.collect(command, &mut group) {
                    Some(other) => {
                        self.commit(std::mem::take(&mut group));
                        self.obey(other);
                        None
                    }
                    None if group.rows < MAX_ROWS => self.queue.try_recv().ok(),
                    None => None,
                };
            }
            rows = group.rows;
            self.commit(group);
            // Everybody has their answer by now.
            if let (Some(shortener), Some(connection)) = (&mut self.shortener, &self.connection) {
                shortener.after_commit(connection);
            }
            metrics::gauge!("journal_queue_rows").set(self.queue.len() as f64);
        }
        self.finish();
    }

    /// Adds to the group what belongs into one, and hands back what does not.
    fn collect(&self, command: Command, group: &mut Group) -> Option<Command> {
        match command {
            Command::Write(mut work, answer) => {
                let epoch = self.shared.epoch.load(Ordering::SeqCst);
                if work.epoch.is_some_and(|known| known != epoch) {
                    let why = "a step before this one could not be recorded; ask again";
                    let _ = answer.send(Err(JournalError::Unavailable(why.to_owned())));
                } else {
                    // Work without rows counts too: there must be an end to a group.
                    group.rows += work.entries.len().max(1);
                    group.held.extend(work.held.take());
                    group.works.push(*work);
                    group.answers.push(answer);
                }
                None
            }
            Command::Barrier(answer) => {
                group.barriers.push(answer);
                None
            }
            other => Some(other),
        }
    }

    /// Commands that are no work. Those who asked may have gone away, which is their affair.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Probe(answer) => {
                let tried = self.attempt(put_probe).and_then(|()| self.attempt(take_probe));
                let _ = answer.send(tried.map_err(JournalError::Unavailable));
            }
            Command::Trim(answer) => {
                let trimmed = self.attempt(|transaction, _| retention::trim(transaction));
                let _ = answer.send(trimmed.map_err(JournalError::Unavailable));
            }
            Command::Close => self.queue.close(),
            Command::Write(..) | Command::Barrier(_) => {}
        }
    }

    fn commit(&mut self, group: Group) {
        let Group { works, answers, barriers, held, rows } = group;
        if !works.is_empty() {
            let started = Instant::now();
            let written = self.attempt(|transaction, tip| batch::insert(transaction, tip, works));
            metrics::histogram!("journal_commit_seconds").record(started.elapsed());
            match written {
                Ok(written) => {
                    metrics::histogram!("journal_batch_rows").record(rows as f64);
                    self.publish(written, answers);
                }
                Err(why) => {
                    // Before anyone is answered: who builds on the lost rows is refused from now on.
                    self.shared.epoch.fetch_add(1, Ordering::SeqCst);
                    for answer in answers {
                        let _ = answer.send(Err(JournalError::Unavailable(why.clone())));
                    }
                }
            }
        }
        drop(held);
        for barrier in barriers {
            let _ = barrier.send(());
        }
    }

    /// One transaction: durable when this returns `Ok`, undone when it does not.
    fn attempt<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>, &mut Tip) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        let tried = self.open().and_then(|()| self.transact(write));
        match &tried {
            Ok(_) => {
                if self.shared.failing.lock().take().is_some() {
                    tracing::info!("the journal can be written again");
                }
            }
            Err(why) => {
                tracing::error!(why, "the journal could not be written");
                metrics::counter!("journal_errors_total").increment(1);
                *self.shared.failing.lock() = Some(why.clone());
                // Whatever state the connection is in, a new one starts from what the disk has.
                self.connection = None;
            }
        }
        tried
    }

    fn transact<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>, &mut Tip) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        let Some(connection) = self.connection.as_mut() else {
            return Err("the file is not open".to_owned());
        };
        let pages = self.limit.get();
        let mut tip = self.tip.clone();
        let transact = || {
            if pages != self.applied_limit {
                // 0 leaves the limit as it is; the largest one is what it is without a limit.
                let pragma = if pages == 0 { u32::MAX - 1 } else { pages };
                connection.pragma_update_and_check(None, "max_page_count", pragma, |_| Ok(()))?;
                self.applied_limit = pages;
            }
            let behavior = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
            let written = write(&transaction, &mut tip)?;
            transaction.commit()?;
            Ok(written)
        };
        let written = transact().map_err(|error: rusqlite::Error| words(&error))?;
        self.tip = tip;
        Ok(written)
    }

    /// Makes sure that there is a connection; after an error, that means a new one.
    fn open(&mut self) -> Result<(), String> {
        if self.connection.is_some() {
            return Ok(());
        }
        let reopened = self.file.reopen().and_then(|connection| {
            let tip = Tip::read(&connection)?;
            Ok((connection, tip))
        });
        let (connection, tip) = reopened.map_err(|error| words(&error))?;
        if tip.head.id < self.tip.head.id {
            return Err("the file is not the journal that was opened; stop and look at it".into());
        }
        if tip.head != self.tip.head {
            // The failed commit did reach the disk. Its rows are in no ring, so all read the file.
            self.tip = tip;
            self.shared.ring.write().reset(self.tip.head.id);
            self.announce();
        }
        self.applied_limit = 0;
        self.connection = Some(connection);
        Ok(())
    }

    /// Rows first, then the head that wakes those who wait for them, then the answers: whoever has an
    /// answer finds its row.
    fn publish(&mut self, written: Vec<Vec<Row>>, answers: Vec<Answer<Written>>) {
        let written: Vec<Vec<_>> =
            written.into_iter().map(|rows| rows.into_iter().map(Recorded::new).collect()).collect();
        {
            let mut ring = self.shared.ring.write();
            if self.shared.published.receiver_count() > 0 {
                written.iter().flatten().for_each(|row| ring.push(Arc::clone(row)));
            } else {
                // Nobody follows: whoever comes later begins at the head, or reads the file.
                ring.reset(self.tip.head.id);
            }
        }
        self.announce();
        for (rows, answer) in written.into_iter().zip(answers) {
            let id = rows.last().map_or(self.tip.head.id, |row| row.id);
            let _ = answer.send(Ok(Written { id, rows }));
        }
    }

    fn announce(&self) {
        let head = &self.tip.head;
        self.shared.published.send_if_modified(|published| {
            let new = published.head != *head;
            if new {
                published.head = head.clone();
            }
            new
        });
    }

    /// Moves the log into the database file, so that the file alone is the journal.
    fn finish(&mut self) {
        self.shortener = None;
        if let Some(connection) = &self.connection {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            let done = connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0));
            match done {
                Ok(0) => {}
                Ok(_) => {
                    tracing::warn!("a reader kept the journal's log in use; it stays beside it")
                }
                Err(error) => {
                    tracing::warn!(why = words(&error), "the journal's log stays beside it")
                }
            }
        }
    }
}

fn put_probe(transaction: &Transaction<'_>, _tip: &mut Tip) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO settings (key, value) VALUES ('journal.probe', ?1)";
    transaction.execute(put, ["x".repeat(PROBE_BYTES)]).map(drop)
}

fn take_probe(transaction: &Transaction<'_>, _tip: &mut Tip) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM settings WHERE key = 'journal.probe'", []).map(drop)
}
