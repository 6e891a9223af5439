//! The handle on an open journal.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::batch::Tip;
use crate::error::{JournalError, words};
use crate::file::{self, Locked, PageLimit};
use crate::filter::Filter;
use crate::read::Reader;
use crate::ring::Ring;
use crate::shared::{Published, Shared};
use crate::tail::Follower;
use crate::verify;
use crate::wal::Shortener;
use crate::work::{Head, Recorded, Work, Written};
use crate::writer::{Command, Writer};

/// Rows whose chain is checked at every start.
const TAIL_ROWS: u64 = 256;

/// How a journal is run. The defaults suit a service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Work that may wait for its commit; beyond that it is refused.
    pub queue: usize,
    /// Rows kept in memory for those who follow live.
    pub ring_rows: usize,
    /// Bytes that those rows may take.
    pub ring_bytes: usize,
    /// Connections that read at the same time.
    pub readers: u32,
    /// A bound on the file's size; also how tests get a full disk.
    pub page_limit: PageLimit,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 8192,
            ring_rows: 1024,
            ring_bytes: 8 << 20,
            readers: 4,
            page_limit: PageLimit::default(),
        }
    }
}

/// An open journal. Clones share it; when the last one goes, what is queued is still committed.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

// Fields are dropped in this order: without a queue the writer ends, and only then is it waited for.
struct Inner {
    queue: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    readers: RwLock<Option<Pool<SqliteConnectionManager>>>,
    /// One permit a connection, so that readers wait here and not on a thread.
    reading: Arc<Semaphore>,
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
    /// Opens a journal, or makes a new one where there is no file. A file that cannot serve is left as
    /// it is, and the error says what is wrong with it. Blocks; takes well under a second for a
    /// million rows.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let mut file = Locked::claim(path)?;
        let connection = file.prepare(path)?;
        verify::check_tail(&connection, TAIL_ROWS).map_err(|why| JournalError::open(path, why))?;
        let tip = Tip::read(&connection)?;
        let published = Published { head: tip.head.clone(), closed: false };
        let ring = Ring::new(tip.head.id, options.ring_rows, options.ring_bytes);
        let shared = Arc::new(Shared {
            published: watch::Sender::new(published),
            ring: RwLock::new(ring),
            epoch: AtomicU64::new(0),
            failing: Mutex::new(None),
        });
        let readers = options.readers.max(1);
        let pool = pool(file.path(), readers);
        let (queue, commands) = mpsc::channel(options.queue.max(1));
        let no_thread = |error| JournalError::open(path, format!("no thread for it: {error}"));
        let shortener = file.moving().and_then(Shortener::start).map_err(no_thread)?;
        let writer = Writer {
            queue: commands,
            shortener: Some(shortener),
            shared: Arc::clone(&shared),
            file,
            limit: options.page_limit,
            connection: Some(connection),
            tip,
            applied_limit: 0,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(no_thread)?;
        Ok(Self(Arc::new(Inner {
            queue,
            shared,
            readers: RwLock::new(Some(pool)),
            reading: Arc::new(Semaphore::new(readers as usize)),
            writer: tokio::sync::Mutex::new(Thread(Some(thread))),
        })))
    }

    /// Queues work and returns at once, so that it can be called under a lock: the order of calls is
    /// the order of rows. Dropping the [`Pending`] does not take the work back.
    pub fn append(&self, work: Work) -> Result<Pending, JournalError> {
        self.reserve()?.append(work)
    }

