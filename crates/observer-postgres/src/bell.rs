//! Wakes this instance when others have appended: `LISTEN` on the session that also holds its locks, and a look at the
//! head twice a second in case a notification was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use life_agent_observer::store::{ClockLead, Waker};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::locks;
use crate::net::{Heard, Net};
use crate::pg_error::PgError;
use crate::session::{Role, Session};

/// Between two looks at the head.
const LOOK: Duration = Duration::from_millis(500);
/// Between two wakes: what others append meanwhile is read together.
const REST: Duration = Duration::from_millis(2);
const SHORT: Duration = Duration::from_secs(5);
/// How long a start waits for a process that has the journal for itself, and between two attempts.
const WAIT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(200);

const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";

/// One instance's ear.
pub(crate) struct Bell {
    /// Identifies this instance, which need not hear of its own rows.
    instance: String,
    channel: String,
    waker: Mutex<Option<Waker>>,
    heard: Heard,
    known: AtomicI64,
    leads: watch::Sender<bool>,
    lead: ClockLead,
    session: Mutex<Option<Arc<Session>>>,
    closed: AtomicBool,
}

impl Bell {
    /// Joins the instances of a journal. Also returns whether no other instance was there.
    pub(crate) fn join(direct: &Net) -> Result<(Arc<Self>, bool), PgError> {
        let instance = uuid::Uuid::new_v4().to_string();
        let heard = Heard { by: instance.clone(), notify: Arc::new(Notify::new()) };
        let until = Instant::now() + WAIT;
        let session = direct.wait(SHORT, direct.open_listening(Role::Locks, heard.clone()))?;
        let was_alone = loop {
            // Alone if the lock can be had exclusively; it is shared from then on.
            let schema = direct.schema();
            if direct.wait(SHORT, locks::try_exclusive(&session, schema))? {
                direct.wait(SHORT, locks::share(&session, schema))?;
                break true;
            }
            if direct.wait(SHORT, locks::try_shared(&session, schema))? {
                break false;
            }
            if Instant::now() >= until {
                return Err(PgError::Other(
                    "`life-agent migrate` or an earlier release has the database open; try again when it has ended"
                        .to_owned(),
                ));
            }
            std::thread::sleep(RETRY);
        };
        let lead = ClockLead::default();
        direct.wait(SHORT, measure(&session, &lead))?;
        let bell = Arc::new(Self {
            instance,
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

    /// Identifies this instance among the others.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The statement that notifies the other instances when its transaction is committed.
    pub(crate) fn notify(&self) -> String {
        format!("NOTIFY {}, '{}'", self.channel, self.instance)
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
    pub(crate) fn watch(self: &Arc<Self>, net: &Arc<Net>) -> Result<(), PgError> {
        // Weak: the task must not keep the runtime alive that runs it.
        let (net_of_task, bell) = (Arc::downgrade(net), Arc::downgrade(self));
        let heard = Arc::clone(&self.heard.notify);
        net.runtime()?.spawn(async move {
            let mut look = Instant::now();
            loop {
                let notified = tokio::time::timeout(
                    look.saturating_duration_since(Instant::now()),
                    heard.notified(),
                );
                let is_notified = notified.await.is_ok();
                let (Some(net), Some(bell)) = (net_of_task.upgrade(), bell.upgrade()) else {
                    return;
                };
                if bell.closed.load(Ordering::SeqCst) {
                    bell.leads.send_replace(false);
                    return;
                }
                if is_notified {
                    bell.ring();
                    tokio::time::sleep(REST).await;
                }
                if Instant::now() < look {
                    continue;
                }
                look = Instant::now() + LOOK;
                let looked = tokio::time::timeout(SHORT, bell.look(&net)).await;
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

    async fn look(&self, net: &Net) -> Result<(), PgError> {
        let held = self.session.lock().clone().filter(|session| !session.is_closed());
        let session = match held {
            Some(session) => session,
            None => {
                self.leads.send_replace(false);
                let opened = net.open_listening(Role::Locks, self.heard.clone()).await?;
                if !locks::try_shared(&opened, net.schema()).await? {
                    return Err(PgError::Other("another process has the database".to_owned()));
                }
                let session = Arc::new(opened);
                *self.session.lock() = Some(Arc::clone(&session));
                session
            }
        };
        if !*self.leads.borrow() {
            session.batch(&format!("LISTEN {}", self.channel)).await?;
            if locks::try_lead(&session, net.schema()).await? {
                tracing::info!("this instance leads: it expires approvals and sends webhooks");
                self.leads.send_replace(true);
            }
        }
        measure(&session, &self.lead).await?;
        let rows = session.query("SELECT id FROM head", vec![]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
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
        if let Some(session) = self.session.lock().take()
            && let Err(error) = net.wait(SHORT, locks::release(&session))
        {
            tracing::debug!(?error, "the locks of the database end with their connection");
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
