//! The writing side: one connection, owned by the journal's writer thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_agent_observer::chain::Tip;
use life_agent_observer::store::{
    Foreign, GroupCommit, Recovered, Store, StoreError, TRIM_ROWS, Waker,
};
use life_agent_observer::{Head, WriteBatch};
use tokio_postgres::types::Type;

use crate::group::Group;
use crate::insert;
use crate::net::Net;
use crate::owner::Ownership;
use crate::pg_error::PgError;
use crate::scan;
use crate::session::{Role, Session, pipelined};
use crate::shared::SharedTail;
use crate::stored::{LOCK_HEAD, Needed, Stored, StoredHead, stored_head};
use crate::texts;

/// Longest wait for one round trip. The server's own limits are shorter.
pub(crate) const ROUND_TRIP: Duration = Duration::from_secs(10);
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
    pub(crate) ownership: Arc<Ownership>,
    /// `None` after an error.
    pub(crate) session: Option<Session>,
    pub(crate) tip: Tip,
    pub(crate) control: u64,
    /// The end of the last group if its outcome is unknown.
    pub(crate) unresolved: Option<Head>,
    /// `Some` if several instances append.
    pub(crate) shared: Option<SharedTail>,
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
        let not_stored = |error: PgError| StoreError::NotStored(error.cause());
        self.ownership.check().map_err(not_stored)?;
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

    /// Begins a transaction that holds the head, and reads what the group depends on.
    fn begin_alone(&mut self, needed: &Needed) -> Result<Stored, StoreError> {
        let stored = self.run(async |session: &Session| needed.read(session).await)?;
        let compared = self.ownership.compare(&stored.end.owner);
        let compared = compared.map_err(|error| StoreError::NotStored(error.cause()));
        let is_known = stored.end.head == self.tip.head && stored.end.control == self.control;
        if compared.is_err() || !is_known {
            // Ends the transaction.
            self.session = None;
            compared?;
            return Err(StoreError::NotStored(CHANGED.into()));
        }
        Ok(stored)
    }

    /// Locks the head, which waits for a transaction of an earlier connection, and returns the stored end.
    fn end(&mut self) -> Result<StoredHead, StoreError> {
        let rows = self.run(async |session: &Session| {
            let requests =
                vec![session.begin(), session.query(LOCK_HEAD, vec![]), session.batch("COMMIT")];
            pipelined(requests).await
        })?;
        let missing = || StoreError::NotStored("the journal's tables are missing".into());
        let row = rows.get(1).and_then(|rows| rows.first()).ok_or_else(missing)?;
        let end = stored_head(row).map_err(|error| StoreError::NotStored(error.cause()))?;
        let owned = self.ownership.compare(&end.owner);
        owned.map_err(|error| StoreError::NotStored(error.cause()))?;
        Ok(end)
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
                Ok(end) if end.head == self.tip.head || self.shared.is_some() => {
                    return Err(StoreError::NotStored(error.cause()));
                }
                Ok(_) => return Err(StoreError::Unknown(CHANGED.into())),
                Err(_) if Instant::now() < until && self.ownership.check().is_ok() => {
                    std::thread::sleep(RETRY);
                }
                Err(_) => {
                    self.unresolved = Some(planned.clone());
                    return Err(StoreError::Unknown(error.cause()));
                }
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
        if let Some(shared) = &self.shared {
            shared.bell.set_waker(waker);
        }
    }

    fn commit(&mut self, group: Vec<WriteBatch>) -> Result<GroupCommit, StoreError> {
        let stored = match self.shared {
            Some(_) => self.locked(Needed::of(&group))?,
            None => self.begin_alone(&Needed::of(&group))?,
        };
        let mut applied = Group::new(stored);
        let outcomes: Vec<_> = group.into_iter().map(|batch| applied.apply(batch)).collect();
        let session = self.session.take();
        let session =
            session.ok_or(StoreError::NotStored("the database is not connected".into()))?;
        if applied.is_empty() {
            session.send_end();
            self.session = Some(session);
        } else {
            let channel = self.shared.as_ref().map(|shared| shared.bell.channel());
            match self.net.wait(ROUND_TRIP, insert::write(&session, &applied, &outcomes, channel)) {
                Ok(()) => self.session = Some(session),
                Err(error) => {
                    // Before the question: its end lets a transaction that hangs end, too.
                    drop(session);
                    self.resolve(error, &applied.tip.head)?;
                }
            }
            (self.tip, self.control) = (applied.tip, applied.control);
        }
        Ok(GroupCommit { head: self.tip.head.clone(), control: self.control, outcomes })
    }

    fn recover(&mut self) -> Result<Recovered, StoreError> {
        let end = self.end()?;
        if self.shared.is_some() {
            // What this instance does not know, its own lost groups included, is read as the rows of others.
            let head =
                if end.head.id < self.tip.head.id { end.head } else { self.tip.head.clone() };
            return Ok(Recovered { head, control: self.control });
        }
        let is_known = end.head == self.tip.head || self.unresolved.as_ref() == Some(&end.head);
        // A lower head is reported by the writer.
        if !is_known && end.head.id >= self.tip.head.id {
            return Err(StoreError::NotStored(CHANGED.into()));
        }
        if end.head.id >= self.tip.head.id {
            self.unresolved = None;
            self.tip = Tip { head: end.head.clone(), ts: end.ts };
            self.control = end.control;
        }
        Ok(Recovered { head: end.head, control: end.control })
    }

    fn check(&mut self) -> Result<(), StoreError> {
        let rows = self.run(async |session: &Session| {
            let owner = session.query("SELECT owner FROM head", vec![]);
            pipelined(vec![session.begin(), owner, session.batch("COMMIT")]).await
        })?;
        let not_stored = |error: PgError| StoreError::NotStored(error.cause());
        let row = rows.get(1).and_then(|rows| rows.first());
        let owner = row.map(|row| row.try_get(0)).transpose();
        let owner: Option<&str> = owner.map_err(|error| not_stored(error.into()))?;
        self.ownership.compare(owner.unwrap_or_default()).map_err(not_stored)
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
        let owner = self.ownership.id().to_owned();
        self.run(async |session: &Session| {
            session.begin().await?;
            // Removed texts must not be used by a group at the same time.
            let head = session.query(LOCK_HEAD, vec![]).await?;
            let head = head.first().map(stored_head).transpose()?;
            let owns = head.is_some_and(|head| head.owner == owner);
            let declared = scan::pruned(session).await?;
            let upto = declared.map_or(0, |declared| crate::stored::signed(declared.id));
            let sql = "DELETE FROM events
                WHERE id <= least($1, (SELECT min(id) FROM events) + $2 - 1) AND $3
                RETURNING CASE WHEN strpos(data, '\"references\":') > 0 THEN data ELSE '' END";
            let values =
                vec![(&upto as _, Type::INT8), (&chunk as _, Type::INT8), (&owns as _, Type::BOOL)];
            let gone = session.query(sql, values).await?;
            let data = gone.iter().map(|row| row.try_get(0));
            let data: Vec<String> = data.collect::<Result<_, tokio_postgres::Error>>()?;
            let is_complete = !owns || texts::forget(session, &data).await?;
            session.batch("COMMIT").await?;
            // The next call removes the rest.
            Ok(gone.len().max(usize::from(!is_complete)))
        })
    }

    fn close(&mut self) {
        self.session = None;
        self.ownership.release(&self.direct);
        if let Some(shared) = &self.shared {
            shared.bell.release(&self.direct);
        }
    }
}
