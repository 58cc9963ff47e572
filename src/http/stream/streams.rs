//! Everybody who follows the ledger. One watcher asks the database how far the ledger has come, and all streams look at
//! its answer; what is new, each stream reads for itself. Nobody waits for a stream, neither events nor other streams.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::feed::{self, FeedAnswer, FeedPage};
use crate::http::api::store_handle::StoreHandle;
use crate::http::auth::access::{Access, Caller};
use crate::http::limits::fair_semaphore::{FairPermit, FairSemaphore};
use crate::http::problem::Problem;
use domain::access::scope::Scope;
use store::FeedFilter;

/// How many items a stream reads at once.
const PAGE: u32 = 200;
/// The maximum size of these items as JSON, in bytes. A single item may be larger. A stream holds twice that: a chunk
/// in its connection, and one that waits. So 256 streams hold 16 MiB.
const PAGE_BYTES: usize = 32 * 1024;
/// How many streams read at the same time, so that other questions find a connection.
const READING: usize = 2;

/// How fast streams are.
#[derive(Clone, Copy, Debug)]
pub struct StreamPace {
    /// How often the ledger is looked at, for what other processes recorded.
    pub poll: Duration,
    /// How long at least from one look to the next, however many commits there are.
    pub gap: Duration,
    /// How long a stream is silent at most.
    pub heartbeat: Duration,
    /// How long a client may take for a chunk before its stream ends.
    pub patience: Duration,
    /// How often it is asked whether a token is still good.
    pub recheck: Duration,
    /// How long a stream waits when the database did not answer.
    pub retry: Duration,
    /// The maximum number of streams. One token has a quarter of them at most, and a quarter is kept for the owner.
    pub streams: u32,
}

impl Default for StreamPace {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(250),
            gap: Duration::from_millis(20),
            heartbeat: Duration::from_secs(15),
            patience: Duration::from_secs(30),
            recheck: Duration::from_secs(4),
            retry: Duration::from_secs(2),
            streams: 256,
        }
    }
}

/// What all streams share.
pub struct Streams {
    pub(crate) pace: StreamPace,
    archive: StoreHandle,
    access: Arc<Access>,
    slots: FairSemaphore,
    reading: Semaphore,
    latest: watch::Sender<i64>,
    /// Somebody began to look at `latest`.
    joined: Notify,
    /// Ends all streams when it is cancelled.
    pub(crate) stop: CancellationToken,
}

impl Streams {
    pub fn new(archive: StoreHandle, access: Arc<Access>, pace: StreamPace, stop: CancellationToken) -> Self {
        Self {
            pace,
            archive,
            access,
            slots: FairSemaphore::new(pace.streams),
            reading: Semaphore::new(READING),
            latest: watch::Sender::new(0),
            joined: Notify::new(),
            stop,
        }
    }

    /// Watches the ledger while anybody follows it, and never ends. `committed` is notified of the commits of this
    /// process.
    pub async fn watch(self: Arc<Self>, committed: Arc<Notify>) {
        loop {
            if self.latest.receiver_count() == 0 {
                self.joined.notified().await;
            }
            match self.latest_seq().await {
                Ok(seq) => {
                    self.latest.send_if_modified(|latest| std::mem::replace(latest, seq) != seq);
                    sleep(self.pace.gap).await;
                }
                Err(_) => sleep(self.pace.retry).await,
            }
            tokio::select! {
                () = committed.notified() => {}
                () = sleep(self.pace.poll.mul_f64(0.75 + jitter() / 2.0)) => {}
            }
        }
    }

    /// The number of the latest event.
    pub(crate) async fn latest_seq(&self) -> Result<i64, Problem> {
        self.archive.ask(|store| async move { store.latest_seq().await }).await
    }

    /// A place for one more stream of this reader.
    ///
    /// # Errors
    /// 503 if there are too many.
    pub(crate) fn slot(&self, reader: &Caller) -> Result<FairPermit, Problem> {
        self.slots.try_acquire(reader.token, 1).ok_or(Problem::TooManyStreams(self.pace.streams))
    }

    /// The number of the latest event, as the watcher sees it.
    pub(crate) fn latest(&self) -> watch::Receiver<i64> {
        let latest = self.latest.subscribe();
        self.joined.notify_one();
        latest
    }

    /// The next page of the feed.
    pub(crate) async fn read(&self, scope: &Scope, filter: &FeedFilter, since: i64) -> Result<FeedAnswer, Problem> {
        let _turn: Option<SemaphorePermit<'_>> = self.reading.acquire().await.ok();
        feed::read(&self.archive, scope, filter, FeedPage { since, limit: PAGE, bytes: PAGE_BYTES }).await
    }

    /// Waits until `reader` would not be let in any more.
    pub(crate) async fn expelled(&self, reader: &Caller) {
        loop {
            sleep(self.pace.recheck).await;
            if let Ok(false) = self.access.still_admits(reader).await {
                return;
            }
        }
    }
}

/// From 0 to 1, so that several processes do not ask at the same moment.
fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
