//! Group commit: while one batch is being committed, further events wait in a bounded queue and become the next batch.
//!
//! [`Ingest`] is the way into the queue for every request handler, and `writer` is the one task that writes. A client
//! that goes away stops waiting, but does not cancel the commit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
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
mod mover;
mod stored_summary;
mod suspects;
mod writer;

use batch_latency::BatchLatency;
pub use mover::move_messages;
pub use stored_summary::{StoredSummary, log_summaries};
use writer::{BATCH_BYTES, BATCH_EVENTS};

/// The maximum number of events that wait or are being committed.
const QUEUE_EVENTS: usize = 4_096;
/// The bytes of bodies that may wait or be committed when a new request is admitted.
const ADMITTED_BYTES: usize = 56 * 1024 * 1024;
/// Headroom for requests whose bodies are still arriving. When only this much is left, new requests are refused before
/// their bodies are read.
const SPARE_EVENTS: usize = QUEUE_EVENTS / 8;
/// The least headroom in bytes. It is more if a single body can have more.
const SPARE_BYTES: usize = 8 * 1024 * 1024;
/// The time that a client waits for its commit, apart from [`time_for_bytes`].
const COMMIT_WAIT: Duration = Duration::from_secs(5);
/// An event that would have to wait longer is refused at once. It would be stored after its client has given up, in the
/// place of an event whose client still waits.
const ADMITTED_WAIT: Duration = Duration::from_secs(2);

/// Returns the time that is added for bodies of this many bytes: none for an ordinary batch, and a second for each
/// further MiB, which a slow disk needs for the large bodies that `max_body` can allow.
fn time_for_bytes(bytes: usize) -> Duration {
    Duration::from_secs((bytes.saturating_sub(BATCH_BYTES) as u64).div_ceil(1024 * 1024))
}

/// The reasons why an event was not stored, or not in time. None is the client's fault, and the client should retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    #[error("too many events are waiting to be stored")]
    QueueFull,
    #[error("the disk has no more room than min_free keeps free")]
    DiskLow,
    #[error("the database is not available")]
    StoreUnavailable,
    /// The event is still in the queue and may yet be stored.
    #[error("the database took too long")]
    CommitTimeout,
    #[error("buzon is shutting down")]
    ShuttingDown,
}

/// An event in the queue.
struct Queued {
    event: Event,
    answer: oneshot::Sender<Result<Receipt, IngestError>>,
    /// The event's share of the bytes of the queue, held until the event is answered.
    share: OwnedSemaphorePermit,
}

/// The way into the queue.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
    /// The maximum bytes of bodies that wait or are being committed.
    queue_bytes: usize,
    disk_guard: Arc<DiskGuard>,
    batch_latency: Arc<BatchLatency>,
    outage: Arc<Outage>,
}

/// The writer task. It ends when its token is cancelled and the queue is empty.
pub struct IngestWriter(JoinHandle<()>);

/// The parts of the service that the writer notifies of its commits.
#[derive(Clone, Default)]
pub struct CommitListeners {
    /// Notified of every commit.
    pub committed: Arc<Notify>,
    /// Changes with every commit, for those who each want to know of all.
    pub commits: watch::Sender<u64>,
    /// Notified of every commit after which there is a file to be saved.
    pub media: Arc<Notify>,
    /// Counts every commit and every refused event.
    pub outage: Arc<Outage>,
    pub meters: Arc<Meters>,
    /// Counts the events of every commit for the log.
    pub summary: Arc<StoredSummary>,
}

/// Starts the writer, and returns it with the way into its queue. `disk` is the one that the database is on, as far as
/// that is known; a body has at most `max_body` bytes. Once `stop` is cancelled, no more events are taken, and the writer
/// ends when it has committed those that wait.
pub fn start(
    store: Arc<dyn EventStore>,
    listeners: CommitListeners,
    disk: Disk,
    max_body: usize,
    stop: CancellationToken,
) -> (Ingest, IngestWriter) {
    let (queue, waiting) = mpsc::channel(QUEUE_EVENTS);
    let queue_bytes = ADMITTED_BYTES + SPARE_BYTES.max(max_body);
    let ingest = Ingest {
        queue,
        bytes: Arc::new(Semaphore::new(queue_bytes)),
        queue_bytes,
        disk_guard: Arc::new(DiskGuard::new(disk)),
        batch_latency: Arc::default(),
        outage: listeners.outage.clone(),
    };
    let task = tokio::spawn(writer::run(store, waiting, listeners, stop, ingest.batch_latency.clone()));
    (ingest, IngestWriter(task))
}

impl Ingest {
    /// Checks whether one more event is admitted, before its body is read.
    ///
    /// # Errors
    /// [`IngestError::QueueFull`] if the queue is nearly full or so long that this event would wait too long,
    /// [`IngestError::DiskLow`] if the disk is nearly full.
    pub fn admit(&self) -> Result<(), IngestError> {
        self.check_queue().inspect_err(|_| self.outage.refuse())
    }

    fn check_queue(&self) -> Result<(), IngestError> {
        let (events, bytes) = self.waiting();
        let full = events > QUEUE_EVENTS - SPARE_EVENTS || bytes > ADMITTED_BYTES;
        let batches_before = (events / BATCH_EVENTS).max(bytes / BATCH_BYTES);
        let late = self.batch_latency.estimate(batches_before) > ADMITTED_WAIT;
        if full || late { Err(IngestError::QueueFull) } else { self.disk_guard.check() }
    }

    /// Checks whether the disk has room for events.
    ///
    /// # Errors
    /// [`IngestError::DiskLow`].
    pub fn has_room(&self) -> Result<(), IngestError> {
        self.disk_guard.check()
    }

    /// Returns how many events wait, and the bytes of the bodies that wait or are being committed.
    pub fn waiting(&self) -> (usize, usize) {
        (QUEUE_EVENTS - self.queue.capacity(), self.queue_bytes - self.bytes.available_permits())
    }

    /// Returns the disk that the database is on, as far as that is known.
    pub fn disk(&self) -> &Disk {
        self.disk_guard.disk()
    }

    /// Hands an event to the writer and waits until it is committed and on disk.
    pub async fn submit(&self, event: Event) -> Result<Receipt, IngestError> {
        self.hand_over(event).await.inspect_err(|_| self.outage.refuse())
    }

    async fn hand_over(&self, event: Event) -> Result<Receipt, IngestError> {
        let wait = COMMIT_WAIT + time_for_bytes(event.body.len());
        let bytes = u32::try_from(event.body.len()).map_err(|_| IngestError::QueueFull)?;
        let share = self.bytes.clone().try_acquire_many_owned(bytes).map_err(|_| IngestError::QueueFull)?;
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Queued { event, answer, share }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IngestError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => IngestError::ShuttingDown,
        })?;
        match tokio::time::timeout(wait, answered).await {
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
    /// If the task panicked. Nothing can be stored after that.
    pub async fn ended(&mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.0).await
    }
}
