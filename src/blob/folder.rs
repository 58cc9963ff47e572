//! A folder as a media store, and its cleanup after a process has died.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object_store::local::LocalFileSystem;
use time::OffsetDateTime;

use super::error::BlobError;
use super::{Blobs, list};
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;
use platform::private_folder;

/// Opens the store in this folder. Returns it with the path of the folder without symbolic links.
pub(super) fn open(path: &Path) -> Result<(LocalFileSystem, PathBuf), BlobError> {
    let unusable = |reason: String| BlobError::Unusable(format!("{}: {reason}", path.display()));
    let made = private_folder::make(path).and_then(|()| path.canonicalize());
    let path = made.map_err(|error| unusable(error.to_string()))?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| unusable(error.to_string()))?;
    Ok((store.with_fsync(true), path))
}

impl Blobs {
    /// Removes the temporary files that uploads of a process that died have left in the folder, if they were written
    /// before `older_than`, and returns their number. That time must be before the start of any upload that still runs.
    /// The call blocks. For a bucket it does nothing, because a lifecycle rule of the bucket ends unfinished uploads.
    pub fn sweep_unfinished(&self, older_than: Timestamp) -> Result<usize, BlobError> {
        let Some(folder) = self.folder() else { return Ok(0) };
        let swept: io::Result<usize> = list::shards().map(|shard| sweep(&folder.join(shard), older_than)).sum();
        Ok(swept?)
    }
}

fn sweep(folder: &Path, older_than: Timestamp) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(is_unfinished);
        removed += usize::from(ours && remove_if_older(&entry.path(), older_than)?);
    }
    Ok(removed)
}

/// Returns whether the file is an unfinished upload. object_store writes to `NAME#1`, `NAME#2` … and renames the file
/// when it is complete.
fn is_unfinished(name: &str) -> bool {
    name.split_once('#').is_some_and(|(key, number)| {
        ObjectKey::parse(key).is_some() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Removes the file if it is older. A file that disappears meanwhile belongs to an upload that has just ended.
fn remove_if_older(path: &Path, than: Timestamp) -> io::Result<bool> {
    let remove = || {
        let modified = Timestamp::from_utc(OffsetDateTime::from(fs::symlink_metadata(path)?.modified()?));
        if modified < than { fs::remove_file(path).map(|()| true) } else { Ok(false) }
    };
    remove().or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(false) } else { Err(error) })
}
