//! The handle on an open journal.

mod reads;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::batch::WriteBatch;
use crate::committed::{Committed, Head, JournalRow};
use crate::error::JournalError;
use crate::filter::Filter;
use crate::follower::Follower;
use crate::identity;
use crate::observe::RowObserver;
use crate::published::{Published, Shared};
use crate::ring::Ring;
use crate::store::{Backend, Opened, Readers, Sharing, Waker};
use crate::verify;
use crate::writer::{Command, Writer};

/// Rows whose chain is checked at every start.
const TAIL_ROWS: u64 = 256;

/// Limits of an open journal. The defaults suit a service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Batches that may wait for their commit. Further ones are refused.
    pub queue: usize,
    /// Rows kept in memory for live followers.
    pub ring_rows: usize,
    /// Bytes that these rows may take.
    pub ring_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: 8192, ring_rows: 1024, ring_bytes: 8 << 20 }
    }
}

/// An open journal. Clones share it. When the last one is dropped, queued batches are still committed.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

// Dropped in this order: the writer ends once its queue is gone, and only then is it joined.
struct Inner {
    queue: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    readers: RwLock<Option<Arc<dyn Readers>>>,
    /// One permit for each view, so that readers wait here and not on a thread.
    views: Arc<Semaphore>,
    sharing: Option<Sharing>,
    writer: tokio::sync::Mutex<Thread>,
}

struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl Journal {
    /// Opens the journal that `backend` stores, or creates an empty one. Blocks.
    ///
    /// # Errors
    /// [`JournalError::Open`] if the store cannot serve as a journal, or its last rows are not whole.
    pub fn open(backend: impl Backend, options: Options) -> Result<Self, JournalError> {
        Self::open_observed(backend, options, None)
    }

    /// The same with an observer, which receives every row from here on, also those of other instances.
    ///
    /// # Errors
    /// See [`Journal::open`].
    pub fn open_observed(
        backend: impl Backend,
        options: Options,
        observer: Option<Box<dyn RowObserver>>,
    ) -> Result<Self, JournalError> {
        let Opened { name, tip, control, set_back, mut store, readers, sharing } =
            backend.open()?;
        let checked = readers
            .view()
            .map_err(|error| error.to_string().into())
            .and_then(|view| verify::check_tail(&*view, TAIL_ROWS));
        if let Err(cause) = checked {
            store.close();
            return Err(JournalError::open(name, cause));
        }
        let id = readers
            .view()
            .and_then(|view| identity::at_start(&*view, &mut *store, set_back.as_ref()));
        let id = id.map_err(|error| {
            store.close();
            JournalError::open(&name, error.to_string())
        })?;
        let published = Published { head: tip.head.clone(), closed: false };
        let ring = Ring::new(tip.head.id, options.ring_rows, options.ring_bytes);
        let shared = Arc::new(Shared {
            published: watch::Sender::new(published),
            ring: RwLock::new(ring),
            epoch: AtomicU64::new(0),
            control: AtomicU64::new(control),
            is_waking: AtomicBool::new(false),
            failing: Mutex::new(None),
            id: id.map_or_else(OnceLock::new, OnceLock::from),
            set_back,
        });
        let (queue, commands) = mpsc::channel(options.queue.max(1));
        if sharing.is_some() {
            store.set_waker(waker(queue.downgrade(), Arc::clone(&shared)));
        }
        let writer = Writer {
            queue: commands,
            shared: Arc::clone(&shared),
            store,
            head: tip.head,
            failed: false,
            is_shared: sharing.is_some(),
            observer,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| {
                JournalError::open(name, format!("cannot start its thread: {error}"))
            })?;
        Ok(Self(Arc::new(Inner {
            queue,
            shared,
            views: Arc::new(Semaphore::new(readers.limit().max(1))),
            readers: RwLock::new(Some(readers)),
            sharing,
            writer: tokio::sync::Mutex::new(Thread(Some(thread))),
        })))
    }

    /// Queues a batch and returns immediately, so that it can be called under a lock: the order of calls
    /// is the order of rows. Dropping the handle does not cancel the batch.
    ///
    /// # Errors
    /// [`JournalError::Overloaded`], [`JournalError::Closed`], or [`JournalError::Invalid`].
    pub fn append(&self, batch: WriteBatch) -> Result<CommitHandle, JournalError> {
        self.reserve()?.append(batch)
    }

    /// Reserves a slot of the queue for a batch that is not built yet. The order of rows is that of
    /// [`QueueSlot::append`].
    ///
    /// # Errors
    /// [`JournalError::Overloaded`] or [`JournalError::Closed`].
    pub fn reserve(&self) -> Result<QueueSlot<'_>, JournalError> {
        match self.0.queue.try_reserve() {
            Ok(permit) => Ok(QueueSlot(permit)),
            Err(TrySendError::Full(())) => Err(JournalError::Overloaded),
            Err(TrySendError::Closed(())) => Err(JournalError::Closed),
        }
    }

    /// Waits until every batch queued before is durable or has failed.
    ///
    /// # Errors
    /// [`JournalError::Closed`].
    pub async fn barrier(&self) -> Result<(), JournalError> {
        let (reply, passed) = oneshot::channel();
        self.send(Command::Barrier(reply)).await?;
        passed.await.map_err(|_| JournalError::Closed)
    }

    /// Whether other instances append to the same journal.
    pub fn is_shared(&self) -> bool {
        self.0.sharing.is_some()
    }

    /// How the journal is shared; `None` if this process is the only one that appends.
    pub fn sharing(&self) -> Option<&Sharing> {
        self.0.sharing.as_ref()
    }

    /// Whether this instance does the work that one of the instances of a journal does for all.
    pub fn leads(&self) -> bool {
        self.0.sharing.as_ref().is_none_or(|sharing| *sharing.leads.borrow())
    }

    /// Waits until every row is known that any instance had appended before the call. Returns immediately if the
    /// journal is not shared.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn catch_up(&self) -> Result<(), JournalError> {
        if self.0.sharing.is_none() {
            return Ok(());
        }
        let (reply, done) = oneshot::channel();
        self.send(Command::CatchUp(Some(reply))).await?;
        done.await.map_err(|_| JournalError::Closed)?
    }

    /// Number of failed commits. State in memory may build on lost rows unless the epoch is still the one
    /// from before the state was read.
    pub fn epoch(&self) -> u64 {
        self.0.shared.epoch.load(Ordering::SeqCst)
    }

    /// The present control version, see [`crate::Precondition::Control`].
    pub fn control(&self) -> u64 {
        self.0.shared.control.load(Ordering::SeqCst)
    }

    /// The last head that is known to have been durable in this store and that it no longer held when it was
    /// opened: it was truncated, or put back to an earlier state.
    pub fn set_back(&self) -> Option<&Head> {
        self.0.shared.set_back.as_ref()
    }

    /// The last durable row.
    pub fn head(&self) -> Head {
        self.0.shared.published.borrow().head.clone()
    }

    /// Whether the journal can be written. Tests the store if the last commit failed, so that a journal
    /// without callers recovers too.
    ///
    /// # Errors
    /// The reason, safe to show to callers.
    pub async fn health(&self) -> Result<(), String> {
        let closed = || JournalError::Closed.to_string();
        if self.0.queue.is_closed() {
            return Err(closed());
        }
        let is_failing = self.0.shared.failing.lock().is_some();
        let (reply, probed) = oneshot::channel();
        let test = if is_failing { Command::Probe(reply) } else { Command::Check(reply) };
        self.send(test).await.map_err(|error| error.to_string())?;
        match probed.await {
            Ok(Err(JournalError::Unavailable(cause) | JournalError::Unknown(cause))) => {
                Err(cause.to_string())
            }
            Ok(probed) => probed.map_err(|error| error.to_string()),
            Err(_) => Err(closed()),
        }
    }

    /// Follows the journal from the row after `after`; with `None`, from now on.
    pub fn follow(&self, after: Option<u64>, filter: Filter) -> Follower {
        Follower::new(self.clone(), self.0.shared.published.subscribe(), after, filter)
    }

    /// Refuses further batches, commits the queued ones and closes the store. Followers receive the rows
    /// that are left in memory and then [`JournalError::Closed`].
    ///
    /// # Errors
    /// The writer thread panicked.
    pub async fn close(&self) -> Result<(), JournalError> {
        let mut writer = self.0.writer.lock().await;
        // Readers first: the last connection to a store tidies up, and a reading one may not.
        self.0.views.close();
        drop(self.0.readers.write().take());
        // A writer that has ended already is what this asks for.
        let _ = self.0.queue.send(Command::Close).await;
        if let Some(thread) = writer.0.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            let broken = || JournalError::unavailable("the writer thread panicked");
            joined.map_err(|_| broken())?.map_err(|_| broken())?;
        }
        Ok(())
    }

    pub(crate) async fn trim(&self) -> Result<usize, JournalError> {
        let (reply, trimmed) = oneshot::channel();
        self.send(Command::Trim(reply)).await?;
        trimmed.await.map_err(|_| JournalError::Closed)?
    }

    async fn send(&self, command: Command) -> Result<(), JournalError> {
        self.0.queue.send(command).await.map_err(|_| JournalError::Closed)
    }

    pub(crate) fn known_id(&self) -> &OnceLock<String> {
        &self.0.shared.id
    }

    /// See [`Ring::after`].
    pub(crate) fn recent(
        &self,
        position: u64,
        max: usize,
        filter: &Filter,
    ) -> Option<(Vec<Arc<JournalRow>>, u64)> {
        self.0.shared.ring.read().after(position, max, filter)
    }
}

