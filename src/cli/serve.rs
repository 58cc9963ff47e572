//! `buzon serve`.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::{CommonArgs, store_options};
use buzon::app::Application;
use buzon::config::exposure::{Exposure, exposures};
use buzon::config::{Config, ForwardConfig, data_dir};
use buzon::telemetry;
use platform::clock::SystemClock;
use platform::terminal;
use store::{OpenError, OpenMode, Pending};

/// Serves until a signal comes.
pub(super) fn run(settings: CommonArgs, no_migrate: bool) -> anyhow::Result<()> {
    let config = settings.read()?;
    telemetry::init_service(&config.log)?;
    data_dir::prepare(&config.data_dir)?;
    for Exposure { detail, remedy, .. } in exposures(&config) {
        warn!("{detail}; {remedy}");
    }
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(config, no_migrate).boxed_local());
    // A connection that hangs must not delay the exit.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: Config, no_migrate: bool) -> anyhow::Result<()> {
    let mut stop = pin!(stop_signal()?);
    let missing = store::present(&config.database).err();
    let pending = if no_migrate { Pending::Refuse } else { Pending::Run };
    let options = store_options(&config, pending, OpenMode::Serve);
    let store = tokio::select! {
        store = store::open(&options) => store?,
        // Another process may lock the schema for a long time.
        () = &mut stop => return Ok(()),
    };
    store.set_time_zone(&config.time_zone).await?;
    for forward in &config.forwards {
        store.register_forward(&forward.name).await?;
    }
    let application = Application::build(&config, store, Arc::new(SystemClock))?;
    if let Some(OpenError::Absent { path, folder }) = missing {
        info!("there was no database at {path}: a new one is made in {folder}");
    }
    let greeting = greeting(&config, &application);
    // Standard output may block if nobody reads it, and must not hold up the service.
    tokio::task::spawn_blocking(move || terminal::stdout().write_all(greeting.as_bytes()));
    application.run(stop).await
}

/// Raises the limit of open files, since every connection is one. With a low limit, strangers could use up all files,
/// and none would be left for the database.
fn allow_open_files() {
    const ENOUGH: u64 = 65_536;
    const FEW: u64 = 1_024;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    if limit.current.is_some_and(|current| current < most) {
        // If that fails, the present limit is enough for a small shop.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|files| *files < FEW) {
        warn!(
            files.most = files,
            "this process may open few files, and each connection is one: raise the limit of whatever starts it \
             (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile of Docker)"
        );
    }
}

/// Returns a future that is ready when the process gets a signal to end.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Returns the lines that are printed at the start.
fn greeting(config: &Config, application: &Application) -> String {
    let webhook = application.webhook_address();
    let api = application.api_address();
    let version = env!("CARGO_PKG_VERSION");
    let token = match &config.api_token {
        Some(_) => "as configured".to_owned(),
        None => format!("in {}", data_dir::token_path(&config.data_dir).display()),
    };
    let signatures = match (config.keyring.is_empty(), config.allow_unsigned) {
        (false, _) => "every event must be signed",
        (true, true) => "NOT CHECKED: anyone who reaches this address can send events",
        (true, false) => "no secret yet: events are taken from this machine only; set BUZON_WEBHOOK_SECRET",
    };
    format!(
        "buzon {version}\n\
         \x20 listening          http://{webhook}/webhook\n\
         {register}\
         \x20 signatures         {signatures}\n\
         \x20 database           {database}\n\
         \x20 media              {media}\n\
{replays}\
         \x20 time zone          {time_zone}\n\
         \x20 read API           http://{api}/api/v1\n\
         \x20 to try the API     http://{api}/docs/\n\
         \x20 API token          {token}\n",
        media = media(config),
        replays = replays(config) + &forwards(config),
        register = urls(config),
        database = config.database,
        time_zone = config.time_zone,
    )
}

/// Returns the line about the gateway that is asked for failed deliveries, if there is one.
fn replays(config: &Config) -> String {
    let Some(url) = config.replays_at() else { return String::new() };
    let count = config.gateway.tokens.len();
    format!("  failed deliveries  asked for again at {url} after an outage, of {count} instances\n")
}

/// Returns a line for each forward.
fn forwards(config: &Config) -> String {
    let line = |forward: &ForwardConfig| format!("  forward            {} to {}\n", forward.name, forward.destination);
    config.forwards.iter().map(line).collect()
}

/// Says where files come from and where they are stored.
fn media(config: &Config) -> String {
    let media = &config.media;
    let origins: Vec<&str> = config.gateway.url.iter().chain(&media.origins).map(|url| url.as_str()).collect();
    match (media.downloads, origins.as_slice()) {
        (0, _) => "not saved: media_downloads is 0".to_owned(),
        (_, []) => format!("{}, from the public internet; BUZON_GATEWAY_URL would limit it", media.location),
        (_, origins) => format!("{}, from {}", media.location, origins.join(" ")),
    }
}

/// Returns a line for each instance with the URL to register.
fn urls(config: &Config) -> String {
    /// With more instances, the owner knows the form of the URL.
    const SHOWN: usize = 10;
    let mut ids: Vec<_> = config.instances.iter().map(|instance| Some(&instance.id)).take(SHOWN).collect();
    if ids.is_empty() || ids.len() < config.instances.len() {
        ids.push(None);
    }
    ids.into_iter().map(|id| format!("  register           {}\n", config.webhook_url(id))).collect()
}
