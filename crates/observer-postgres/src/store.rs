//! The writing side: one connection, owned by the journal's writer thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_observer::chain::Tip;
use life_agent_observer::store::{
    Foreign, GroupCommit, Recovered, Store, StoreError, TRIM_ROWS, Waker,
};
use life_agent_observer::{Head, WriteBatch};
use tokio_postgres::types::Type;

use crate::bell::Bell;
use crate::group::Group;
use crate::insert;
use crate::known::KnownAgents;
use crate::net::{Net, ROUND_TRIP};
use crate::pg_error::PgError;
use crate::scan;
use crate::session::{Role, Session, pipelined};
use crate::stored::{LOCK_HEAD, Needed, Stored, StoredHead, UNLOCKED_HEAD, stored_end};
use crate::texts;

/// How long a lost response to a commit is looked for before the group fails.
const RESOLVE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);

/// Bytes written by a probe.
const PROBE_BYTES: i32 = 16 * 1024;

pub(crate) const CHANGED: &str = "the database does not end as this instance left it; stop the service, verify the journal and start again";

pub(crate) struct PostgresStore {
    pub(crate) net: Arc<Net>,
    /// Leads to the server itself, past a pooler.
    pub(crate) direct: Arc<Net>,
    pub(crate) bell: Arc<Bell>,
    /// `None` after an error.
    pub(crate) session: Option<Session>,
    pub(crate) tip: Tip,
    pub(crate) control: u64,
    pub(crate) agents: KnownAgents,
    /// The stored state under the lock, and the records in it.
    pub(crate) begun: Option<(Stored, Needed)>,
}

impl PostgresStore {
    /// Connects to the writing side.
    pub(crate) fn connect(net: &Net) -> Result<Session, PgError> {
        let session = net.connect(Role::Writer)?;
        net.wait(ROUND_TRIP, insert::prepare(&session))?;
        Ok(session)
    }

    /// Runs requests on the open connection, or on a new one.
    pub(crate) fn run<T>(
        &mut self,
        call: impl AsyncFn(&Session) -> Result<T, PgError>,
    ) -> Result<T, StoreError> {
        let known = self.session.take().filter(|session| !session.is_closed());
        let was_open = known.is_some();
        let session = match known {
            Some(session) => session,
            None => Self::connect(&self.net).map_err(not_stored)?,
        };
        match self.net.wait(ROUND_TRIP, call(&session)) {
            Ok(value) => {
                self.session = Some(session);
                Ok(value)
            }
            // A server that was restarted ends the connection, and nothing was written on it.
            Err(error) if was_open && !error.is_refusal() => {
                drop(session);
                let session = Self::connect(&self.net).map_err(not_stored)?;
                let value = self.net.wait(ROUND_TRIP, call(&session)).map_err(not_stored)?;
                self.session = Some(session);
                Ok(value)
            }
            Err(error) => Err(not_stored(error)),
        }
    }

    /// Locks the head, which waits for a transaction of an earlier connection, and returns the stored end.
    fn end(&mut self) -> Result<StoredHead, StoreError> {
        let rows = self.run(async |session: &Session| {
            let requests =
                vec![session.begin(), session.query(LOCK_HEAD, vec![]), session.batch("COMMIT")];
            pipelined(requests).await
        })?;
        stored_end(rows.get(1).map_or(&[], Vec::as_slice)).map_err(not_stored)
    }

    /// Finds out whether a group was committed whose response was lost.
    fn resolve(&mut self, error: PgError, planned: &Head) -> Result<(), StoreError> {
        self.session = None;
        if error.is_refusal() {
            return Err(StoreError::NotStored(error.cause()));
        }
        let until = Instant::now() + RESOLVE;
        loop {
            match self.end() {
                Ok(end) if end.head == *planned || self.holds(planned) => {
                    tracing::info!(
                        "a group was stored although the response to its commit was lost"
                    );
                    return Ok(());
                }
                Ok(_) => return Err(StoreError::NotStored(error.cause())),
                Err(_) if Instant::now() < until => std::thread::sleep(RETRY),
                Err(_) => return Err(StoreError::Unknown(error.cause())),
            }
        }
    }
}

impl Store for PostgresStore {
    fn begin(&mut self, group: &[WriteBatch]) -> Result<Foreign, StoreError> {
        self.lock_tail(Needed::of(group))
    }

