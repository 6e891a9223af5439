//! The writer thread: commits everything that was queued since its last commit.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::batch::{SideWrite, WriteBatch};
use crate::committed::{Committed, Head, JournalRow};
use crate::error::{Cause, JournalError};
use crate::observe::{Origin, RowObserver};
use crate::precondition::Rejection;
use crate::published::Shared;
use crate::store::{BatchOutcome, Foreign, GroupCommit, Store, StoreError};

/// A group takes no further batch once it holds this many rows.
const MAX_ROWS: usize = 512;

/// After a commit of this many rows the writer waits for [`GATHER`]: that many concurrent callers send
/// more within moments, and a commit of many rows costs about as much as a commit of few. With fewer
/// rows, waiting gains nothing.
const CROWD: usize = 16;
const GATHER: Duration = Duration::from_micros(100);

pub(crate) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// A command to the writer. Commands run in the order of the queue.
pub(crate) enum Command {
    Write(Box<WriteBatch>, Reply<Committed>),
    /// Answered once everything before it is durable or has failed.
    Barrier(oneshot::Sender<()>),
    /// Answered once the rows that other instances had appended before it are known.
    CatchUp(Option<Reply<()>>),
    /// Tests whether the store can be written.
    Probe(Reply<()>),
    /// Tests whether the store is still the one that was opened.
    Check(Reply<()>),
    /// Removes some of the rows that retention has declared removed.
    Trim(Reply<usize>),
    /// Closes the queue, finishes what is queued, and ends.
    Close,
}

pub(crate) struct Writer {
    pub(crate) queue: mpsc::Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Box<dyn Store>,
    pub(crate) head: Head,
    /// Whether the last call of the store failed, so that it must recover first.
    pub(crate) failed: bool,
    /// Whether other instances append, too.
    pub(crate) is_shared: bool,
    pub(crate) observer: Option<Box<dyn RowObserver>>,
}

/// The batches of one commit and their waiting callers.
#[derive(Default)]
struct Group {
    batches: Vec<WriteBatch>,
    replies: Vec<Reply<Committed>>,
    barriers: Vec<oneshot::Sender<()>>,
    catch_ups: Vec<Option<Reply<()>>>,
    /// [`WriteBatch::held`] of all batches.
    held: Vec<Arc<dyn Any + Send + Sync>>,
    rows: usize,
}

