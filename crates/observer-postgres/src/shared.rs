//! The end of a journal to which several instances append.
//!
//! A group locks the head and reads what other instances have appended since, in one round trip. The lock makes the
//! order of the commits the order of the rows, so that `id > known` is complete in every later snapshot.

use life_agent_observer::chain::Tip;
use life_agent_observer::store::{Foreign, StoreError};
use life_agent_observer::{Head, JournalError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::net::ROUND_TRIP;
use crate::page::row_of;
use crate::session::{Session, pipelined};
use crate::store::{CHANGED, PostgresStore, not_stored};
use crate::stored::{Needed, Stored, TAIL, UNLOCKED_HEAD, signed, stored_end};

const SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

impl PostgresStore {
    /// See [`life_agent_observer::Store::begin`].
    pub(crate) fn lock_tail(&mut self, needed: Needed) -> Result<Foreign, StoreError> {
        let known = signed(self.tip.head.id);
        let needed = self.agents.without_known(needed);
        let read = async |session: &Session| needed.read_after(session, known).await;
        let (stored, tail) = self.run(read)?;
        self.agents.compare(&stored.written_by);
        let end = stored.end.clone();
        let tip = Tip { head: end.head, ts: end.ts };
        let foreign = self.advance(&tail, tip, end.control);
        match &foreign {
            Ok(foreign) if !foreign.more => self.begun = Some((stored, needed)),
            // Too far behind to read it under the lock.
            Ok(_) => {
                if let Some(session) = &self.session {
                    session.send_end();
                }
            }
            // Ends the transaction.
            Err(_) => self.session = None,
        }
        foreign
    }

    /// See [`life_agent_observer::Store::catch_up`].
    pub(crate) fn read_tail(&mut self) -> Result<Foreign, StoreError> {
        let known = signed(self.tip.head.id);
        let mut rows = self.run(async |session: &Session| {
            let requests = vec![
                session.begin(),
                session.batch(SNAPSHOT),
                session.query(UNLOCKED_HEAD, vec![]),
                session.query(TAIL, vec![(&known, Type::INT8)]),
                session.batch("COMMIT"),
            ];
            pipelined(requests).await
        })?;
        let tail = std::mem::take(&mut rows[3]);
        let end = stored_end(&rows[2]).map_err(not_stored)?;
        self.advance(&tail, Tip { head: end.head, ts: end.ts }, end.control)
    }

    /// The state under the lock, with the records of the batches that joined the group since.
    pub(crate) fn locked(&mut self, needed: Needed) -> Result<Stored, StoreError> {
        let begun = self.begun.take();
        let (mut stored, known) =
            begun.ok_or(StoreError::NotStored("the end of the journal is not locked".into()))?;
        let more = self.agents.fill(&mut stored, needed.beyond(&known));
        if more.is_empty() {
            return Ok(stored);
        }
        let lost = || StoreError::NotStored("the connection to the database was lost".into());
        let session = self.session.take().ok_or_else(lost)?;
        let read = more.read_more(&session, &mut stored);
        self.net.wait(ROUND_TRIP, read).map_err(not_stored)?;
        self.session = Some(session);
        Ok(stored)
    }

    /// Moves on to the rows of others, which must continue the chain.
    fn advance(&mut self, tail: &[Row], end: Tip, control: u64) -> Result<Foreign, StoreError> {
        let mut rows = Vec::with_capacity(tail.len());
        let mut last = self.tip.head.clone();
        for row in tail {
            let row = row_of(row).map_err(unreadable)?;
            if row.id != last.id + 1 || row.prev_hash != last.hash {
                return Err(StoreError::NotStored(CHANGED.into()));
            }
            last = Head { id: row.id, hash: row.hash.clone() };
            rows.push(row);
        }
        let more = last.id < end.head.id;
        if (more && rows.is_empty()) || (!more && last != end.head) {
            return Err(StoreError::NotStored(CHANGED.into()));
        }
        let ts = rows.last().map_or_else(|| self.tip.ts.clone(), |row| row.ts.clone());
        self.tip = if more { Tip { head: last.clone(), ts } } else { end };
        if !more {
            self.control = control;
        }
        Ok(Foreign { rows, head: last, control, more })
    }

    /// Whether the journal holds this row.
    pub(crate) fn holds(&mut self, head: &Head) -> bool {
        let id = signed(head.id);
        let found = self.run(async |session: &Session| {
            let sql = "SELECT hash FROM events WHERE id = $1";
            let found = session.query(sql, vec![(&id, Type::INT8)]);
            pipelined(vec![session.begin(), found, session.batch("COMMIT")]).await
        });
        let Ok(rows) = found else { return false };
        let hash = rows.get(1).and_then(|rows| rows.first()).map(|row| row.try_get::<_, String>(0));
        matches!(hash, Some(Ok(hash)) if hash == head.hash)
    }
}

fn unreadable(error: JournalError) -> StoreError {
    StoreError::NotStored(error.to_string().into())
}
