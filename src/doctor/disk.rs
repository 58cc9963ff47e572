//! Checks the free space on the disks.

use std::path::Path;

use super::{Finding, existing};
use crate::blob::BlobLocation;
use crate::config::Config;
use platform::disk;

const DISK: &str = "disk";
const MIB: u64 = 1 << 20;

/// Checks the free space for events, if the database is SQLite, and for files.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let events = config.database.folder().map(|folder| (folder, config.min_free));
    if let Some((folder, min_free)) = events
        && let Some(free) = too_few(folder, min_free)
    {
        return vec![Finding::failure(
            DISK,
            format!("{} has {} free, less than min_free: no event is taken", folder.display(), size(free)),
            format!("make room until {} are free", size(min_free)),
        )];
    }
    let files = (config.media.downloads > 0).then_some(config.data_dir.as_path());
    let store = match &config.media.location {
        BlobLocation::Folder(folder) if config.media.downloads > 0 => Some(folder.as_path()),
        BlobLocation::Folder(_) | BlobLocation::Bucket { .. } => None,
    };
    for folder in files.into_iter().chain(store) {
        if let Some(free) = too_few(folder, config.media.min_free) {
            return vec![Finding::warning(
                DISK,
                format!(
                    "{} has {} free, less than media_min_free: no picture, voice note or document is saved",
                    folder.display(),
                    size(free)
                ),
                format!("make room until {} are free, before the gateway deletes them", size(config.media.min_free)),
            )];
        }
    }
    let folder = config.database.folder().unwrap_or(&config.data_dir);
    let free = disk::free(existing(folder)).map_or_else(|_| "an unknown number of bytes".to_owned(), size);
    vec![Finding::ok(DISK, format!("{free} free for {}", folder.display()))]
}

/// Returns the free bytes if they are too few. A disk that cannot be asked counts as empty.
fn too_few(folder: &Path, needed: u64) -> Option<u64> {
    disk::free(existing(folder)).ok().filter(|free| *free < needed)
}

fn size(bytes: u64) -> String {
    match bytes / MIB {
        mib if mib >= 10 * 1024 => format!("{} GiB", mib / 1024),
        mib => format!("{mib} MiB"),
    }
}
