//! Backups: a copy of the database, and the media files that it speaks of, in a folder or a bucket.
//!
//! ```text
//! DEST/2026-11-28T21-51-00.123Z/database.sqlite   or database.pgdump
//! DEST/2026-11-28T21-51-00.123Z/manifest.json     written last: a backup without it does not count
//! DEST/media/9f/9f86d0…                           the files of all backups, each under its SHA-256, once
//! DEST/media/buzon-database                       whose backups these are
//! ```

use std::io;

use crate::blob::BlobError;
use store::CopyError;

mod create;
mod manifest;
mod place;
mod restore;
mod transfer;
mod verify;

pub use create::{BackupOrder, Made, create};
pub use manifest::{BackupName, FileFlaw, Lacking, Manifest};
pub use place::{BackupPlace, BackupState, FileStore, FoundBackup};
pub use restore::{Restored, Restoring, restore};
pub use verify::{Verified, verify};

/// How far the work has come.
#[derive(Clone, Copy, Debug)]
pub enum BackupStep {
    /// The copy of the database is being written or read, and has so many bytes.
    Database(u64),
    /// So many files of these.
    Files { done: u64, of: u64 },
}

/// Is told how far the work has come.
pub type Progress<'p> = &'p (dyn Fn(BackupStep) + Send + Sync);

/// Why a backup was not made, or not used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("{}", .error.of(.place))]
    Blob { place: String, error: BlobError },
    /// Trying again is useless until something else is done.
    #[error("{0}")]
    Useless(String),
    /// A backup is not what was written.
    #[error("{0}")]
    Damaged(String),
    #[error("cannot write a temporary file: {0}")]
    Io(#[from] io::Error),
}