    /// A place in the queue, for work that must not be refused once it is made. The order is that of
    /// [`Place::append`].
    pub fn reserve(&self) -> Result<Place<'_>, JournalError> {
        match self.0.queue.try_reserve() {
            Ok(permit) => Ok(Place(permit)),
            Err(TrySendError::Full(())) => Err(JournalError::Overloaded),
            Err(TrySendError::Closed(())) => Err(JournalError::Closed),
        }
    }

    /// Waits until everything queued before is durable or has failed.
    pub async fn barrier(&self) -> Result<(), JournalError> {
        let (answer, passed) = oneshot::channel();
        self.send(Command::Barrier(answer)).await?;
        passed.await.map_err(|_| JournalError::Closed)
    }

    /// Grows whenever a commit fails. A state is as good as the journal only while the epoch is the
    /// one from before the state was read.
    pub fn epoch(&self) -> u64 {
        self.0.shared.epoch.load(Ordering::SeqCst)
    }

    /// The last durable row.
    pub fn head(&self) -> Head {
        self.0.shared.published.borrow().head.clone()
    }

    /// Whether writing works; if not, why. Tries it when the last commit failed, so that a journal
    /// without callers heals too.
    pub async fn health(&self) -> Result<(), String> {
        let closed = || JournalError::Closed.to_string();
        if self.0.queue.is_closed() {
            return Err(closed());
        }
        if self.0.shared.failing.lock().is_none() {
            return Ok(());
        }
        let (answer, tried) = oneshot::channel();
        self.send(Command::Probe(answer)).await.map_err(|error| error.to_string())?;
        match tried.await {
            Ok(Err(JournalError::Unavailable(why))) => Err(why),
            Ok(tried) => tried.map_err(|error| error.to_string()),
            Err(_) => Err(closed()),
        }
    }

    /// Runs `read` with a reading connection on a thread where blocking is fine. Sees every row that
    /// was answered before.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let waited = Arc::clone(&self.0.reading).acquire_owned().await;
        let permit = waited.map_err(|_| JournalError::Closed)?;
        let pool = self.0.readers.read().clone().ok_or(JournalError::Closed)?;
        let reading = tokio::task::spawn_blocking(move || {
            let unread = |_| JournalError::Unavailable("it cannot be read".to_owned());
            let connection = pool.get().map_err(unread)?;
            let read = read(&Reader::pooled(connection));
            drop(permit);
            read
        });
        reading
            .await
            .map_err(|_| JournalError::Unavailable("reading it was broken off".to_owned()))?
    }

    /// Follows the journal from after row `after`; without one, from now on.
    pub fn follow(&self, after: Option<u64>, filter: Filter) -> Follower {
        Follower::new(self.clone(), self.0.shared.published.subscribe(), after, filter)
    }

    /// Takes nothing more, commits what is queued, moves the log into the file, and ends. Followers
    /// get what is left in memory and then [`JournalError::Closed`].
    pub async fn close(&self) -> Result<(), JournalError> {
        let mut writer = self.0.writer.lock().await;
        // Readers first: the last connection to go tidies up, and a reading one cannot.
        self.0.reading.close();
        drop(self.0.readers.write().take());
        // It may have ended already, which is what is wanted.
        let _ = self.0.queue.send(Command::Close).await;
        if let Some(thread) = writer.0.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            let broken = || JournalError::Unavailable("the writer broke off".to_owned());
            joined.map_err(|_| broken())?.map_err(|_| broken())?;
        }
        Ok(())
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), JournalError> {
        self.0.queue.send(command).await.map_err(|_| JournalError::Closed)
    }

    /// See [`Ring::after`].
    pub(crate) fn recent(
        &self,
        position: u64,
        max: usize,
        filter: &Filter,
    ) -> Option<(Vec<Arc<Recorded>>, u64)> {
        self.0.shared.ring.read().after(position, max, filter)
    }
}

fn pool(path: &Path, size: u32) -> Pool<SqliteConnectionManager> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(file::read_only())
        .with_init(|connection| file::configure_reader(connection));
    Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .connection_timeout(Duration::from_secs(5))
        .error_handler(Box::new(Log))
        .build_unchecked(manager)
}

/// Logs why a connection could not be made, without the path that the error would name.
#[derive(Debug)]
struct Log;

impl r2d2::HandleError<rusqlite::Error> for Log {
    fn handle_error(&self, error: rusqlite::Error) {
        tracing::error!(why = words(&error), "no connection to read the journal");
    }
}

/// A place in the queue; given back when it is dropped.
pub struct Place<'j>(mpsc::Permit<'j, Command>);

impl Place<'_> {
    /// See [`Journal::append`].
    pub fn append(self, work: Work) -> Result<Pending, JournalError> {
        work.check()?;
        let (answer, pending) = oneshot::channel();
        self.0.send(Command::Write(Box::new(work), answer));
        Ok(Pending(pending))
    }
}

/// Resolves when the work is durable, or could not be made so.
pub struct Pending(oneshot::Receiver<Result<Written, JournalError>>);

impl Future for Pending {
    type Output = Result<Written, JournalError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answered| match answered {
            Ok(written) => written,
            Err(_) => Err(JournalError::Unavailable("the writer broke off".to_owned())),
        })
    }
}
