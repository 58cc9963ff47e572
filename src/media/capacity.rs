//! Room for files. A disk that is nearly full stops downloads long before it would stop messages.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use platform::disk::Disk;
use store::ObjectStore;

/// How long nothing is downloaded after a bucket was found full: twice as long each time, until a file finds room.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// With less than this free, in bytes, a disk is as good as full, whatever is configured.
const NEXT_TO_NOTHING: u64 = 16 * 1024 * 1024;

/// Watches the file systems that downloads go to, and the quota.
#[derive(Debug)]
pub struct MediaCapacity {
    disk: Disk,
    quota: Option<u64>,
    /// Bytes in the store, as last counted and since added.
    stored: AtomicU64,
    state: Mutex<CapacityState>,
}

#[derive(Debug, Default)]
struct CapacityState {
    shortage: Option<Shortage>,
    /// When the bucket was last found full, and how long to wait from then. None has been stored since.
    full: Option<(Instant, Duration)>,
}

/// Why nothing is downloaded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    #[error("the disk has no more room than media_min_free keeps free")]
    Disk,
    #[error("the stored files have reached media_quota")]
    Quota,
    #[error("the bucket is full")]
    Store,
}

impl Shortage {
    /// The word that stays the same from version to version.
    pub fn code(self) -> &'static str {
        match self {
            Self::Disk => "low_disk",
            Self::Quota => "quota_reached",
            Self::Store => "store_full",
        }
    }
}

impl MediaCapacity {
    /// `min_free` bytes stay free on the disks of `folders`; nothing is fetched once the stored files have `quota`
    /// bytes.
    pub fn new(folders: Vec<PathBuf>, min_free: u64, quota: Option<u64>) -> Self {
        let disk = Disk::new(folders, min_free.max(NEXT_TO_NOTHING));
        Self { disk, quota, stored: AtomicU64::new(0), state: Mutex::default() }
    }

    /// What downloads are written to.
    pub fn watched(&self) -> &Disk {
        &self.disk
    }

    /// Why nothing is downloaded now, as last found.
    pub fn shortage(&self) -> Option<Shortage> {
        self.state().shortage
    }

    /// Counts what is stored, if there is a quota.
    pub(super) async fn count(&self, store: &(impl ObjectStore + ?Sized)) {
        if self.quota.is_none() {
            return;
        }
        match store.bytes_stored().await {
            Ok(bytes) => self.stored.store(bytes, Ordering::Relaxed),
            Err(error) => warn!(%error, "the stored files could not be counted"),
        }
    }

    /// Counts a file that was just stored.
    pub(super) fn add(&self, bytes: u64) {
        self.stored.fetch_add(bytes, Ordering::Relaxed);
        self.state().full = None;
    }

    /// Notes that the bucket takes nothing more.
    pub(super) fn full(&self) {
        let mut state = self.state();
        let pause = match state.full {
            // Those that failed together count once.
            Some((at, pause)) if at.elapsed() < pause => pause,
            Some((_, pause)) => (pause * 2).min(LAST_PAUSE),
            None => FIRST_PAUSE,
        };
        state.full = Some((Instant::now(), pause));
        state.show(Some(Shortage::Store));
    }

    /// Looks whether there is room for a download. A bucket that was full is tried again from time to time.
    pub(super) fn look(&self) -> Result<(), Shortage> {
        let mut state = self.state();
        let room = match state.full {
            Some((at, pause)) if at.elapsed() < pause => Err(Shortage::Store),
            _ => self.disk().and_then(|()| self.within_quota()),
        };
        state.show(room.err());
        room
    }

    /// Whether the disks have room.
    pub(super) fn disk(&self) -> Result<(), Shortage> {
        self.fits(0)
    }

    /// Whether the disks have room for a file of this size.
    pub(super) fn fits(&self, bytes: u64) -> Result<(), Shortage> {
        if self.disk.fits(bytes) { Ok(()) } else { Err(Shortage::Disk) }
    }

    fn within_quota(&self) -> Result<(), Shortage> {
        let reached = self.quota.is_some_and(|quota| self.stored.load(Ordering::Relaxed) >= quota);
        if reached { Err(Shortage::Quota) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, CapacityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CapacityState {
    /// Says in the log what has changed.
    fn show(&mut self, shortage: Option<Shortage>) {
        match (std::mem::replace(&mut self.shortage, shortage), shortage) {
            (None, Some(now)) => warn!(code = now.code(), "downloads of media have stopped: {now}"),
            (Some(_), None) => info!("downloads of media go on: there is room again"),
            _ => {}
        }
    }
}
