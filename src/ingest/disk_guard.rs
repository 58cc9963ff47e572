//! Events are refused before the disk is full: then a database could not even tidy up.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

use super::IngestError;
use platform::disk::Disk;

/// Watches the disk, and says in the log when it becomes too full and when it no longer is.
pub(super) struct DiskGuard {
    disk: Disk,
    low: AtomicBool,
}

impl DiskGuard {
    pub(super) fn new(disk: Disk) -> Self {
        Self { disk, low: AtomicBool::new(false) }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn check(&self) -> Result<(), IngestError> {
        let low = !self.disk.fits(0);
        match (self.low.swap(low, Ordering::Relaxed), low) {
            (false, true) => warn!("events are refused: {}", IngestError::DiskLow),
            (true, false) => info!("events are taken again: the disk has room"),
            _ => {}
        }
        if low { Err(IngestError::DiskLow) } else { Ok(()) }
    }
}
