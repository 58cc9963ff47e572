//! Builds a running service from a configuration, for the program and for the tests.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::future::OptionFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::backup::{BackupPlace, BackupWatch};
use crate::blob::Blobs;
use crate::config::Config;
use crate::config::data_dir;
use crate::erasure::{self, Eraser};
use crate::export::jobs::ExportJobs;
use crate::forward::{self, ForwardParts, Forwarder};
use crate::gateway::{self, Account, Gateway, Replayer};
use crate::http::api::media_files::MediaFiles;
use crate::http::api::time::LocalTime;
use crate::http::auth::access::Access;
use crate::http::auth::auth_failure_limiter::AuthFailureLimiter;
use crate::http::limits::connection_limiter::ConnectionLimiter;
use crate::http::limits::response_memory::{ResponseLimits, ResponseMemory};
use crate::http::limits::throttled_warning::ThrottledWarning;
use crate::http::server::health::Readiness;
use crate::http::server::scrape::{Scrape, StoreGauges};
use crate::http::server::{self, Listening, ServerLimits};
use crate::http::store_handle::StoreHandle;
use crate::http::stream::streams::{StreamPace, Streams};
use crate::http::webhook::Receiver;
use crate::http::webhook::body::BodyReader;
use crate::http::webhook::identity::Identity;
use crate::http::{ApiState, AppState, WebhookUrl};
use crate::ingest;
use crate::media::guard::Guard;
use crate::media::resolver::SystemLookup;
use crate::media::{self, MediaCapacity};
use domain::access::ticket::TicketKey;
use domain::instance::InstanceId;
use domain::media::RetryPolicy;
use domain::retention::RetentionPolicy;
use platform::clock::Clock;
use platform::disk::Disk;
use platform::meters::Meters;
use platform::random;
use platform::supervisor;
use store::{EventStore, Store};

/// The time limit of the whole shutdown.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(7);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// The length of the random id that tells this process from others.
const PROCESS_ID_BYTES: usize = 16;

/// A service that listens. [`run`](Application::run) makes it serve.
pub struct Application {
    listening: Listening,
    writer: ingest::IngestWriter,
    media: Option<media::MediaWorker>,
    forwarder: Option<Forwarder>,
    /// Tasks that nothing waits for. They are aborted when this is dropped.
    _background: JoinSet<()>,
    _replayer: Option<Replayer>,
    store: Arc<dyn Store>,
    stop: StopTokens,
}

/// The tokens that end the tasks of the service, in two steps.
struct StopTokens {
    /// Ends the writer of events, which has to store what the requests under way have brought.
    all: CancellationToken,
    /// A child of `all`, cancelled first, which ends everything else.
    all_but_writer: CancellationToken,
}

impl StopTokens {
    fn new() -> Self {
        let all = CancellationToken::new();
        Self { all_but_writer: all.child_token(), all }
    }
}

impl Application {
    /// Binds the listeners and starts the writer. Port 0 takes a free one.
    pub fn build(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Self::build_on(config, store.clone(), store, clock, StreamPace::default(), ResponseLimits::default())
    }

