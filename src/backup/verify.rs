//! The check of whether a backup is still as it was written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::manifest::{BackupName, FlawedFile, Manifest};
use super::place::BackupPlace;
use super::transfer::{check, process_each};
use super::{BackupError, BackupStep, Progress};
use domain::media::object_key::ObjectKey;
use store::{Copied, CopyError, DatabaseKind};

/// The result of the check of a backup.
#[derive(Debug)]
pub struct VerifiedBackup {
    pub name: BackupName,
    pub manifest: Manifest,
    /// The problems, each in one line.
    pub problems: Vec<String>,
}

/// Reads all of a backup and compares it with its manifest. A copy of an SQLite database is also opened and checked.
pub async fn verify(
    place: &BackupPlace,
    name: Option<&str>,
    spool: &Path,
    progress: Progress<'_>,
) -> Result<VerifiedBackup, BackupError> {
    let (name, manifest) = place.choose(name).await?;
    let mut problems = check_copy(place, &name, &manifest, spool, progress).await?;
    let flawed = process_each(manifest.objects.iter(), progress, |object| check(&place.files, object, None)).await?;
    problems.extend(flawed.iter().map(|FlawedFile { key, flaw, .. }| format!("media file {key} {flaw}")));
    Ok(VerifiedBackup { name, manifest, problems })
}

/// Returns the problems of the copy of the database.
async fn check_copy(
    place: &BackupPlace,
    name: &BackupName,
    manifest: &Manifest,
    spool: &Path,
    progress: Progress<'_>,
) -> Result<Vec<String>, BackupError> {
    let file = manifest.copy_name();
    // A copy can be opened only as a file.
    let fetch = manifest.database.kind == DatabaseKind::Sqlite && place.copy_path(name, file).is_none();
    let fetched = fetch.then(|| NamedTempFile::new_in(spool)).transpose()?;
    let to = fetched.as_ref().map(NamedTempFile::reopen).transpose()?;
    let read = match place.read_copy(name, file, to, &|bytes| progress(BackupStep::Database(bytes))).await {
        Err(BackupError::Damaged(problem)) => return Ok(vec![problem]),
        read => read?,
    };
    if read.size != manifest.copy.size {
        return Ok(vec![format!("{file} has {} bytes, and had {}", read.size, manifest.copy.size)]);
    }
    if read.sha256 != manifest.copy.sha256 {
        return Ok(vec![format!("{file} has another content")]);
    }
    let path: Option<PathBuf> = place.copy_path(name, file).or(fetched.as_ref().map(|file| file.path().to_owned()));
    let Some(path) = path else { return Ok(vec![]) };
    match store::inspect_copy(manifest.database.kind, &path).await {
        Ok(found) => Ok(found.map(|found| contradictions(manifest, &found)).unwrap_or_default()),
        Err(CopyError::Damaged(problem)) => Ok(vec![format!("{file} is damaged: {problem}")]),
        Err(error) => Err(error.into()),
    }
}

/// Returns the differences between the copy and the manifest.
fn contradictions(manifest: &Manifest, found: &Copied) -> Vec<String> {
    let listed: HashSet<&ObjectKey> = manifest.objects.iter().map(|object| &object.key).collect();
    let lacking: HashSet<&ObjectKey> = manifest.lacking.iter().map(|file| &file.key).collect();
    let unlisted =
        found.objects.iter().filter(|object| !listed.contains(&object.key) && !lacking.contains(&object.key));
    let mut problems: Vec<String> = unlisted
        .map(|object| format!("media file {} is in the database and not in the manifest", object.key))
        .collect();
    if found.contents != manifest.database {
        problems.push("the copy of the database is not the one that the manifest describes".to_owned());
    }
    problems
}
