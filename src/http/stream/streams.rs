//! All streams. One watcher asks the database for the number of the latest event, and all streams watch its result; each
//! stream reads the new items itself. Nothing waits for a stream, neither events nor other streams.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::feed::{self, FeedPage, FeedResponse};
use crate::http::auth::access::{Access, Caller};
use crate::http::limits::fair_semaphore::{FairPermit, FairSemaphore, SemaphoresByKey};
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use domain::access::scope::Scope;
use domain::access::session::SessionId;
use domain::page::position::{FeedStart, Position};
use platform::random;
use store::FeedFilter;

/// The maximum number of items that a stream reads at once.
const PAGE: u32 = 200;
/// The maximum size of these items as JSON, in bytes. A single item may be larger. A stream holds twice that, a chunk in
/// its connection and one that waits, so 256 streams hold 16 MiB.
const PAGE_BYTES: usize = 32 * 1024;
/// The number of streams that read at the same time, so that other queries find a connection.
const READING: usize = 2;

/// The maximum number of streams of a session. The tabs of a browser share one.
const OF_SESSION: u32 = 8;

/// The place of a stream among those that are allowed. Dropping it gives the place back.
pub struct StreamSlot {
    _of_all: FairPermit,
    _of_session: Option<OwnedSemaphorePermit>,
}

/// The intervals and limits of streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamPace {
    /// The interval of queries for events that other processes recorded.
    pub poll: Duration,
    /// The minimum time between two queries, however many commits there are.
    pub gap: Duration,
    /// The maximum time without a chunk.
    pub heartbeat: Duration,
    /// The maximum time that a client may take for a chunk before its stream ends.
    pub patience: Duration,
    /// The interval at which the token of a stream is checked again.
    pub recheck: Duration,
    /// The time that a stream waits after the database did not answer.
    pub retry: Duration,
    /// The maximum number of streams. One token has at most a quarter of them, and a quarter is reserved for the owner.
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

/// The state that all streams share.
pub struct Streams {
    pub(crate) pace: StreamPace,
    store: StoreHandle,
    access: Arc<Access>,
    slots: FairSemaphore,
    sessions: SemaphoresByKey<SessionId>,
    reading: Semaphore,
    latest: watch::Sender<i64>,
    /// Notified when a stream begins to watch `latest`.
    joined: Notify,
    /// Ends all streams when it is cancelled.
    pub(crate) stop: CancellationToken,
}

impl Streams {
    pub fn new(store: StoreHandle, access: Arc<Access>, pace: StreamPace, stop: CancellationToken) -> Self {
        Self {
            pace,
            store,
            access,
            slots: FairSemaphore::new(pace.streams),
            sessions: SemaphoresByKey::new(OF_SESSION),
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
            match self.latest_position().await {
                Ok(Position { seq, .. }) => {
                    self.latest.send_if_modified(|latest| std::mem::replace(latest, seq) != seq);
                    sleep(self.pace.gap).await;
                }
                Err(_) => sleep(self.pace.retry).await,
            }
            tokio::select! {
                () = committed.notified() => {}
                () = sleep(self.pace.poll.mul_f64(0.75 + random::unit() / 2.0)) => {}
            }
        }
    }

    /// Returns the position after the latest event.
    pub(crate) async fn latest_position(&self) -> Result<Position, Problem> {
        self.store.ask(|store| async move { store.latest().await }).await
    }

    /// Takes a slot for one more stream of this caller.
    ///
    /// # Errors
    /// 503 if there are too many streams.
    pub(crate) fn slot(&self, caller: &Caller) -> Result<StreamSlot, Problem> {
        let of_session = match caller.session {
            Some(session) => {
                let permit = self.sessions.of(session).try_acquire_owned();
                Some(permit.map_err(|_| Problem::TooManyStreams(OF_SESSION))?)
            }
            None => None,
        };
        let of_all = self.slots.try_acquire(caller.token, 1).ok_or(Problem::TooManyStreams(self.pace.streams))?;
        Ok(StreamSlot { _of_all: of_all, _of_session: of_session })
    }

    /// Subscribes to the number of the latest event.
    pub(crate) fn latest(&self) -> watch::Receiver<i64> {
        let latest = self.latest.subscribe();
        self.joined.notify_one();
        latest
    }

    /// Reads the next page of the feed.
    pub(crate) async fn read(
        &self,
        scope: &Scope,
        filter: &FeedFilter,
        position: Position,
    ) -> Result<FeedResponse, Problem> {
        let start = FeedStart::After(position);
        let _permit: Option<SemaphorePermit<'_>> = self.reading.acquire().await.ok();
        feed::read(&self.store, scope, filter, FeedPage { start, limit: PAGE, bytes: PAGE_BYTES }).await
    }

    /// Waits until `caller` would no longer be let in.
    pub(crate) async fn expelled(&self, caller: &Caller) {
        loop {
            sleep(self.pace.recheck).await;
            if let Ok(false) = self.access.still_admits(caller).await {
                return;
            }
        }
    }
}
