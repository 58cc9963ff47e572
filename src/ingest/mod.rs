//! Group commit: events wait in a bounded queue while one batch is being committed, and are the next batch together.
//!
//! [`Ingest`] is the way in, for every request handler; `writer` is the one task that writes. Nobody cancels it: a
//! client that goes away takes its waiting with it, and not the commit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use disk_guard::DiskGuard;
use domain::event::Event;
use domain::event::batch::Receipt;
use platform::disk::Disk;
use platform::meters::Meters;
use platform::outage::Outage;
use store::EventStore;

mod batch_latency;
mod disk_guard;
mod stored_summary;
mod suspects;
mod writer;

use batch_latency::BatchLatency;
pub use stored_summary::{StoredSummary, log_summaries};
use writer::{BATCH_BYTES, BATCH_EVENTS};

/// Events that wait or are being committed.
const QUEUE_EVENTS: usize = 4_096;
/// Bytes of bodies that wait or are being committed.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Of both, so much is left for the events whose bodies are being read: a new one is refused before its body is.
const SPARE_EVENTS: usize = QUEUE_EVENTS / 8;
const SPARE_BYTES: usize = QUEUE_BYTES / 8;
/// How long a client waits for its commit.
const COMMIT_WAIT: Duration = Duration::from_secs(5);
/// A new event that would have to wait longer is refused at once: stored after its client has given it up, it would
/// have taken the place of one whose client waits.
const ADMITTED_WAIT: Duration = Duration::from_secs(2);

/// Why an event was not stored, or not in time. Each is our own trouble, and the client should come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    #[error("too many events are waiting to be stored")]
    QueueFull,
    #[error("the disk has no more room than min_free keeps free")]
    DiskLow,
    #[error("the database is not available")]
    StoreUnavailable,
    /// The event is still in the queue, and may be stored yet.
    #[error("the database took too long")]
    CommitTimeout,
    #[error("buzon is shutting down")]
    ShuttingDown,
}

/// An event in the queue.
struct Queued {
    event: Event,
    answer: oneshot::Sender<Result<Receipt, IngestError>>,
    /// The event's share of the bytes, until it is answered.
    share: OwnedSemaphorePermit,
}

/// The way into the queue.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
    disk_guard: Arc<DiskGuard>,
    batch_latency: Arc<BatchLatency>,
    outage: Arc<Outage>,
}

/// The writer task. It ends when its token is cancelled and the queue is empty.
pub struct IngestWriter(JoinHandle<()>);

/// Whom the writer tells of its commits.
#[derive(Clone, Default)]
pub struct CommitListeners {
    /// Of every commit.
    pub committed: Arc<Notify>,
    /// Of every commit after which there is a file to be saved.
    pub media: Arc<Notify>,
    /// Of every commit, as of every event that is refused.
    pub outage: Arc<Outage>,
    /// Of every commit.
    pub meters: Arc<Meters>,
    /// Counts the events of every commit for the log.
    pub summary: Arc<StoredSummary>,
}

/// Starts the writer, and returns it with the way into its queue. `disk` is the one that the database is on, as far as
/// that is known. Once `stop` is cancelled, no more events are taken, and the writer ends when it has committed those
/// that wait.
pub fn start(
    store: Arc<dyn EventStore>,
    listeners: CommitListeners,
    disk: Disk,
    stop: CancellationToken,
) -> (Ingest, IngestWriter) {
    let (queue, waiting) = mpsc::channel(QUEUE_EVENTS);
    let ingest = Ingest {
        queue,
        bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
        disk_guard: Arc::new(DiskGuard::new(disk)),
        batch_latency: Arc::default(),
        outage: listeners.outage.clone(),
    };
    let task = tokio::spawn(writer::run(store, waiting, listeners, stop, ingest.batch_latency.clone()));
    (ingest, IngestWriter(task))
}

impl Ingest {
    /// Whether one more event may come, to be asked before its body is read.
    ///
    /// # Errors
    /// [`IngestError::QueueFull`] when nearly as many wait as may, or so many that this one would wait too long;
    /// [`IngestError::DiskLow`] when the disk is nearly full.
    pub fn admit(&self) -> Result<(), IngestError> {
        self.has_place().inspect_err(|_| self.outage.refuse())
    }

    fn has_place(&self) -> Result<(), IngestError> {
        let (events, bytes) = self.waiting();
        let full = events > QUEUE_EVENTS - SPARE_EVENTS || bytes > QUEUE_BYTES - SPARE_BYTES;
        let batches_before = (events / BATCH_EVENTS).max(bytes / BATCH_BYTES);
        let late = self.batch_latency.of(batches_before) > ADMITTED_WAIT;
        if full || late { Err(IngestError::QueueFull) } else { self.disk_guard.check() }
    }

    /// Whether the disk has room for events.
    ///
    /// # Errors
    /// [`IngestError::DiskLow`].
    pub fn has_room(&self) -> Result<(), IngestError> {
        self.disk_guard.check()
    }

    /// How many events wait, and the bytes of their bodies and of those that are being committed.
    pub fn waiting(&self) -> (usize, usize) {
        (QUEUE_EVENTS - self.queue.capacity(), QUEUE_BYTES - self.bytes.available_permits())
    }

    /// What the database is written to, as far as that is known.
    pub fn disk(&self) -> &Disk {
        self.disk_guard.disk()
    }

    /// Hands an event to the writer and waits until it is committed and on disk.
    pub async fn submit(&self, event: Event) -> Result<Receipt, IngestError> {
        self.hand_over(event).await.inspect_err(|_| self.outage.refuse())
    }

    async fn hand_over(&self, event: Event) -> Result<Receipt, IngestError> {
        let bytes = u32::try_from(event.body.len()).map_err(|_| IngestError::QueueFull)?;
        let share = self.bytes.clone().try_acquire_many_owned(bytes).map_err(|_| IngestError::QueueFull)?;
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Queued { event, answer, share }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IngestError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => IngestError::ShuttingDown,
        })?;
        match tokio::time::timeout(COMMIT_WAIT, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(IngestError::StoreUnavailable),
            Err(_) => Err(IngestError::CommitTimeout),
        }
    }
}

impl IngestWriter {
    /// Waits for the end of the task.
    ///
    /// # Errors
    /// If the task panicked; nothing can be stored any more then.
    pub async fn ended(&mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.0).await
    }
}
