//! Backups: copies of the database and of its media files, in a folder or a bucket.
//!
//! ```text
//! DEST/2026-11-28T21-51-00.123Z/database.sqlite   or database.pgdump
//! DEST/2026-11-28T21-51-00.123Z/manifest.json     written last: a backup without it is incomplete
//! DEST/checks/last.json                           the result of the last `buzon backup verify`
//! DEST/erasures/erasures.json                     who was erased, as keyed hashes, so that a restore does not bring them back
//! DEST/media/9f/9f86d0…                           the files of all backups, each once, under its SHA-256
//! DEST/media/buzon-database                       the marker of the database that the backups are of
//! ```

use std::io;

use crate::blob::BlobError;
use store::CopyError;

mod create;
mod erasures;
mod manifest;
mod place;
mod restore;
mod transfer;
mod verify;
mod watch;

pub use create::{BackupOrder, CreatedBackup, create};
pub use manifest::{BackupName, FileFlaw, FlawedFile, Manifest};
pub use place::{BackupPlace, BackupState, FileStore, FoundBackup};
pub use restore::{RestoreOrder, RestoredBackup, restore};
pub use verify::{VerifiedBackup, verify};
pub use watch::{BackupCheck, BackupWatch, LatestBackup, WatchedPlace};

/// A step of the work.
#[derive(Clone, Copy, Debug)]
pub enum BackupStep {
    /// The number of bytes of the copy of the database that were written or read.
    Database(u64),
    /// `done` of `of` media files were processed.
    Files { done: u64, of: u64 },
}

/// A callback for the progress of the work.
pub type Progress<'p> = &'p (dyn Fn(BackupStep) + Send + Sync);

/// The reasons why a backup cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("{}", .error.of(.place))]
    Blob { place: String, error: BlobError },
    /// A retry is useless until something else is done.
    #[error("{0}")]
    Useless(String),
    /// The backup is not as it was written.
    #[error("{0}")]
    Damaged(String),
    #[error("cannot write a temporary file: {0}")]
    Io(#[from] io::Error),
}
