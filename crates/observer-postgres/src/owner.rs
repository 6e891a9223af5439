//! The instance that may append: one per database.
//!
//! A session lock keeps a second instance from starting. It ends with its connection, so a dead instance blocks
//! no other. The lock alone would not be safe: an instance that lost its connection could still write. The id in
//! `head.owner` is, because every group compares it under the lock of the row.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_postgres::types::Type;

use crate::net::Net;
use crate::pg_error::PgError;
use crate::session::{Role, Session};

/// Between two attempts to get the lock, and between two looks at the owner.
const RETRY: Duration = Duration::from_millis(200);
const WATCH: Duration = Duration::from_millis(500);
const SHORT: Duration = Duration::from_secs(5);

/// The lock of an instance that appends, followed by the schema. Several instances share it.
pub(crate) const OWNER_LOCK: &str = "life-agent owner ";
/// The owner in the head if several instances append.
pub(crate) const SEVERAL: &str = "several";

/// Why an instance that was replaced does not write.
pub(crate) const REPLACED: &str = "another instance has taken over the database; this one stops, because it does not know what was decided since";

/// Called once if another instance takes over.
pub(crate) type OnReplaced = Box<dyn FnOnce() + Send>;

/// This instance's right to append.
pub(crate) struct Ownership {
    id: String,
    is_replaced: AtomicBool,
    on_replaced: Mutex<Option<OnReplaced>>,
    /// The session that holds the lock.
    session: Mutex<Option<Arc<Session>>>,
    closed: AtomicBool,
}

impl Ownership {
    /// Waits up to `wait` for the lock.
    pub(crate) fn acquire(
        net: &Net,
        wait: Duration,
        on_replaced: Option<OnReplaced>,
    ) -> Result<Arc<Self>, PgError> {
        let until = Instant::now() + wait;
        let (mut session, mut is_waiting) = (net.connect(Role::Owner)?, false);
        loop {
            match net.wait(SHORT, try_lock(&session, net.schema())) {
                Ok(true) => break,
                Ok(false) => {}
                // A database that restarts does not end the wait.
                Err(_) if is_waiting && Instant::now() < until => {
                    if let Ok(again) = net.connect(Role::Owner) {
                        session = again;
                    }
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Err(PgError::Other(
                    "another instance has the database open; stop that one, or name another database".to_owned(),
                ));
            }
            if !std::mem::replace(&mut is_waiting, true) {
                tracing::info!("another instance has the database open; waiting for its end");
            }
            std::thread::sleep(RETRY);
        }
        Ok(Arc::new(Self {
            id: uuid::Uuid::new_v4().to_string(),
            is_replaced: AtomicBool::new(false),
            on_replaced: Mutex::new(on_replaced),
            session: Mutex::new(Some(Arc::new(session))),
            closed: AtomicBool::new(false),
        }))
    }

    /// The right of every instance of a shared journal. It ends if an instance takes the journal for itself.
    pub(crate) fn shared(on_replaced: Option<OnReplaced>) -> Arc<Self> {
        Arc::new(Self {
            id: SEVERAL.to_owned(),
            is_replaced: AtomicBool::new(false),
            on_replaced: Mutex::new(on_replaced),
            session: Mutex::new(None),
            closed: AtomicBool::new(false),
        })
    }

    /// The id in `head.owner`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Fails once another instance has taken over.
    pub(crate) fn check(&self) -> Result<(), PgError> {
        match self.is_replaced.load(Ordering::SeqCst) {
            true => Err(PgError::Other(REPLACED.to_owned())),
            false => Ok(()),
        }
    }

    /// Compares an owner that was read from the head.
    pub(crate) fn compare(&self, owner: &str) -> Result<(), PgError> {
        if owner != self.id {
            self.is_replaced.store(true, Ordering::SeqCst);
            tracing::error!("{REPLACED}");
            let on_replaced = self.on_replaced.lock().take();
            if let Some(on_replaced) = on_replaced {
                on_replaced();
            }
        }
        self.check()
    }

    /// Watches the owner, and gets the lock again after a lost connection.
    pub(crate) fn watch(self: &Arc<Self>, net: &Arc<Net>) -> Result<(), PgError> {
        // Weak: the task must not keep the runtime alive that runs it.
        let (net_of_task, ownership) = (Arc::downgrade(net), Arc::downgrade(self));
        net.runtime()?.spawn(async move {
            loop {
                tokio::time::sleep(WATCH).await;
                let (Some(net), Some(ownership)) = (net_of_task.upgrade(), ownership.upgrade())
                else {
                    return;
                };
                if ownership.closed.load(Ordering::SeqCst) || ownership.check().is_err() {
                    return;
                }
                // The server may be away; the next round tries again.
                let looked = tokio::time::timeout(SHORT, ownership.look(&net)).await;
                if let Ok(Err(error)) = looked {
                    tracing::debug!(?error, "the owner of the database cannot be read");
                }
            }
        });
        Ok(())
    }

    async fn look(&self, net: &Net) -> Result<(), PgError> {
        let held = self.session.lock().clone().filter(|session| !session.is_closed());
        let session = match held {
            Some(session) => session,
            None => {
                let session = Arc::new(net.open(Role::Owner).await?);
                // Not held if the server has not noticed the end of the earlier session yet, or if another instance
                // starts. Its id in the head then decides.
                if try_lock(&session, net.schema()).await? {
                    tracing::info!("the database is back; this instance holds its lock again");
                    *self.session.lock() = Some(Arc::clone(&session));
                }
                session
            }
        };
        let rows = session.query("SELECT owner FROM head", vec![]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        self.compare(row.try_get(0)?)
    }

    /// Gives the lock back.
    pub(crate) fn release(&self, net: &Net) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(session) = self.session.lock().take() {
            let unlock = async {
                session.query("SELECT pg_advisory_unlock_all()", vec![]).await?;
                Ok(())
            };
            if let Err(error) = net.wait(SHORT, unlock) {
                tracing::debug!(?error, "the lock of the database ends with its connection");
            }
        }
    }
}

async fn try_lock(session: &Session, schema: &str) -> Result<bool, PgError> {
    let sql = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
    let name = format!("{OWNER_LOCK}{schema}");
    let rows = session.query(sql, vec![(&name, Type::TEXT)]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}
