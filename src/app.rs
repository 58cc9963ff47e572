//! Wires everything: a configuration in, a running service out. The program and the tests call the same.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::{Context, anyhow};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};
use tracing_actix_web::TracingLogger;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::body::Reader;
use crate::http::health::Readiness;
use crate::http::refusals::Refusals;
use crate::http::token::ApiToken;
use crate::http::trace::RequestSpan;
use crate::http::webhook::Receiver;
use crate::http::{self, Surface, WebhookUrl};
use crate::store::Store;
use crate::{data_dir, ingest};

/// How long requests under way may take after the signal to stop.
const REQUESTS_END: u64 = 4;
/// How long everything may take after it.
const ALL_END: Duration = Duration::from_secs(7);
/// Connections for each of the workers, one for each core.
const CONNECTIONS: usize = 4_096;
/// How long a client may take for the head of its first request; for the next one it is [`KEEP_ALIVE`].
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept; gateways and proxies use theirs again.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A service that listens, and is to be [run](Application::run).
pub struct Application {
    webhook: SocketAddr,
    api: SocketAddr,
    servers: Vec<Server>,
    readiness: Data<Readiness>,
    writer: ingest::Writer,
    store: Arc<dyn Store>,
}

impl Application {
    /// Binds the listeners and starts the writer. Port 0 takes a free one.
    pub fn build(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let token = match &config.api_token {
            Some(token) => token.clone(),
            None => data_dir::token(&config.data_dir)?,
        };
        let readiness = Data::new(Readiness::new(store.clone()));
        let (ingest, writer) = ingest::start(store.clone());
        let receiver = Receiver {
            reader: Reader::default(),
            ingest,
            clock,
            keyring: config.keyring.clone(),
            allow_unsigned: config.allow_unsigned,
            trusted_proxies: config.trusted_proxies.clone(),
            refusals: Refusals::default(),
        };
        let both = Surface {
            readiness: readiness.clone(),
            webhook: Some(Data::new(receiver)),
            api: Some(Data::new(ApiToken::new(token.expose_secret()))),
            webhook_url: Data::new(WebhookUrl(config.webhook_url("{instance_id}"))),
        };
        let (webhook, api, servers) = listen(config, both)?;
        Ok(Self { webhook, api, servers, readiness, writer, store })
    }

    /// Where the webhook is received.
    pub fn webhook_address(&self) -> SocketAddr {
        self.webhook
    }

    /// Where the read API is served.
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// Serves until `stop` is ready; then finishes the requests under way and the queue, and closes the store.
    ///
    /// # Errors
    /// If a listener or the writer ended by itself: nothing could be stored any more.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let handles: Vec<ServerHandle> = self.servers.iter().map(Server::handle).collect();
        let mut servers: JoinSet<io::Result<()>> = self.servers.drain(..).collect();
        let (outcome, writer_lives) = tokio::select! {
            () = stop => (Ok(()), true),
            ended = self.writer.ended() => (Err(anyhow!("the writer died: {ended:?}")), false),
            ended = servers.join_next() => (Err(anyhow!("a listener ended by itself: {ended:?}")), true),
        };
        info!("stopping: finishing the requests under way");
        if timeout(ALL_END, self.end(&handles, writer_lives)).await.is_err() {
            warn!("not everything was finished in time; what was answered 200 is safe");
        }
        outcome
    }

    async fn end(&mut self, handles: &[ServerHandle], writer_lives: bool) {
        self.readiness.stop();
        futures_util::future::join_all(handles.iter().map(|server| server.stop(true))).await;
        if writer_lives {
            self.writer.close();
            if let Err(error) = self.writer.ended().await {
                warn!(%error, "the writer died while it finished the queue");
            }
        }
        self.store.close().await;
    }
}

/// Listens on one address for both, or on one for each. Returns where the webhook is, and where the API is.
fn listen(config: &Config, both: Surface) -> anyhow::Result<(SocketAddr, SocketAddr, Vec<Server>)> {
    let Some(api) = config.api_listen.filter(|api| *api != config.listen) else {
        let (address, server) = bind(config.listen, both)?;
        return Ok((address, address, vec![server]));
    };
    let (webhook_address, webhook) = bind(config.listen, Surface { api: None, ..both.clone() })?;
    let (api_address, api) = bind(api, Surface { webhook: None, ..both })?;
    Ok((webhook_address, api_address, vec![webhook, api]))
}

fn bind(address: SocketAddr, surface: Surface) -> anyhow::Result<(SocketAddr, Server)> {
    let app =
        move || App::new().wrap(TracingLogger::<RequestSpan>::new()).configure(|config| http::routes(config, &surface));
    let server = HttpServer::new(app)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD_WAIT)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .shutdown_timeout(REQUESTS_END)
        .disable_signals()
        .bind(address)
        .with_context(|| format!("cannot listen on {address}"))?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((bound, server.run()))
}
