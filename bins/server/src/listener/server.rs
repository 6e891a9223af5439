//! The HTTP server over [`Connection`]: the equivalent of `actix_web::HttpServer` for guarded connections.

use std::net::TcpListener;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::web;
use socket2::{SockRef, TcpKeepalive};
use tokio_util::sync::CancellationToken;

use super::Connection;
use super::connection_limit::ConnectionLimit;
use crate::app::create_app;
use crate::state::AppState;

/// How long a request head may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may idle between requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection may take to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a shutdown waits for requests in flight, in seconds; including the journal it must stay below 10.
const GRACE: u64 = 7;

/// Bytes that the system keeps for a peer that does not read; it doubles them. By default it would take several
/// megabytes, and filling them for a thousand peers would delay all others by seconds.
const SEND_BUFFER: usize = 128 * 1024;

/// Probes silent peers. A vanished peer is dropped before the next keep-alive comment is sent to it; retransmitting
/// that would take the system a quarter of an hour.
fn probing() -> TcpKeepalive {
    let (idle, every) = (Duration::from_secs(5), Duration::from_secs(3));
    TcpKeepalive::new().with_time(idle).with_interval(every).with_retries(3)
}

/// Serves on a listener until the state's `stopping` is canceled; then the listener closes, idle connections end,
/// and requests in flight complete. Connections beyond `max_connections` receive a 503.
pub fn listen(
    listener: TcpListener,
    workers: Option<usize>,
    max_connections: usize,
    state: web::Data<AppState>,
) -> std::io::Result<Server> {
    let stopping = state.stopping.clone();
    let limit = ConnectionLimit::new(max_connections);
    let builder = Server::build()
        .shutdown_timeout(GRACE)
        .shutdown_signal(stopping.clone().cancelled_owned())
        // `ConnectionLimit` applies instead; beyond actix's limit, connections would wait silently.
        .max_concurrent_connections(usize::MAX - 1);
    let builder = workers.into_iter().fold(builder, ServerBuilder::workers);
    let server = builder.listen("http", listener, move || {
        let stopping: CancellationToken = stopping.clone();
        let app = map_config(create_app(state.clone()).into_factory(), |()| AppConfig::default());
        let http = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_DEADLINE)
            .client_disconnect_timeout(CLOSE_DEADLINE)
            // A half-closed connection is the only sign that the client of a stream has disconnected.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || stopping.clone().cancelled_owned())
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.slot());
            })
            .finish(app);
        let limit = limit.clone();
        fn_service(move |io: TcpStream| {
            let limit = limit.clone();
            async move {
                // Responses are small and written whole: waiting to fill a packet only delays them.
                let _ = io.set_nodelay(true);
                let Some(slot) = limit.slot() else {
                    limit.refuse(io).await;
                    return Err(DispatchError::DisconnectTimeout);
                };
                let socket = SockRef::from(&io);
                let _ = socket.set_tcp_keepalive(&probing());
                let _ = socket.set_send_buffer_size(SEND_BUFFER);
                let peer = io.peer_addr().ok();
                Ok((Connection::in_slot(io, slot), Protocol::Http1, peer))
            }
        })
        .and_then(http)
    });
    Ok(server?.run())
}
