//! The listeners.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServerHandle, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse};
use futures_util::future::join_all;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tracing_actix_web::TracingLogger;

use super::{AppState, routes};
use crate::http::limits::connection_limiter::ConnectionLimiter;
use crate::http::server::connection::Connection;
use crate::http::server::trace::{RequestSpan, add_request_id};

pub mod connection;
pub mod cors;
pub mod health;
pub mod landing;
pub mod panics;
pub mod scrape;
pub mod trace;
pub mod traffic;

/// The maximum number of seconds that requests under way may take after the signal to stop.
const REQUESTS_END: u64 = 4;
/// The maximum time for the head of the first request of a connection; for the next ones it is [`KEEP_ALIVE`].
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// The maximum time for which a client may go on sending a refused body until it reads the refusal.
const REFUSED_WAIT: Duration = Duration::from_secs(5);
/// The time for which an idle connection is kept; gateways and proxies use theirs again.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The time for which a connection is kept on which nothing is written. It is longer than any response takes, and than
/// [`KEEP_ALIVE`].
const SILENCE: Duration = Duration::from_secs(90);
/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// The running servers and their addresses.
pub struct Listening {
    /// The address of the webhook.
    pub webhook: SocketAddr,
    /// The address of the read API.
    pub api: SocketAddr,
    handles: Vec<ServerHandle>,
    running: JoinSet<io::Result<()>>,
}

/// The limits on open connections.
pub struct ServerLimits {
    /// The maximum of each listener. Further connections wait until one ends.
    pub connections: usize,
    /// The limiter per address. Further connections are closed.
    pub per_address: Arc<ConnectionLimiter>,
}

/// Listens on one address for the webhook and the API, or on one for each. Port 0 stands for a free port.
///
/// # Errors
/// An address that cannot be bound; it is named.
pub fn listen(
    webhook: SocketAddr,
    api: Option<SocketAddr>,
    state: AppState,
    limits: &ServerLimits,
) -> io::Result<Listening> {
    let Some(api) = api.filter(|api| *api != webhook) else {
        let (webhook, server) = bind(webhook, state, limits)?;
        return Ok(Listening::new(webhook, webhook, vec![server]));
    };
    let (webhook, for_webhook) = bind(webhook, AppState { api: None, ..state.clone() }, limits)?;
    let (api, for_api) = bind(api, AppState { webhook: None, ..state }, limits)?;
    Ok(Listening::new(webhook, api, vec![for_webhook, for_api]))
}

impl Listening {
    fn new(webhook: SocketAddr, api: SocketAddr, servers: Vec<Server>) -> Self {
        let handles = servers.iter().map(Server::handle).collect();
        Self { webhook, api, handles, running: servers.into_iter().collect() }
    }

    /// Waits until one of the servers ends by itself.
    pub async fn ended(&mut self) -> io::Error {
        match self.running.join_next().await {
            Some(Ok(Err(error))) => error,
            _ => io::Error::other("it stopped"),
        }
    }

    /// Accepts no more requests, and waits a while for those under way.
    pub async fn stop(&self) {
        join_all(self.handles.iter().map(|server| server.stop(true))).await;
    }
}

fn bind(address: SocketAddr, state: AppState, limits: &ServerLimits) -> io::Result<(SocketAddr, Server)> {
    let refused = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let listener = listener(address).map_err(refused)?;
    let bound = listener.local_addr()?;
    let workers = available_parallelism().map_or(1, NonZeroUsize::get).min(limits.connections);
    let limiter = limits.per_address.clone();
    let builder = Server::build().workers(workers).max_concurrent_connections(limits.connections / workers);
    let builder = builder.shutdown_timeout(REQUESTS_END);
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.disable_signals().listen("buzon", listener, move || {
        let stopping = stopping.clone();
        let http = HttpService::build()
            .client_request_timeout(HEAD_WAIT)
            .client_disconnect_timeout(REFUSED_WAIT)
            .keep_alive(KEEP_ALIVE)
            // A client that has closed its side has gone. Otherwise a stream would keep its slot until a write fails.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .finish(app(state.clone()));
        let limiter = limiter.clone();
        fn_service(move |stream| accept(stream, limiter.clone())).and_then(http)
    })?;
    Ok((bound, builder.run()))
}

fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

async fn accept(
    stream: TcpStream,
    limiter: Arc<ConnectionLimiter>,
) -> Result<(Connection<TcpStream>, Protocol, Option<SocketAddr>), DispatchError> {
    // A response is one write, which should not be delayed. A failure only makes it slower.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    let permit = limiter.admit(peer).ok_or_else(|| DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))?;
    Ok((Connection::new(stream, SILENCE).holding(permit), Protocol::Http1, peer))
}

/// Returns the middleware and the routes.
fn app(
    state: AppState,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse<impl MessageBody>,
    Error = HttpResponse,
    InitError = (),
> {
    let app = App::new()
        .wrap(from_fn(panics::catch))
        .wrap(from_fn(add_request_id))
        .wrap(from_fn(traffic::count))
        .wrap(TracingLogger::<RequestSpan>::new())
        .configure(move |config| routes(config, &state));
    map_config(app.into_factory().map_err(|error| error.error_response()), |()| AppConfig::default())
}