    /// Does the same with events recorded by `ledger`, streams of this pace, and these limits of responses.
    pub fn build_on(
        config: &Config,
        ledger: Arc<dyn EventStore>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        pace: StreamPace,
        responses: ResponseLimits,
    ) -> anyhow::Result<Self> {
        let token = match &config.api_token {
            Some(token) => token.clone(),
            None => data_dir::token(&config.data_dir)?,
        };
        let ticket_key = match &config.ticket_key {
            Some(key) => key.clone(),
            None => data_dir::ticket_key(&config.data_dir)?,
        };
        let tickets = TicketKey::new(ticket_key);
        let blobs = Blobs::open(&config.media.location, &config.media.s3)?;
        let erased_blobs = blobs.clone();
        let downloads = config.media.downloads > 0;
        let capacity = downloads.then(|| Arc::new(media_capacity(config, &blobs)));
        let stop = StopTokens::new();
        let first = &stop.all_but_writer;
        let meters = Arc::new(Meters::new(config.cell.as_deref()));
        let listeners = ingest::CommitListeners { meters, ..ingest::CommitListeners::default() };
        let (ingest, writer) =
            ingest::start(ledger.clone(), listeners.clone(), ledger_disk(config), config.max_body, stop.all.clone());
        let meters = listeners.meters.clone();
        meters.show_build(config.database.kind().word());
        let handle = StoreHandle::new(store.clone());
        let readiness = Arc::new(Readiness::new(handle.clone(), ingest.clone(), capacity.clone(), first.clone()));
        let proxies = &config.trusted_proxies;
        let failures = Arc::new(AuthFailureLimiter::new(proxies.clone()));
        let owner = token.expose_secret();
        let access = Arc::new(Access::new(
            handle.clone(),
            clock.clone(),
            owner,
            tickets,
            failures.clone(),
            config.public_url.clone(),
        ));
        let process_id = hex::encode(random::bytes::<PROCESS_ID_BYTES>()?);
        let identity = Identity::new(process_id, owner, handle.clone(), proxies.clone());
        let streams = Arc::new(Streams::new(handle.clone(), access.clone(), pace, first.clone()));
        let files = MediaFiles::new(handle.clone(), blobs.clone(), config.media.redirect);
        let exports =
            Arc::new(ExportJobs::new(store.clone(), clock.clone(), &config.data_dir, config.min_free, first.clone()));
        let configured = config.instances.iter().map(|instance| instance.id.clone());
        let forwards = config.forwards.iter().map(|forward| forward.name.clone()).collect();
        let gauges = StoreGauges::new(handle.clone(), meters.clone(), clock.clone(), configured, forwards);
        let scrape = Scrape {
            meters: meters.clone(),
            readiness: readiness.clone(),
            ingest: ingest.clone(),
            media: capacity.clone(),
            gauges: Arc::new(gauges),
            is_local: config.api_listen.unwrap_or(config.listen).ip().to_canonical().is_loopback(),
        };
        let receiver = Receiver {
            body_reader: BodyReader::new(config.max_body),
            ingest,
            clock: clock.clone(),
            keyring: config.keyring.clone(),
            retention: config.retention.clone(),
            allow_unsigned: config.allow_unsigned,
            trusted_proxies: proxies.clone(),
            allow_from: config.webhook_allow_from.clone(),
            warning: ThrottledWarning::default(),
            too_large: ThrottledWarning::default(),
            meters: meters.clone(),
            failures,
        };
        let state = AppState {
            readiness,
            meters: meters.clone(),
            webhook: Some(Arc::new(receiver)),
            identity: Arc::new(identity),
            api: Some(Arc::new(ApiState {
                access,
                memory: Arc::new(ResponseMemory::new(responses.for_bodies(config.max_body))),
                store: handle,
                files,
                exports: exports.clone(),
                local_time: LocalTime { clock: clock.clone(), zone: config.time_zone.clone() },
                cors_origins: config.cors_origins.clone(),
                streams: streams.clone(),
                configured_instances: config.instances.clone(),
                backups: BackupWatch::new(config.backup_to.clone(), config.media.s3.clone(), clock.clone()),
                dashboard: config.dashboard,
                scrape,
            })),
            webhook_url: Arc::new(WebhookUrl(config.webhook_url(None))),
        };
        let limiter = ConnectionLimiter::new(proxies.clone(), config.max_connections_per_address, clock.clone());
        let limits = ServerLimits { connections: config.max_connections, per_address: Arc::new(limiter) };
        let listening = server::listen(config.listen, config.api_listen, state, &limits)?;
        let lookup = Arc::new(SystemLookup);
        let media = capacity.map(|capacity| {
            let (store, clock, wake, meters) = (store.clone(), clock.clone(), listeners.media.clone(), meters.clone());
            let parts = media::MediaParts { store, blobs, clock, lookup, capacity, wake, meters };
            media::start(media_settings(config), parts, first.clone())
        });
        let media = media.transpose()?;
        let replayed = |(gateway, accounts)| {
            let (store, outage, meters) = (store.clone(), listeners.outage.clone(), meters.clone());
            let parts = gateway::ReplayerParts { gateway, accounts, ledger, store, outage, meters };
            Replayer::start(parts, first.clone())
        };
        let replayer = gateway_accounts(config, clock.clone())?.map(replayed).transpose()?;
        let parts = ForwardParts {
            forwards: config.forwards.clone(),
            keyring: config.keyring.clone(),
            store: store.clone(),
            clock: clock.clone(),
            meters,
            committed: listeners.commits.subscribe(),
        };
        let forwarder = forward::start(parts, first.clone())?;
        let eraser = Eraser {
            store: store.clone(),
            blobs: erased_blobs,
            backups: Arc::new(backup_places(config)),
            data_dir: config.data_dir.clone(),
            clock: clock.clone(),
        };
        let mut background = background(streams, listeners, (eraser, config.retention.clone()), first);
        let tidy = move || exports.clone().keep_tidy();
        background.spawn(supervisor::keep_until("keeper of the exports", first.clone(), tidy));
        Ok(Self { listening, writer, media, forwarder, _background: background, _replayer: replayer, store, stop })
    }

    /// Returns the address of the webhook.
    pub fn webhook_address(&self) -> SocketAddr {
        self.listening.webhook
    }

    /// Returns the address of the read API.
    pub fn api_address(&self) -> SocketAddr {
        self.listening.api
    }

