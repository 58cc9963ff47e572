//! Whether a backup is still what was written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::manifest::{BackupName, Lacking, Manifest};
use super::place::BackupPlace;
use super::transfer::{check, each};
use super::{BackupError, BackupStep, Progress};
use domain::media::object_key::ObjectKey;
use store;
use store::{Copied, CopyError, DatabaseKind};

/// What was found.
#[derive(Debug)]
pub struct Verified {
    pub name: BackupName,
    pub manifest: Manifest,
    /// What is wrong, each in a line.
    pub problems: Vec<String>,
}

/// Reads all of a backup, and holds it against its manifest; of SQLite, the copy is opened and checked too.
pub async fn verify(
    place: &BackupPlace,
    name: Option<&str>,
    spool: &Path,
    progress: Progress<'_>,
) -> Result<Verified, BackupError> {
    let (name, manifest) = place.choose(name).await?;
    let mut problems = copy(place, &name, &manifest, spool, progress).await?;
    let flawed = each(manifest.objects.iter(), progress, |object| check(&place.files, object, None)).await?;
    problems.extend(flawed.iter().map(|Lacking { key, flaw, .. }| format!("media file {key} {flaw}")));
    Ok(Verified { name, manifest, problems })
}

/// What is wrong with the copy of the database.
async fn copy(
    place: &BackupPlace,
    name: &BackupName,
    manifest: &Manifest,
    spool: &Path,
    progress: Progress<'_>,
) -> Result<Vec<String>, BackupError> {
    let file = manifest.copy_name();
    // To be opened, it must be a file.
    let fetch = manifest.database.kind == DatabaseKind::Sqlite && place.copy_path(name, file).is_none();
    let fetched = fetch.then(|| NamedTempFile::new_in(spool)).transpose()?;
    let to = fetched.as_ref().map(NamedTempFile::reopen).transpose()?;
    let measure = match place.read_copy(name, file, to, &|bytes| progress(BackupStep::Database(bytes))).await {
        Err(BackupError::Damaged(problem)) => return Ok(vec![problem]),
        measure => measure?,
    };
    if measure.size != manifest.copy.size {
        return Ok(vec![format!("{file} has {} bytes, and had {}", measure.size, manifest.copy.size)]);
    }
    if measure.sha256 != manifest.copy.sha256 {
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

/// What the copy says otherwise than the manifest.
fn contradictions(manifest: &Manifest, found: &Copied) -> Vec<String> {
    let listed: HashSet<&ObjectKey> = manifest.objects.iter().map(|object| &object.key).collect();
    let lacking: HashSet<&ObjectKey> = manifest.lacking.iter().map(|lacking| &lacking.key).collect();
    let unlisted =
        found.objects.iter().filter(|object| !listed.contains(&object.key) && !lacking.contains(&object.key));
    let mut problems: Vec<String> = unlisted
        .map(|object| format!("media file {} is in the database and not in the manifest", object.key))
        .collect();
    if found.contents != manifest.database {
        problems.push("the copy of the database is another than the manifest says".to_owned());
    }
    problems
}