/// Publishes the end of the journal when the thread ends, in whatever way.
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
                        self.commit(&mut group);
                        group = Group::default();
                        self.handle(other);
                        None
                    }
                    None if group.rows < MAX_ROWS => self.queue.try_recv().ok(),
                    None => None,
                };
            }
            let other = self.commit(&mut group);
            rows = group.rows;
            if let Some(other) = other {
                self.handle(other);
            }
            self.store.after_group();
            metrics::gauge!("journal_queue_rows").set(self.queue.len() as f64);
        }
        self.store.close();
    }

    /// Adds a command to the group, or returns it if it does not belong into one.
    fn collect(&self, command: Command, group: &mut Group) -> Option<Command> {
        match command {
            Command::Write(mut batch, reply) => {
                let epoch = self.shared.epoch.load(Ordering::SeqCst);
                if batch.epoch.is_some_and(|known| known != epoch) {
                    let why = "a step before this one could not be recorded; try again";
                    let _ = reply.send(Err(JournalError::unavailable(why)));
                } else {
                    // A batch without rows counts too: a group must end.
                    group.rows += batch.entries.len().max(1);
                    group.held.extend(batch.held.take());
                    group.batches.push(*batch);
                    group.replies.push(reply);
                }
                None
            }
            Command::Barrier(reply) => {
                group.barriers.push(reply);
                None
            }
            Command::CatchUp(reply) => {
                self.shared.is_waking.store(false, Ordering::SeqCst);
                group.catch_ups.push(reply);
                None
            }
            other => Some(other),
        }
    }

    /// Runs a command other than a write. Its caller may have gone away.
    fn handle(&mut self, command: Command) {
        match command {
            Command::Probe(reply) => {
                let probed = self.attempt(|store| store.probe());
                let _ = reply.send(probed);
            }
            Command::Check(reply) => {
                let checked = self.attempt(|store| store.check());
                let _ = reply.send(checked);
            }
            Command::Trim(reply) => {
                let trimmed = self.attempt(|store| store.trim());
                let _ = reply.send(trimmed);
            }
            Command::Close => self.queue.close(),
            Command::Write(..) | Command::Barrier(_) | Command::CatchUp(_) => {}
        }
    }

    /// Commits a group. On a shared journal, requests that come while it waits for the lock join the group; returns
    /// the command that ended it, if one did.
    fn commit(&mut self, group: &mut Group) -> Option<Command> {
        let (mut next, mut is_locked, mut caught_up) = (None, false, Ok(()));
        if self.is_shared && !(group.batches.is_empty() && group.catch_ups.is_empty()) {
            caught_up = self.read_foreign(&group.batches);
            is_locked = caught_up.is_ok() && !group.batches.is_empty();
            while is_locked && next.is_none() && group.rows < MAX_ROWS {
                let Ok(command) = self.queue.try_recv() else { break };
                next = self.collect(command, group);
            }
            if is_locked {
                reject_outdated(group);
            }
        }
        let rows = group.rows;
        let Group { batches, replies, barriers, catch_ups, held, .. } = std::mem::take(group);
        group.rows = rows;
        // An empty group releases the lock.
        if is_locked || !batches.is_empty() {
            let started = Instant::now();
            let committed = match &caught_up {
                Ok(()) => self.attempt(|store| store.commit(batches)),
                Err(error) => Err(error.clone()),
            };
            metrics::histogram!("journal_commit_seconds").record(started.elapsed());
            match committed {
                Ok(committed) => {
                    metrics::histogram!("journal_batch_rows").record(rows as f64);
                    self.publish(committed, replies);
                }
                Err(error) => {
                    // Before any reply: batches that build on the lost rows are refused from now on.
                    self.shared.epoch.fetch_add(1, Ordering::SeqCst);
                    for reply in replies {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
        }
        drop(held);
        for barrier in barriers {
            let _ = barrier.send(());
        }
        for reply in catch_ups.into_iter().flatten() {
            let _ = reply.send(caught_up.clone());
        }
        next
    }

    /// Reads the rows of other instances, and locks the end of the journal for a group unless it is empty.
    fn read_foreign(&mut self, group: &[WriteBatch]) -> Result<(), JournalError> {
        loop {
            let foreign = match group.is_empty() {
                true => self.attempt(|store| store.catch_up())?,
                false => self.attempt(|store| store.begin(group))?,
            };
            let more = foreign.more;
            self.add_foreign(foreign);
            if !more {
                return Ok(());
            }
        }
    }

    fn add_foreign(&mut self, foreign: Foreign) {
        let Foreign { rows, head, control, more } = foreign;
        let rows: Vec<_> = rows.into_iter().map(JournalRow::new).collect();
        if let Some(observer) = &mut self.observer {
            rows.iter().for_each(|row| observer.observe(row, Origin::Other));
        }
        {
            let mut ring = self.shared.ring.write();
            if self.shared.published.receiver_count() > 0 {
                rows.into_iter().for_each(|row| ring.push(row));
            } else {
                ring.reset(head.id);
            }
        }
        self.head = head;
        if !more {
            self.shared.control.store(control, Ordering::SeqCst);
        }
        self.announce();
    }

    /// Calls the store, after recovering it from an earlier failure.
    fn attempt<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, JournalError> {
        let result = self.recover().and_then(|()| call(&mut *self.store));
        match result {
            Ok(value) => {
                if self.shared.failing.lock().take().is_some() {
                    tracing::info!("the journal can be written again");
                }
                Ok(value)
            }
            Err(error) => {
                let (StoreError::NotStored(cause) | StoreError::Unknown(cause)) = &error;
                tracing::error!(why = %cause, "the journal could not be written");
                metrics::counter!("journal_errors_total").increment(1);
                *self.shared.failing.lock() = Some(cause.clone());
                self.failed = true;
                Err(error.into())
            }
        }
    }

    fn recover(&mut self) -> Result<(), StoreError> {
        if !self.failed {
            return Ok(());
        }
        let recovered = self.store.recover()?;
        if recovered.head.id < self.head.id {
            let why =
                "the store is not the journal that was opened; stop the service and inspect it";
            return Err(StoreError::NotStored(why.into()));
        }
        if recovered.head != self.head {
            // The failed commit did become durable. The ring lacks its rows, so followers read the store.
            self.head = recovered.head;
            self.shared.ring.write().reset(self.head.id);
            self.announce();
        }
        self.shared.control.store(recovered.control, Ordering::SeqCst);
        self.failed = false;
        Ok(())
    }

    /// Publishes rows first, then the head that wakes followers, then replies: a caller with a response
    /// can read its row.
    fn publish(&mut self, group: GroupCommit, replies: Vec<Reply<Committed>>) {
        let GroupCommit { head, control, outcomes } = group;
        self.head = head;
        let outcomes: Vec<_> = outcomes.into_iter().map(shared_rows).collect();
        if let Some(observer) = &mut self.observer {
            let rows = outcomes.iter().flatten().flatten();
            rows.for_each(|row| observer.observe(row, Origin::Own));
        }
        {
            let mut ring = self.shared.ring.write();
            if self.shared.published.receiver_count() > 0 {
                for rows in outcomes.iter().flatten() {
                    rows.iter().for_each(|row| ring.push(Arc::clone(row)));
                }
            } else {
                // Nothing follows: a later follower starts at the head or reads the store.
                ring.reset(self.head.id);
            }
        }
        self.shared.control.store(control, Ordering::SeqCst);
        self.announce();
        for (outcome, reply) in outcomes.into_iter().zip(replies) {
            let committed = outcome.map(|rows| {
                let id = rows.last().map_or(self.head.id, |row| row.id);
                Committed { id, rows }
            });
            let _ = reply.send(committed);
        }
    }

    fn announce(&self) {
        let head = &self.head;
        self.shared.published.send_if_modified(|published| {
            let new = published.head != *head;
            if new {
                published.head = head.clone();
            }
            new
        });
    }
}

/// Rejects the batches whose guards do not hold.
fn reject_outdated(group: &mut Group) {
    if group.batches.iter().all(|batch| batch.guard.is_none()) {
        return;
    }
    let Group { batches, replies, .. } = group;
    // A change of the group itself is known only when it is committed.
    let mut control_changes = false;
    for (mut batch, reply) in std::mem::take(batches).into_iter().zip(std::mem::take(replies)) {
        if batch.guard.take().is_none_or(|guard| !control_changes && guard.holds()) {
            let changes = |write: &SideWrite| matches!(write, SideWrite::AdvanceControl);
            control_changes |= batch.side_writes.iter().any(changes);
            batches.push(batch);
            replies.push(reply);
        } else {
            let _ = reply.send(Err(JournalError::Rejected(Rejection::Outdated)));
        }
    }
}

fn shared_rows(outcome: BatchOutcome) -> Result<Vec<Arc<JournalRow>>, JournalError> {
    match outcome {
        BatchOutcome::Stored(rows) => Ok(rows.into_iter().map(JournalRow::new).collect()),
        BatchOutcome::Rejected(rejection) => Err(JournalError::Rejected(rejection)),
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotStored(cause) => JournalError::Unavailable(cause),
            StoreError::Unknown(cause) => JournalError::Unknown(cause),
        }
    }
}

impl StoreError {
    /// The cause of the failure.
    pub fn cause(&self) -> &Cause {
        let (StoreError::NotStored(cause) | StoreError::Unknown(cause)) = self;
        cause
    }
}
