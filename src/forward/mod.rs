//! Forwards: hands events on to other receivers. It never delays an event: the requests, and everything that is done with
//! what a receiver answers, have threads of their own, and all that is read ahead is bounded.
//!
//! Each forward has a `session` while this process holds its lease. `window` has the events that were read ahead,
//! `attempt` is one attempt at an event, and `delivery` its request. `rehearsal` counts what a replay would send.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::ForwardConfig;
use domain::access::signature::Keyring;
use platform::clock::Clock;
use platform::meters::Meters;
use platform::supervisor;
use platform::threads::Threads;
use platform::tls;
use store::{Store, StoreError};

mod attempt;
pub mod delivery;
pub mod rehearsal;
mod session;
mod window;

use delivery::DeliveryClient;

/// The number of threads for all forwards.
const THREADS: usize = 2;
/// The time limit for the end of all sessions.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// The parts of the service that forwards use.
pub struct ForwardParts {
    pub forwards: Vec<ForwardConfig>,
    pub keyring: Keyring,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub meters: Arc<Meters>,
    /// Changes with every commit of events.
    pub committed: watch::Receiver<u64>,
}

/// The parts that a session uses.
struct ForwardContext {
    config: ForwardConfig,
    client: DeliveryClient,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    committed: watch::Receiver<u64>,
    /// The runtime of the store's connections.
    runtime: Handle,
}

/// The reasons why forwards do not start.
#[derive(Debug, thiserror::Error)]
pub enum ForwardStartError {
    #[error("the client for forwards cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the threads for forwards cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// The running forwards, and their threads.
pub struct Forwarder {
    sessions: JoinSet<()>,
    _threads: Threads,
}

/// Starts all forwards. Once `stop` is cancelled, they send nothing new, write how far they have come, and give back their
/// leases.
///
/// # Errors
/// If an HTTP client or the threads cannot be made.
pub fn start(parts: ForwardParts, stop: CancellationToken) -> Result<Option<Forwarder>, ForwardStartError> {
    if parts.forwards.is_empty() {
        return Ok(None);
    }
    tls::install_provider();
    let threads = Threads::start("forward", THREADS)?;
    let mut sessions = JoinSet::new();
    for config in parts.forwards {
        parts.meters.start_forward(config.name.as_str());
        let context = Arc::new(ForwardContext {
            client: DeliveryClient::new(&config, parts.keyring.clone(), parts.clock.clone())?,
            config,
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            meters: parts.meters.clone(),
            committed: parts.committed.clone(),
            runtime: Handle::current(),
        });
        let stopped = stop.clone();
        let run = move || session::run(context.clone(), stopped.clone());
        sessions.spawn_on(supervisor::keep("forward", stop.clone(), run), &threads.handle());
    }
    Ok(Some(Forwarder { sessions, _threads: threads }))
}

impl Forwarder {
    /// Waits until all sessions have ended, but not for long: a lease that could not be given back runs out by itself.
    pub async fn ended(&mut self) {
        let _ = timeout(STOP_WAIT, async { while self.sessions.join_next().await.is_some() {} }).await;
    }
}

impl ForwardContext {
    /// Asks the store, on the runtime of its connections.
    async fn ask<T: Send + 'static, F>(&self, question: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let answer = self.runtime.spawn(question(self.store.clone()).boxed()).await;
        answer.unwrap_or_else(|_| Err(StoreError::Unavailable("it is shutting down".to_owned())))
    }
}
