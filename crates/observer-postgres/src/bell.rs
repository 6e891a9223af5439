//! Wakes this instance when others have appended: `LISTEN` on the session that also holds its locks, and a look at the
//! head twice a second in case a notification was lost.
//!
//! The shared session lock keeps an instance that expects to be alone from starting, and the other way round. A second
//! lock, which one instance has at a time, chooses the one that does the work of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use life_agent_observer::store::{ClockLead, Waker};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_postgres::types::Type;

use crate::net::Net;
use crate::owner::{OWNER_LOCK, Ownership};
use crate::pg_error::PgError;
use crate::session::{Role, Session};

/// Between two looks at the head.
const LOOK: Duration = Duration::from_millis(500);
const SHORT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(200);

const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";
const LEADER_LOCK: &str = "life-agent leader ";

/// One instance's ear.
pub(crate) struct Bell {
    channel: String,
    waker: Mutex<Option<Waker>>,
    heard: Arc<Notify>,
    known: AtomicI64,
    leads: watch::Sender<bool>,
    lead: ClockLead,
    session: Mutex<Option<Arc<Session>>>,
    closed: AtomicBool,
}

impl Bell {
    /// Joins the instances of a journal. Waits up to `wait` while an instance has it for itself. Also returns whether
    /// no other instance was there.
    pub(crate) fn join(direct: &Net, wait: Duration) -> Result<(Arc<Self>, bool), PgError> {
        let heard = Arc::new(Notify::new());
        let until = Instant::now() + wait;
        let session = direct.wait(SHORT, direct.open_listening(Role::Owner, Arc::clone(&heard)))?;
        let was_alone = loop {
            // Alone if the lock can be had exclusively; it is shared from then on.
            let schema = direct.schema();
            if direct.wait(SHORT, try_lock(&session, OWNER_LOCK, schema, ""))? {
                direct.wait(SHORT, share_own(&session, schema))?;
                break true;
            }
            if direct.wait(SHORT, try_lock(&session, OWNER_LOCK, schema, "_shared"))? {
                break false;
            }
            if Instant::now() >= until {
                return Err(PgError::Other(
                    "an instance with `INSTANCES=one` has the database open; stop it first"
                        .to_owned(),
                ));
            }
            std::thread::sleep(RETRY);
        };
        let lead = ClockLead::default();
        direct.wait(SHORT, measure(&session, &lead))?;
        let bell = Arc::new(Self {
            channel: format!("{}_journal", direct.schema()),
            waker: Mutex::default(),
            heard,
            known: AtomicI64::new(0),
            leads: watch::Sender::new(false),
            lead,
            session: Mutex::new(Some(Arc::new(session))),
            closed: AtomicBool::new(false),
        });
        Ok((bell, was_alone))
    }

    /// The channel of the notifications.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    pub(crate) fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// How far the server's clock is ahead.
    pub(crate) fn lead(&self) -> ClockLead {
        self.lead.clone()
    }

    pub(crate) fn set_waker(&self, waker: Waker) {
        *self.waker.lock() = Some(waker);
    }

    fn ring(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker();
        }
    }

    /// Listens until the journal is closed.
    pub(crate) fn watch(
        self: &Arc<Self>,
        net: &Arc<Net>,
        ownership: &Arc<Ownership>,
    ) -> Result<(), PgError> {
        // Weak: the task must not keep the runtime alive that runs it.
        let (net_of_task, bell) = (Arc::downgrade(net), Arc::downgrade(self));
        let (ownership, heard) = (Arc::downgrade(ownership), Arc::clone(&self.heard));
        net.runtime()?.spawn(async move {
            let mut look = Instant::now();
            loop {
                let notified = tokio::time::timeout(
                    look.saturating_duration_since(Instant::now()),
                    heard.notified(),
                );
                let is_notified = notified.await.is_ok();
                let (Some(net), Some(bell), Some(ownership)) =
                    (net_of_task.upgrade(), bell.upgrade(), ownership.upgrade())
                else {
                    return;
                };
                if bell.closed.load(Ordering::SeqCst) || ownership.check().is_err() {
                    bell.leads.send_replace(false);
                    return;
                }
                if is_notified {
                    bell.ring();
                }
                if Instant::now() < look {
                    continue;
                }
                look = Instant::now() + LOOK;
                let looked = tokio::time::timeout(SHORT, bell.look(&net, &ownership)).await;
                if !matches!(looked, Ok(Ok(()))) {
                    // The session may be gone, and with it the lock.
                    bell.leads.send_replace(false);
                    *bell.session.lock() = None;
                    tracing::debug!(?looked, "the end of the journal cannot be read");
                }
            }
        });
        Ok(())
    }

    async fn look(&self, net: &Net, ownership: &Ownership) -> Result<(), PgError> {
        let held = self.session.lock().clone().filter(|session| !session.is_closed());
        let session = match held {
            Some(session) => session,
            None => {
                self.leads.send_replace(false);
                let opened = net.open_listening(Role::Owner, Arc::clone(&self.heard)).await?;
                if !try_lock(&opened, OWNER_LOCK, net.schema(), "_shared").await? {
                    return Err(PgError::Other("another instance has the database".to_owned()));
                }
                let session = Arc::new(opened);
                *self.session.lock() = Some(Arc::clone(&session));
                session
            }
        };
        if !*self.leads.borrow() {
            // Idempotent: a session that holds the lock gets it again.
            session.batch(&format!("LISTEN {}", self.channel)).await?;
            if try_lock(&session, LEADER_LOCK, net.schema(), "").await? {
                tracing::info!("this instance leads: it expires approvals and sends webhooks");
                self.leads.send_replace(true);
            }
        }
        measure(&session, &self.lead).await?;
        let rows = session.query("SELECT id, owner FROM head", vec![]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        ownership.compare(row.try_get(1)?)?;
        let id: i64 = row.try_get(0)?;
        if self.known.swap(id, Ordering::SeqCst) != id {
            self.ring();
        }
        Ok(())
    }

    /// Gives the locks back.
    pub(crate) fn release(&self, net: &Net) {
        self.closed.store(true, Ordering::SeqCst);
        self.leads.send_replace(false);
        *self.waker.lock() = None;
        if let Some(session) = self.session.lock().take() {
            let unlock = async {
                session.query("SELECT pg_advisory_unlock_all()", vec![]).await?;
                Ok(())
            };
            if let Err(error) = net.wait(SHORT, unlock) {
                tracing::debug!(?error, "the locks of the database end with their connection");
            }
        }
    }
}

/// Compares the clocks of the server and of this process.
async fn measure(session: &Session, lead: &ClockLead) -> Result<(), PgError> {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    };
    let before = now();
    let rows = session.query(CLOCK, vec![]).await?;
    if let Some(row) = rows.first() {
        lead.measured(row.try_get(0)?, before, now());
    }
    Ok(())
}

async fn try_lock(
    session: &Session,
    name: &str,
    schema: &str,
    mode: &str,
) -> Result<bool, PgError> {
    let sql = format!("SELECT pg_try_advisory_lock{mode}(hashtextextended($1, 0))");
    let name = format!("{name}{schema}");
    let rows = session.query(&sql, vec![(&name, Type::TEXT)]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Turns the exclusive lock into a shared one.
async fn share_own(session: &Session, schema: &str) -> Result<(), PgError> {
    for call in ["pg_advisory_lock_shared", "pg_advisory_unlock"] {
        let sql = format!("SELECT {call}(hashtextextended($1, 0))");
        let name = format!("{OWNER_LOCK}{schema}");
        session.query(&sql, vec![(&name, Type::TEXT)]).await?;
    }
    Ok(())
}
