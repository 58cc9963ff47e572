//! Free capacity for files. A disk that is nearly full stops downloads long before it would stop messages.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use platform::disk::Disk;
use store::ObjectStore;

/// The pause of downloads after the bucket was full. It doubles each time, until a file is stored.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// The least number of bytes that stay free, whatever is configured.
const LEAST_MIN_FREE: u64 = 16 * 1024 * 1024;

/// The capacity of the file systems that downloads go to, and of the quota.
#[derive(Debug)]
pub struct MediaCapacity {
    disk: Disk,
    quota: Option<u64>,
    /// The bytes in the store: as last counted, and added since.
    stored: AtomicU64,
    state: Mutex<CapacityState>,
}

#[derive(Debug, Default)]
struct CapacityState {
    shortage: Option<Shortage>,
    /// The time when the bucket was last full and the pause from then on, if no file has been stored since.
    full: Option<(Instant, Duration)>,
}

/// The reasons why nothing is downloaded.
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
    /// Returns the code of the shortage, which stays the same from version to version.
    pub fn code(self) -> &'static str {
        match self {
            Self::Disk => "low_disk",
            Self::Quota => "quota_reached",
            Self::Store => "store_full",
        }
    }
}

impl MediaCapacity {
    /// Keeps `min_free` bytes free on the disks of `folders`, and stops downloads when the stored files have `quota`
    /// bytes.
    pub fn new(folders: Vec<PathBuf>, min_free: u64, quota: Option<u64>) -> Self {
        let disk = Disk::new(folders, min_free.max(LEAST_MIN_FREE));
        Self { disk, quota, stored: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Returns the disks that downloads are written to.
    pub fn disks(&self) -> &Disk {
        &self.disk
    }

    /// Returns why nothing is downloaded, as last checked.
    pub fn shortage(&self) -> Option<Shortage> {
        self.state().shortage
    }

    /// Counts the stored bytes, if there is a quota.
    pub(super) async fn count(&self, store: &(impl ObjectStore + ?Sized)) {
        if self.quota.is_none() {
            return;
        }
        match store.bytes_stored().await {
            Ok(bytes) => self.stored.store(bytes, Ordering::Relaxed),
            Err(error) => warn!(%error, "the stored files could not be counted"),
        }
    }

    /// Adds a file that was just stored.
    pub(super) fn add(&self, bytes: u64) {
        self.stored.fetch_add(bytes, Ordering::Relaxed);
        self.state().full = None;
    }

    /// Records that the bucket is full.
    pub(super) fn note_full_bucket(&self) {
        let mut state = self.state();
        let pause = match state.full {
            // Uploads that fail together count once.
            Some((at, pause)) if at.elapsed() < pause => pause,
            Some((_, pause)) => (pause * 2).min(LAST_PAUSE),
            None => FIRST_PAUSE,
        };
        state.full = Some((Instant::now(), pause));
        state.show(Some(Shortage::Store));
    }

    /// Checks whether there is room for a download. A full bucket is tried again from time to time.
    pub(super) fn check(&self) -> Result<(), Shortage> {
        let mut state = self.state();
        let checked = match state.full {
            Some((at, pause)) if at.elapsed() < pause => Err(Shortage::Store),
            _ => self.check_disks().and_then(|()| self.within_quota()),
        };
        state.show(checked.err());
        checked
    }

    /// Checks whether the disks have more room than must stay free.
    pub(super) fn check_disks(&self) -> Result<(), Shortage> {
        self.fits(0)
    }

    /// Checks whether a file of this size fits on the disks.
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
    /// Sets the shortage, and logs when it begins or ends.
    fn show(&mut self, shortage: Option<Shortage>) {
        match (std::mem::replace(&mut self.shortage, shortage), shortage) {
            (None, Some(now)) => warn!(code = now.code(), "downloads of media have stopped: {now}"),
            (Some(_), None) => info!("downloads of media go on: there is room again"),
            _ => {}
        }
    }
}
