//! Transfers of files, which are hashed on the way.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::manifest::{CopyFile, FileFlaw, FlawedFile};
use super::place::FileStore;
use super::{BackupError, BackupStep, Progress};
use crate::blob::BlobError;
use domain::media::object_key::ObjectKey;
use store::StoredObject;

type Chunks = BoxStream<'static, Result<Bytes, BlobError>>;

/// The number of objects that are processed at once.
const AT_ONCE: usize = 4;

/// Hashes a stream, and writes it to a file if there is one.
pub(super) async fn receive(
    mut chunks: Chunks,
    to: Option<File>,
    read: &(dyn Fn(u64) + Send + Sync),
) -> Result<CopyFile, TransferError> {
    let mut file = to.map(tokio::fs::File::from_std);
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(TransferError::Source)?;
        hash.update(&chunk);
        size += chunk.len() as u64;
        if let Some(file) = &mut file {
            file.write_all(&chunk).await.map_err(TransferError::Spool)?;
        }
        read(size);
    }
    if let Some(file) = &mut file {
        file.flush().await.map_err(TransferError::Spool)?;
    }
    Ok(CopyFile { size, sha256: ObjectKey::of_digest(hash.finalize().into()) })
}

/// The end of a transfer that failed.
pub(super) enum TransferError {
    Source(BlobError),
    Spool(std::io::Error),
}

/// Reads an object that should exist. Returns what is wrong with it, if anything is.
pub(super) async fn check(
    files: &FileStore,
    object: &StoredObject,
    to: Option<File>,
) -> Result<Option<FileFlaw>, BackupError> {
    let found = match files.blobs.find(&object.key).await.map_err(|error| files.error(error))? {
        None => return Ok(Some(FileFlaw::Missing)),
        Some(found) => found,
    };
    if found.size != object.size {
        return Ok(Some(FileFlaw::Size));
    }
    let chunks = match files.blobs.read(&object.key, 0..object.size).await {
        Err(BlobError::NotFound) => return Ok(Some(FileFlaw::Missing)),
        Err(BlobError::Size { .. }) => return Ok(Some(FileFlaw::Size)),
        chunks => chunks.map_err(|error| files.error(error))?,
    };
    match receive(chunks, to, &|_| {}).await {
        Ok(received) => Ok((received.sha256 != object.key).then_some(FileFlaw::Content)),
        Err(TransferError::Source(error)) => Err(files.error(error)),
        Err(TransferError::Spool(error)) => Err(error.into()),
    }
}

/// Copies an object by way of an unnamed file in `spool`. Returns what is wrong with the object, in which case it is
/// not copied.
pub(super) async fn copy_object(
    from: &FileStore,
    to: &FileStore,
    object: &StoredObject,
    spool: &Path,
) -> Result<Option<FileFlaw>, BackupError> {
    let file = tempfile::tempfile_in(spool)?;
    let flaw = check(from, object, Some(file.try_clone()?)).await?;
    if flaw.is_none() {
        let put = to.blobs.put(&object.key, Arc::new(file), object.size).await;
        put.map_err(|error| to.error(error))?;
    }
    Ok(flaw)
}

/// Processes all of these objects, a few at once, and returns the flawed ones, sorted by their keys.
pub(super) async fn process_each<'o, W: Future<Output = Result<Option<FileFlaw>, BackupError>>>(
    objects: impl ExactSizeIterator<Item = &'o StoredObject>,
    progress: Progress<'_>,
    work: impl Fn(&'o StoredObject) -> W,
) -> Result<Vec<FlawedFile>, BackupError> {
    let of = objects.len() as u64;
    let worked = stream::iter(objects).map(|object| {
        let work = work(object);
        async move { Ok::<_, BackupError>((object, work.await?)) }
    });
    let mut worked = std::pin::pin!(worked.buffer_unordered(AT_ONCE));
    let (mut done, mut flawed) = (0, Vec::new());
    while let Some((object, flaw)) = worked.try_next().await? {
        done += 1;
        progress(BackupStep::Files { done, of });
        flawed.extend(flaw.map(|flaw| FlawedFile { key: object.key.clone(), size: object.size, flaw }));
    }
    flawed.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(flawed)
}
