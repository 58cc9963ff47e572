//! Downloads of the files that `media_url` names, before the gateway deletes them. Nothing else in buzon sends requests
//! to servers that strangers name.
//!
//! `worker` leases the jobs that are due and runs them, and `job` is one attempt: `fetch` downloads to an unnamed
//! temporary file (`spool`) under the rules of `guard`, and the file is then put into the media store. `capacity` stops
//! downloads before the disk is full, and `sweeper` removes what was left behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::blob::Blobs;
use domain::media::RetryPolicy;
use platform::clock::Clock;
use platform::meters::Meters;
use platform::supervisor;
use platform::threads::Threads;
use platform::tls;
use store::Store;

mod capacity;
mod fetch;
pub mod guard;
mod inline;
mod job;
pub mod resolver;
pub mod sniff;
mod source;
pub mod special_addresses;
mod spool;
pub mod sweeper;
mod worker;
mod zip_directory;

pub use capacity::MediaCapacity;
use guard::Guard;
use resolver::Lookup;
pub use sweeper::{SweepError, remove_unreferenced};

/// The time limit for giving jobs back and aborting uploads.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// The settings of downloads.
pub struct MediaSettings {
    pub guard: Guard,
    /// The base of relative URLs.
    pub gateway_url: Option<Url>,
    /// The maximum size of a file, in bytes.
    pub max_size: u64,
    /// The time limit of a download.
    pub timeout: Duration,
    /// The maximum number of downloads at once.
    pub downloads: u32,
    /// The maximum number of downloads at once from one host.
    pub downloads_per_host: u32,
    pub retry: RetryPolicy,
    /// The folder in whose file system downloads are spooled.
    pub spool: PathBuf,
}

/// The parts of the service that the worker uses.
#[derive(Clone)]
pub struct MediaParts {
    pub store: Arc<dyn Store>,
    pub blobs: Blobs,
    pub clock: Arc<dyn Clock>,
    pub lookup: Arc<dyn Lookup>,
    pub capacity: Arc<MediaCapacity>,
    /// Notified when a job was committed.
    pub wake: Arc<Notify>,
    pub meters: Arc<Meters>,
}

/// The number of threads for downloads.
const THREADS: usize = 2;

/// The reasons why the worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the client for downloads cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the threads for downloads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// The task that downloads, and its threads.
pub struct MediaWorker {
    task: JoinHandle<()>,
    blobs: Blobs,
    _threads: Threads,
}

/// Starts fetching and sweeping. Once `stop` is cancelled, the downloads under way are broken off, and their jobs are
/// given back for the next start or another process.
///
/// # Errors
/// If the HTTP client or the threads cannot be made.
pub fn start(settings: MediaSettings, parts: MediaParts, stop: CancellationToken) -> Result<MediaWorker, StartError> {
    tls::install_provider();
    let threads = Threads::start("media", THREADS)?;
    let blobs = parts.blobs.clone();
    let context = Arc::new(worker::WorkerContext::new(settings, parts.clone(), threads.handle())?);
    tokio::spawn(supervisor::keep_until("media sweeper", stop.clone(), move || sweeper::run(parts.clone())));
    let stopped = stop.clone();
    let run = move || worker::run(context.clone(), stopped.clone());
    let task = tokio::spawn(supervisor::keep("media worker", stop, run));
    Ok(MediaWorker { task, blobs, _threads: threads })
}

impl MediaWorker {
    /// Waits until the worker has ended, but not for long: a lease that could not be given back runs out by itself. The
    /// threads live on until the worker is dropped, because connections to the bucket that others use may have been
    /// opened there.
    pub async fn ended(&mut self) {
        let ended = async {
            // A worker that panicked has nothing to give back.
            let _ = (&mut self.task).await;
            self.blobs.finish_uploads().await;
        };
        // A late one must not hold up the others.
        let _ = timeout(STOP_WAIT, ended).await;
    }
}