    /// Serves until `stop` is ready. Then finishes the requests under way and the queue, and closes the store.
    ///
    /// # Errors
    /// If a listener or the writer ended by itself, so that nothing would be stored any more.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (outcome, writer_lives) = tokio::select! {
            () = stop => (Ok(()), true),
            ended = self.writer.ended() => (Err(anyhow!("the writer died: {}", how(ended))), false),
            error = self.listening.ended() => (Err(anyhow!(error).context("a listener ended by itself")), true),
        };
        info!("stopping: finishing the requests under way");
        let ended = timeout(SHUTDOWN_LIMIT, self.end(writer_lives)).await;
        let ended = ended.unwrap_or_else(|_| {
            warn!("not everything was finished in time; every event that was answered 200 is safe");
            Ok(())
        });
        outcome.and(ended)
    }

    async fn end(&mut self, writer_lives: bool) -> anyhow::Result<()> {
        self.stop.all_but_writer.cancel();
        let media = OptionFuture::from(self.media.as_mut().map(media::MediaWorker::ended));
        let forwards = OptionFuture::from(self.forwarder.as_mut().map(Forwarder::ended));
        tokio::join!(self.listening.stop(), media, forwards);
        self.stop.all.cancel();
        if writer_lives {
            self.writer.ended().await.context("the writer died while it finished the queue")?;
        }
        self.store.close().await;
        Ok(())
    }
}

/// Starts the tasks that have nothing to finish when the service stops.
fn background(
    streams: Arc<Streams>,
    listeners: ingest::CommitListeners,
    (eraser, retention): (Eraser, RetentionPolicy),
    stop: &CancellationToken,
) -> JoinSet<()> {
    let (clock, store) = (eraser.clock.clone(), eraser.store.clone());
    let ingest::CommitListeners { committed, meters, summary, .. } = listeners;
    let mut tasks = JoinSet::new();
    let watch = move || streams.clone().watch(committed.clone());
    tasks.spawn(supervisor::keep_until("watcher of the streams", stop.clone(), watch));
    tasks.spawn(supervisor::keep_until("upkeep of the metrics", stop.clone(), move || upkeep(meters.clone())));
    let log = move || ingest::log_summaries(summary.clone(), clock.clone());
    tasks.spawn(supervisor::keep_until("tally of what is stored", stop.clone(), log));
    let mover = move || ingest::move_messages(store.clone());
    tasks.spawn(supervisor::keep_until("mover of messages", stop.clone(), mover));
    let erasing = eraser.clone();
    tasks.spawn(supervisor::keep_until("eraser", stop.clone(), move || erasing.clone().run()));
    let nightly = move || erasure::retention::nightly(eraser.clone(), retention.clone());
    tasks.spawn(supervisor::keep_until("retention", stop.clone(), nightly));
    tasks
}

async fn upkeep(meters: Arc<Meters>) {
    let mut ticks = interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        meters.upkeep();
    }
}

/// Says how a task ended that never does by itself. A panic's message is left out, because it can quote an event.
fn how(ended: Result<(), JoinError>) -> &'static str {
    if ended.is_ok() { "it ended" } else { "it panicked; the log says where" }
}

/// Returns the disk that events are written to. The disk of a PostgreSQL server is its own business.
fn ledger_disk(config: &Config) -> Disk {
    Disk::new(config.database.folder().map(Path::to_owned).into_iter().collect(), config.min_free)
}

/// Downloads go through the data folder, and end in the folder of the media store if it is one.
fn media_capacity(config: &Config, blobs: &Blobs) -> MediaCapacity {
    let folders = [Some(config.data_dir.as_path()), blobs.folder()];
    MediaCapacity::new(
        folders.into_iter().flatten().map(Path::to_owned).collect(),
        config.media.min_free,
        config.media.quota,
    )
}

/// Returns the places with backups that learn of erasures. One that cannot be used is left to the commands, which say why.
fn backup_places(config: &Config) -> Vec<BackupPlace> {
    let places = config.backup_to.iter().map(|location| BackupPlace::create(location, &config.media.s3));
    places
        .filter_map(|place| place.inspect_err(|error| warn!(%error, "a place with backups cannot be used")).ok())
        .collect()
}

/// Returns the gateway to ask for failed deliveries and the accounts to ask for, unless that is switched off.
fn gateway_accounts(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Option<(Gateway, Vec<Account>)>> {
    let Some(url) = config.replays_at() else { return Ok(None) };
    let account =
        |(instance, token): (&InstanceId, &SecretString)| Account { instance: instance.clone(), token: token.clone() };
    let notice = |wait: Duration| info!(wait.seconds = wait.as_secs(), "the gateway wants to be asked more slowly");
    let gateway = Gateway::new(url.clone(), clock, Arc::new(notice))?;
    Ok(Some((gateway, config.gateway.tokens.iter().map(account).collect())))
}

fn media_settings(config: &Config) -> media::MediaSettings {
    let media = &config.media;
    media::MediaSettings {
        guard: guard(config),
        gateway_url: config.gateway.url.clone(),
        max_size: media.max_size,
        timeout: media.timeout,
        downloads: media.downloads,
        downloads_per_host: media.downloads_per_host,
        retry: RetryPolicy { max_attempts: media.attempts },
        spool: config.data_dir.clone(),
    }
}

/// Allows only the configured origins, or the public internet where there are none.
fn guard(config: &Config) -> Guard {
    let mut origins = config.gateway.url.iter().chain(&config.media.origins).peekable();
    if origins.peek().is_some() { Guard::origins(origins) } else { Guard::internet() }
}
