//! Wires everything: a configuration in, a running service out. The program and the tests call the same.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir;
use crate::http::body::Reader;
use crate::http::health::Readiness;
use crate::http::refusals::Refusals;
use crate::http::server::{self, Listening};
use crate::http::token::ApiToken;
use crate::http::webhook::Receiver;
use crate::http::{Surface, WebhookUrl};
use crate::ingest;
use crate::store::Store;

/// How long everything may take after the signal to stop.
const ALL_END: Duration = Duration::from_secs(7);

/// A service that listens, and is to be [run](Application::run).
pub struct Application {
    listening: Listening,
    readiness: Arc<Readiness>,
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
        let readiness = Arc::new(Readiness::new(store.clone()));
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
            webhook: Some(Arc::new(receiver)),
            api: Some(Arc::new(ApiToken::new(token.expose_secret()))),
            webhook_url: Arc::new(WebhookUrl(config.webhook_url("{instance_id}"))),
        };
        let listening = server::listen(config.listen, config.api_listen, both)?;
        Ok(Self { listening, readiness, writer, store })
    }

    /// Where the webhook is received.
    pub fn webhook_address(&self) -> SocketAddr {
        self.listening.webhook
    }

    /// Where the read API is served.
    pub fn api_address(&self) -> SocketAddr {
        self.listening.api
    }

    /// Serves until `stop` is ready; then finishes the requests under way and the queue, and closes the store.
    ///
    /// # Errors
    /// If a listener or the writer ended by itself: nothing could be stored any more.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (outcome, writer_lives) = tokio::select! {
            () = stop => (Ok(()), true),
            ended = self.writer.ended() => (Err(anyhow!("the writer died: {ended:?}")), false),
            error = self.listening.ended() => (Err(anyhow!(error).context("a listener ended by itself")), true),
        };
        info!("stopping: finishing the requests under way");
        let ended = timeout(ALL_END, self.end(writer_lives)).await;
        let ended = ended.unwrap_or_else(|_| {
            warn!("not everything was finished in time; what was answered 200 is safe");
            Ok(())
        });
        outcome.and(ended)
    }

    async fn end(&mut self, writer_lives: bool) -> anyhow::Result<()> {
        self.readiness.stop();
        self.listening.stop().await;
        if writer_lives {
            self.writer.close();
            self.writer.ended().await.context("the writer died while it finished the queue")?;
        }
        self.store.close().await;
        Ok(())
    }
}
