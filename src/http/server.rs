//! The listeners.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer};
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tracing_actix_web::TracingLogger;

use super::trace::{RequestSpan, tell_request_id};
use super::{Surface, panics, routes};

/// How long requests under way may take after the signal to stop.
const REQUESTS_END: u64 = 4;
/// Connections for each of the workers, one for each core.
const CONNECTIONS: usize = 4_096;
/// How long a client may take for the head of its first request; for the next one it is [`KEEP_ALIVE`].
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept; gateways and proxies use theirs again.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The servers, and where they listen.
pub struct Listening {
    /// Where the webhook is received.
    pub webhook: SocketAddr,
    /// Where the read API is served.
    pub api: SocketAddr,
    handles: Vec<ServerHandle>,
    running: JoinSet<io::Result<()>>,
}

/// Listens on one address for both, or on one for each. Port 0 takes a free one.
///
/// # Errors
/// If an address cannot be had; it is named.
pub fn listen(webhook: SocketAddr, api: Option<SocketAddr>, both: Surface) -> io::Result<Listening> {
    let Some(api) = api.filter(|api| *api != webhook) else {
        let (webhook, server) = bind(webhook, both)?;
        return Ok(Listening::new(webhook, webhook, vec![server]));
    };
    let (webhook, for_webhook) = bind(webhook, Surface { api: None, ..both.clone() })?;
    let (api, for_api) = bind(api, Surface { webhook: None, ..both })?;
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

fn bind(address: SocketAddr, surface: Surface) -> io::Result<(SocketAddr, Server)> {
    let app = move || {
        App::new()
            .wrap(from_fn(panics::answer))
            .wrap(from_fn(tell_request_id))
            .wrap(TracingLogger::<RequestSpan>::new())
            .configure(|config| routes(config, &surface))
    };
    let server = HttpServer::new(app)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD_WAIT)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .shutdown_timeout(REQUESTS_END)
        .disable_signals()
        .bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((bound, server.run()))
}
