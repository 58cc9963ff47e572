//! Free space on the disks that this process writes to.

use std::io;
use std::path::{Path, PathBuf};

/// The disks of some folders, with the number of bytes that must stay free on each.
#[derive(Debug, Default)]
pub struct Disk {
    folders: Vec<PathBuf>,
    min_free: u64,
}

impl Disk {
    pub fn new(folders: Vec<PathBuf>, min_free: u64) -> Self {
        Self { folders, min_free }
    }

    /// Returns whether so many bytes fit. A disk that cannot be asked counts as empty: a write to it shows the truth.
    pub fn fits(&self, bytes: u64) -> bool {
        let needed = self.min_free.saturating_add(bytes);
        self.free().is_none_or(|free| free >= needed)
    }

    /// Returns the free bytes of the fullest disk, or `None` if there is no disk or none can be asked.
    pub fn free(&self) -> Option<u64> {
        self.folders.iter().filter_map(|folder| free(folder).ok()).min()
    }

    /// Returns the bytes that must stay free.
    pub fn min_free(&self) -> u64 {
        self.min_free
    }
}

/// Returns how many bytes an ordinary user may still write to the disk of a folder.
pub fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
