//! Connections: a small runtime of their own, so that no part of the journal's port becomes async.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::pg_error::PgError;
use crate::session::{Role, Session};
use crate::tls;

/// Who is signaled for the notifications of others.
#[derive(Clone)]
pub(crate) struct Heard {
    /// This instance, as its own notifications name it.
    pub(crate) by: String,
    pub(crate) notify: Arc<Notify>,
}

/// Longest wait for one round trip. The server's own limits are shorter.
pub(crate) const ROUND_TRIP: Duration = Duration::from_secs(10);
/// A connection is given up after this time, name resolution and TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Opens connections to one database and drives them.
pub(crate) struct Net {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    address: Address,
    tls: Option<MakeRustlsConnect>,
    schema: String,
    /// Whether a pooler that changes the session with each transaction lies between.
    pooled: bool,
    /// Longest wait for a connection.
    connect_limit: Duration,
}

impl Drop for Net {
    fn drop(&mut self) {
        // The last owner may be async, where waiting for the runtime would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Net {
    pub(crate) fn new(address: Address, schema: String, pooled: bool) -> Result<Self, String> {
        let tls = address.tls.as_ref().map(tls::connector).transpose()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start its thread: {error}"))?;
        let connect_limit = CONNECT;
        Ok(Self { runtime: Some(runtime), address, tls, schema, pooled, connect_limit })
    }

    pub(crate) fn with_connect_limit(mut self, connect_limit: Duration) -> Self {
        self.connect_limit = connect_limit;
        self
    }

    /// The name of the schema that holds the tables.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The runtime, for tasks that outlive a call.
    pub(crate) fn runtime(&self) -> Result<&Runtime, PgError> {
        self.runtime.as_ref().ok_or_else(|| PgError::Other("the journal is closed".to_owned()))
    }

    /// Connects and blocks until the session is ready.
    pub(crate) fn connect(&self, role: Role) -> Result<Session, PgError> {
        self.wait(self.connect_limit, self.open(role))
    }

    /// Connects.
    pub(crate) async fn open(&self, role: Role) -> Result<Session, PgError> {
        let config = self.address.config.clone();
        let tls = self.tls.clone();
        // On the runtime, which owns the sockets.
        let connecting = self.runtime()?.spawn(async move {
            let client = match tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    tokio::spawn(connection);
                    client
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    client
                }
            };
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = connecting
            .await
            .map_err(|_| PgError::Other("the connection was interrupted".to_owned()))??;
        Session::start(client, role, &self.schema, self.pooled).await
    }

    /// Connects, and signals `heard` for each notification of another instance.
    pub(crate) async fn open_listening(
        &self,
        role: Role,
        heard: Heard,
    ) -> Result<Session, PgError> {
        let config = self.address.config.clone();
        let tls = self.tls.clone();
        let connecting = self.runtime()?.spawn(async move {
            let client = match tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    tokio::spawn(listen(connection, heard));
                    client
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(listen(connection, heard));
                    client
                }
            };
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = connecting
            .await
            .map_err(|_| PgError::Other("the connection was interrupted".to_owned()))??;
        Session::start(client, role, &self.schema, self.pooled).await
    }

    /// Blocks until the future is ready, at most `limit`. May be called from async code, too.
    pub(crate) fn wait<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = Result<T, PgError>>,
    ) -> Result<T, PgError> {
        let _entered = self.runtime()?.enter();
        let timed = tokio::time::timeout(limit, future);
        futures_executor::block_on(timed).unwrap_or(Err(PgError::Timeout))
    }
}

/// Drives a connection until it ends.
async fn listen<S, T>(mut connection: Connection<S, T>, heard: Heard)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message
            && notification.payload() != heard.by
        {
            heard.notify.notify_one();
        }
    }
}
