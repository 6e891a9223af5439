//! A pool of connections that read, and one transaction on one of them.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use life_agent_observer::JournalError;
use parking_lot::Mutex;
use tokio_postgres::types::FromSql;

use crate::net::Net;
use crate::pg_error::PgError;
use crate::session::{Role, Session, Value};

/// Longest wait for one response. The server's limit is shorter.
const RESPONSE: Duration = Duration::from_secs(35);

/// Connections that read.
pub(crate) struct Pool {
    net: Arc<Net>,
    idle: Mutex<Vec<Session>>,
    size: usize,
}

impl Pool {
    pub(crate) fn new(net: Arc<Net>, size: usize) -> Self {
        Self { net, idle: Mutex::default(), size }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A connection that is open as far as is known.
    fn take(&self) -> Result<Session, PgError> {
        loop {
            let Some(session) = self.idle.lock().pop() else { break };
            if !session.is_closed() {
                return Ok(session);
            }
        }
        self.net.connect(Role::Reader)
    }

    fn put_back(&self, session: Session) {
        let mut idle = self.idle.lock();
        if idle.len() < self.size && !session.is_closed() {
            idle.push(session);
        }
    }
}

/// A read transaction: one state of the database from its first read until it is dropped.
pub(crate) struct View<'p> {
    pool: &'p Pool,
    session: Option<Session>,
    /// Whether a response is missing.
    is_lost: Cell<bool>,
}

impl<'p> View<'p> {
    pub(crate) fn begin(pool: &'p Pool) -> Result<Self, JournalError> {
        let session = pool.take().map_err(PgError::of_read)?;
        session.send_begin();
        Ok(Self { pool, session: Some(session), is_lost: Cell::new(false) })
    }

    /// Runs one statement.
    pub(crate) fn query(
        &self,
        sql: &str,
        values: Vec<Value<'_>>,
    ) -> Result<Vec<tokio_postgres::Row>, JournalError> {
        self.run(async |session: &Session| session.query(sql, values.clone()).await)
    }

    /// Runs requests on the view's connection.
    pub(crate) fn run<T>(
        &self,
        call: impl AsyncFn(&Session) -> Result<T, PgError>,
    ) -> Result<T, JournalError> {
        let lost = || JournalError::unavailable("the connection to the database was lost");
        let session = self.session.as_ref().filter(|_| !self.is_lost.get()).ok_or_else(lost)?;
        self.pool.net.wait(RESPONSE, call(session)).map_err(|error| {
            self.is_lost.set(!error.is_refusal());
            error.of_read()
        })
    }

    /// A column of the first row; `None` without rows.
    pub(crate) fn column<'r, T: FromSql<'r>>(
        &self,
        rows: &'r [tokio_postgres::Row],
        column: usize,
    ) -> Result<Option<T>, JournalError> {
        let value = rows.first().map(|row| row.try_get(column)).transpose();
        value.map_err(|error| PgError::from(error).of_read())
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(|_| !self.is_lost.get()) {
            session.send_end();
            self.pool.put_back(session);
        }
    }
}
