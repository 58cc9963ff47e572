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
use crate::http::server::trace::{RequestSpan, tell_request_id};

pub mod connection;
pub mod cors;
pub mod health;
pub mod landing;
pub mod panics;
pub mod scrape;
pub mod trace;
pub mod traffic;

/// How long requests under way may take after the signal to stop.
const REQUESTS_END: u64 = 4;
/// How long a client may take for the head of its first request; for the next one it is [`KEEP_ALIVE`].
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long a client may go on sending what was refused, until it reads why.
const REFUSED_WAIT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept; gateways and proxies use theirs again.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection is kept on which nothing is answered; more than any answer takes, and than [`KEEP_ALIVE`].
const SILENCE: Duration = Duration::from_secs(90);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// The servers, and where they listen.
pub struct Listening {
    /// Where the webhook is received.
    pub webhook: SocketAddr,
    /// Where the read API is served.
    pub api: SocketAddr,
    handles: Vec<ServerHandle>,
    running: JoinSet<io::Result<()>>,
}

/// How many connections may be open.
pub struct ServerLimits {
    /// Of each listener. The next ones wait until one ends.
    pub connections: usize,
    /// Of each address. The next ones are closed.
    pub guests: Arc<ConnectionLimiter>,
}

/// Listens on one address for both, or on one for each. Port 0 takes a free one.
///
/// # Errors
/// If an address cannot be had; it is named.
pub fn listen(
    webhook: SocketAddr,
    api: Option<SocketAddr>,
    both: AppState,
    limits: &ServerLimits,
) -> io::Result<Listening> {
    let Some(api) = api.filter(|api| *api != webhook) else {
        let (webhook, server) = bind(webhook, both, limits)?;
        return Ok(Listening::new(webhook, webhook, vec![server]));
    };
    let (webhook, for_webhook) = bind(webhook, AppState { api: None, ..both.clone() }, limits)?;
    let (api, for_api) = bind(api, AppState { webhook: None, ..both }, limits)?;
    Ok(Listening::new(webhook, api, vec![for_webhook, for_api]))
}

impl Listening {
    fn new(webhook: SocketAddr, api: SocketAddr, servers: Vec<Server>) -> Self {
        let handles = servers.iter().map(Server::handle).collect();
        Self { webhook, api, handles, running: servers.into_iter().collect() }
    }

    /// Waits until one of them ends by itself.
    pub async fn ended(&mut self) -> io::Error {
        match self.running.join_next().await {
            Some(Ok(Err(error))) => error,
            _ => io::Error::other("it stopped"),
        }
    }

    /// Takes no more requests, and lets those under way end, for a while.
    pub async fn stop(&self) {
        join_all(self.handles.iter().map(|server| server.stop(true))).await;
    }
}

fn bind(address: SocketAddr, surface: AppState, limits: &ServerLimits) -> io::Result<(SocketAddr, Server)> {
    let refused = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let listener = listener(address).map_err(refused)?;
    let bound = listener.local_addr()?;
    let workers = available_parallelism().map_or(1, NonZeroUsize::get).min(limits.connections);
    let guests = limits.guests.clone();
    let builder = Server::build().workers(workers).max_concurrent_connections(limits.connections / workers);
    let builder = builder.shutdown_timeout(REQUESTS_END);
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.disable_signals().listen("buzon", listener, move || {
        let stopping = stopping.clone();
        let http = HttpService::build()
            .client_request_timeout(HEAD_WAIT)
            .client_disconnect_timeout(REFUSED_WAIT)
            .keep_alive(KEEP_ALIVE)
            // A client that has closed its side has gone: a stream would keep its place until a write fails.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .finish(app(surface.clone()));
        let guests = guests.clone();
        fn_service(move |stream| accept(stream, guests.clone())).and_then(http)
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
    guests: Arc<ConnectionLimiter>,
) -> Result<(Connection<TcpStream>, Protocol, Option<SocketAddr>), DispatchError> {
    // An answer is one write. Where it cannot be sent at once, it is sent all the same.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    let place = guests.admit(peer).ok_or_else(|| DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))?;
    Ok((Connection::new(stream, SILENCE).holding(place), Protocol::Http1, peer))
}

/// Every request's way to its handler.
fn app(
    surface: AppState,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse<impl MessageBody>,
    Error = HttpResponse,
    InitError = (),
> {
    let app = App::new()
        .wrap(from_fn(panics::answer))
        .wrap(from_fn(tell_request_id))
        .wrap(from_fn(traffic::count))
        .wrap(TracingLogger::<RequestSpan>::new())
        .configure(move |config| routes(config, &surface));
    map_config(app.into_factory().map_err(|error| error.error_response()), |()| AppConfig::default())
}