    fn catch_up(&mut self) -> Result<Foreign, StoreError> {
        self.read_tail()
    }

    fn set_waker(&mut self, waker: Waker) {
        self.bell.set_waker(waker);
    }

    fn commit(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        if self.begun.is_none() {
            let foreign = self.lock_tail(Needed::of(&group))?;
            if foreign.more || !foreign.rows.is_empty() {
                // Ends the transaction.
                self.session = None;
                return Err(StoreError::NotStored("others have appended meanwhile".into()));
            }
        }
        let stored = self.locked(Needed::of(&group))?;
        let mut applied = Group::new(stored);
        let outcomes: Vec<_> = group.into_iter().map(|batch| applied.apply(batch)).collect();
        let session = self.session.take();
        let session =
            session.ok_or(StoreError::NotStored("the database is not connected".into()))?;
        if applied.is_empty() {
            session.send_end();
            self.session = Some(session);
        } else {
            let notify = self.bell.notify();
            match self.net.wait(ROUND_TRIP, insert::write(&session, &applied, &outcomes, &notify)) {
                Ok(written_by) => {
                    self.session = Some(session);
                    (self.tip, self.control) = (applied.tip.clone(), applied.control);
                    self.agents.keep(written_by, applied.into_agents());
                }
                Err(error) => {
                    // Before the question: its end lets a transaction that hangs end, too.
                    drop(session);
                    self.resolve(error, &applied.tip.head)?;
                    (self.tip, self.control) = (applied.tip, applied.control);
                }
            }
        }
        Ok(GroupCommit { head: self.tip.head.clone(), control: self.control, outcomes })
    }

    fn recover(&mut self) -> Result<Recovered, StoreError> {
        let end = self.end()?;
        // What this instance does not know, its own lost groups included, is read as the rows of others. A lower head
        // is reported by the writer.
        let head = if end.head.id < self.tip.head.id { end.head } else { self.tip.head.clone() };
        Ok(Recovered { head, control: self.control })
    }

    fn check(&mut self) -> Result<(), StoreError> {
        let rows = self.run(async |session: &Session| {
            let end = session.query(UNLOCKED_HEAD, vec![]);
            pipelined(vec![session.begin(), end, session.batch("COMMIT")]).await
        })?;
        let end = stored_end(rows.get(1).map_or(&[], Vec::as_slice)).map_err(not_stored)?;
        match end.head.id >= self.tip.head.id {
            true => Ok(()),
            false => Err(StoreError::NotStored(CHANGED.into())),
        }
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.run(async |session: &Session| {
            let put = "INSERT INTO settings (key, value) VALUES ('journal.probe', repeat('x', $1))
                ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            let requests = vec![
                session.begin(),
                session.query(put, vec![(&PROBE_BYTES, Type::INT4)]),
                session.query("DELETE FROM settings WHERE key = 'journal.probe'", vec![]),
                session.batch("COMMIT"),
            ];
            pipelined(requests).await.map(drop)
        })
    }

    fn trim(&mut self) -> Result<usize, StoreError> {
        let chunk = i64::try_from(TRIM_ROWS).unwrap_or(i64::MAX);
        self.run(async |session: &Session| {
            session.begin().await?;
            // Removed texts must not be used by a group at the same time.
            session.query(LOCK_HEAD, vec![]).await?;
            let declared = scan::pruned(session).await?;
            let upto = declared.map_or(0, |declared| crate::stored::signed(declared.id));
            let sql = "DELETE FROM events
                WHERE id <= least($1, (SELECT min(id) FROM events) + $2 - 1)
                RETURNING CASE WHEN strpos(data, '\"references\":') > 0 THEN data ELSE '' END";
            let values = vec![(&upto as _, Type::INT8), (&chunk as _, Type::INT8)];
            let gone = session.query(sql, values).await?;
            let data = gone.iter().map(|row| row.try_get(0));
            let data: Vec<String> = data.collect::<Result<_, tokio_postgres::Error>>()?;
            let is_complete = texts::forget(session, &data).await?;
            session.batch("COMMIT").await?;
            // The next call removes the rest.
            Ok(gone.len().max(usize::from(!is_complete)))
        })
    }

    fn close(&mut self) {
        self.session = None;
        self.bell.release(&self.direct);
    }
}

pub(crate) fn not_stored(error: PgError) -> StoreError {
    StoreError::NotStored(error.cause())
}
