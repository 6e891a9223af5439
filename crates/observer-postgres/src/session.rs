//! One connection: its settings, its statements, and requests that are sent before the first response.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use crate::pg_error::PgError;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Appends rows.
    Writer,
    /// Reads one view at a time.
    Reader,
    /// Holds session locks and listens.
    Locks,
}

/// A request and its response. It is sent when it is polled for the first time.
pub(crate) type Request<'a> = BoxFuture<'a, Result<Vec<Row>, PgError>>;

/// A value and its type.
pub(crate) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection with the settings of its role.
pub(crate) struct Session {
    client: Client,
    /// Prepared statements; `None` behind a pooler, where the next transaction may run in another session.
    prepared: Option<Mutex<HashMap<&'static str, Statement>>>,
    begin: String,
}

/// Settings of a session. Compiled statements of PostgreSQL would cost more than they save here. Without
/// sequential scans, a statement that was planned on an empty table stays fast when the table grows.
fn settings(role: Role, schema: &str) -> Vec<(&'static str, String)> {
    let limits: &[(&'static str, &str)] = match role {
        Role::Writer => &[
            ("statement_timeout", "5s"),
            ("lock_timeout", "3s"),
            // A process that hangs while it holds the head must not hold up its successor.
            ("idle_in_transaction_session_timeout", "2s"),
            ("synchronous_commit", "on"),
            ("enable_seqscan", "off"),
        ],
        Role::Reader => {
            &[("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s")]
        }
        // Ends the locks of a machine that has vanished.
        Role::Locks => &[
            ("statement_timeout", "5s"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_keepalives_count", "3"),
        ],
    };
    let shared = [("search_path", format!("{schema}, pg_temp")), ("jit", "off".to_owned())];
    let limits = limits.iter().map(|(name, value)| (*name, format!("'{value}'")));
    shared.into_iter().chain(limits).collect()
}

impl Session {
    pub(crate) async fn start(
        client: Client,
        role: Role,
        schema: &str,
        pooled: bool,
    ) -> Result<Self, PgError> {
        let begin = match role {
            Role::Reader => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // Each statement sees what was committed before it: the lock's wait must not be in the past.
            Role::Writer | Role::Locks => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        let set = |how: &str| -> String {
            let settings = settings(role, schema).into_iter();
            settings.map(|(name, value)| format!("; {how} {name} = {value}")).collect()
        };
        if pooled {
            let begin = format!("{begin}{}", set("SET LOCAL"));
            return Ok(Self { client, prepared: None, begin });
        }
        client.batch_execute(set("SET").trim_start_matches("; ")).await?;
        Ok(Self { client, prepared: Some(Mutex::default()), begin: begin.to_owned() })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Prepares a statement that is used often.
    pub(crate) async fn prepare(&self, sql: &'static str, types: &[Type]) -> Result<(), PgError> {
        if let Some(prepared) = &self.prepared {
            let statement = self.client.prepare_typed(sql, types).await?;
            prepared.lock().insert(sql, statement);
        }
        Ok(())
    }

    /// Starts a transaction.
    pub(crate) fn begin(&self) -> Request<'_> {
        self.batch(&self.begin)
    }

    /// Sends the start of a transaction without waiting: a connection that cannot begin fails the next request.
    pub(crate) fn send_begin(&self) {
        let _ = self.begin().now_or_never();
    }

    /// Sends the end of a transaction without waiting.
    pub(crate) fn send_end(&self) {
        let _ = self.batch("COMMIT").now_or_never();
    }

    /// Statements without values.
    pub(crate) fn batch<'a>(&'a self, sql: &'a str) -> Request<'a> {
        async move {
            self.client.batch_execute(sql).await?;
            Ok(Vec::new())
        }
        .boxed()
    }

    /// One statement.
    pub(crate) fn query<'a>(&'a self, sql: &'a str, values: Vec<Value<'a>>) -> Request<'a> {
        let prepared = self.prepared.as_ref().and_then(|known| known.lock().get(sql).cloned());
        async move {
            Ok(match prepared {
                Some(statement) => {
                    let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
                    self.client.query(&statement, &values).await?
                }
                None => self.client.query_typed(sql, &values).await?,
            })
        }
        .boxed()
    }
}

/// Sends all requests before it waits for the first response. Returns the responses in order, or the error that
/// made the others fail.
pub(crate) async fn pipelined(mut requests: Vec<Request<'_>>) -> Result<Vec<Vec<Row>>, PgError> {
    let mut responses: Vec<Option<Result<Vec<Row>, PgError>>> =
        requests.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (request, response) in requests.iter_mut().zip(&mut responses) {
            if response.is_none() {
                match request.poll_unpin(context) {
                    Poll::Ready(ready) => *response = Some(ready),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let mut rows = Vec::with_capacity(responses.len());
    let mut consequence = None;
    for response in responses.into_iter().flatten() {
        match response {
            Ok(found) => rows.push(found),
            Err(error) if error.is_consequence() => consequence = Some(error),
            Err(error) => return Err(error),
        }
    }
    consequence.map_or(Ok(rows), Err)
}
