//! Room on the disks that this process writes to.

use std::io;
use std::path::{Path, PathBuf};

/// Keeps so many bytes free on the disks of some folders.
#[derive(Debug, Default)]
pub struct Disk {
    folders: Vec<PathBuf>,
    min_free: u64,
}

impl Disk {
    pub fn new(folders: Vec<PathBuf>, min_free: u64) -> Self {
        Self { folders, min_free }
    }

    /// Whether there is room for so many bytes. A disk that cannot be asked has: writing to it will tell.
    pub fn fits(&self, bytes: u64) -> bool {
        let needed = self.min_free.saturating_add(bytes);
        self.free().is_none_or(|free| free >= needed)
    }

    /// The bytes that are free on the fullest of the disks; `None` where there is none, or none can be asked.
    pub fn free(&self) -> Option<u64> {
        let free = |folder| rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        self.folders.iter().filter_map(|folder| free(folder).ok()).min()
    }

    /// The bytes that are to stay free.
    pub fn min_free(&self) -> u64 {
        self.min_free
    }
}

/// Bytes that an ordinary user may still write to the disk of a folder.
pub fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
