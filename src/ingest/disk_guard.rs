//! Refusal of events before the disk is full. On a full disk a database cannot even clean up.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

use super::IngestError;
use platform::disk::Disk;

/// A low-water mark of the free space on the disk. It logs when the space falls below the mark and when it rises again.
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