/// Queues a look at what other instances have appended, unless one is queued already.
fn waker(queue: mpsc::WeakSender<Command>, shared: Arc<Shared>) -> Waker {
    Box::new(move || {
        let Some(queue) = queue.upgrade() else { return };
        if !shared.is_waking.swap(true, Ordering::SeqCst)
            && queue.try_send(Command::CatchUp(None)).is_err()
        {
            // The queue is full of batches; the next group looks.
            shared.is_waking.store(false, Ordering::SeqCst);
        }
    })
}

/// A reserved slot of the queue, released when it is dropped.
pub struct QueueSlot<'j>(mpsc::Permit<'j, Command>);

impl QueueSlot<'_> {
    /// See [`Journal::append`].
    ///
    /// # Errors
    /// [`JournalError::Invalid`].
    pub fn append(self, batch: WriteBatch) -> Result<CommitHandle, JournalError> {
        batch.check()?;
        let (reply, pending) = oneshot::channel();
        self.0.send(Command::Write(Box::new(batch), reply));
        Ok(CommitHandle(pending))
    }
}

/// Resolves once the batch is durable or has failed.
pub struct CommitHandle(oneshot::Receiver<Result<Committed, JournalError>>);

impl Future for CommitHandle {
    type Output = Result<Committed, JournalError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|reply| match reply {
            Ok(committed) => committed,
            Err(_) => Err(JournalError::unavailable("the writer thread panicked")),
        })
    }
}
