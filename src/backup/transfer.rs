//! Files on their way, hashed while they are.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::manifest::{FileFlaw, Lacking};
use super::place::FileStore;
use super::{BackupError, BackupStep, Progress};
use crate::blob::BlobError;
use domain::media::object_key::ObjectKey;
use store::StoredObject;

type Pieces = BoxStream<'static, Result<Bytes, BlobError>>;

/// Objects that are worked on at once.
const AT_ONCE: usize = 4;

/// How long a file is, and its hash.
pub(super) struct Measure {
    pub(super) size: u64,
    pub(super) sha256: ObjectKey,
}

/// Measures what comes, and writes it to a file if there is one.
pub(super) async fn receive(
    mut pieces: Pieces,
    to: Option<File>,
    read: &(dyn Fn(u64) + Send + Sync),
) -> Result<Measure, Trouble> {
    let mut file = to.map(tokio::fs::File::from_std);
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Trouble::Source)?;
        hash.update(&piece);
        size += piece.len() as u64;
        if let Some(file) = &mut file {
            file.write_all(&piece).await.map_err(Trouble::Spool)?;
        }
        read(size);
    }
    if let Some(file) = &mut file {
        file.flush().await.map_err(Trouble::Spool)?;
    }
    Ok(Measure { size, sha256: ObjectKey::of_digest(hash.finalize().into()) })
}

/// Which end of a transfer failed.
pub(super) enum Trouble {
    Source(BlobError),
    Spool(std::io::Error),
}

/// Reads an object that should be there. What is wrong with it, if something is.
pub(super) async fn check(
    files: &FileStore,
    object: &StoredObject,
    to: Option<File>,
) -> Result<Option<FileFlaw>, BackupError> {
    let found = match files.blobs.find(&object.key).await.map_err(|error| files.trouble(error))? {
        None => return Ok(Some(FileFlaw::Missing)),
        Some(found) => found,
    };
    if found.size != object.size {
        return Ok(Some(FileFlaw::Size));
    }
    let pieces = match files.blobs.read(&object.key, 0..object.size).await {
        Err(BlobError::NotFound) => return Ok(Some(FileFlaw::Missing)),
        Err(BlobError::Size { .. }) => return Ok(Some(FileFlaw::Size)),
        pieces => pieces.map_err(|error| files.trouble(error))?,
    };
    match receive(pieces, to, &|_| {}).await {
        Ok(measure) => Ok((measure.sha256 != object.key).then_some(FileFlaw::Content)),
        Err(Trouble::Source(error)) => Err(files.trouble(error)),
        Err(Trouble::Spool(error)) => Err(error.into()),
    }
}

/// Copies an object, by way of an unnamed file in `spool`, unless something is wrong with it.
pub(super) async fn carry(
    from: &FileStore,
    to: &FileStore,
    object: &StoredObject,
    spool: &Path,
) -> Result<Option<FileFlaw>, BackupError> {
    let file = tempfile::tempfile_in(spool)?;
    let flaw = check(from, object, Some(file.try_clone()?)).await?;
    if flaw.is_none() {
        let put = to.blobs.put(&object.key, Arc::new(file), object.size).await;
        put.map_err(|error| to.trouble(error))?;
    }
    Ok(flaw)
}

/// Works on all of these objects, a few at once, and returns those with which something is wrong, sorted by their keys.
pub(super) async fn each<'o, W: Future<Output = Result<Option<FileFlaw>, BackupError>>>(
    objects: impl ExactSizeIterator<Item = &'o StoredObject>,
    progress: Progress<'_>,
    work: impl Fn(&'o StoredObject) -> W,
) -> Result<Vec<Lacking>, BackupError> {
    let of = objects.len() as u64;
    let worked = stream::iter(objects).map(|object| {
        let work = work(object);
        async move { Ok::<_, BackupError>((object, work.await?)) }
    });
    let mut worked = std::pin::pin!(worked.buffer_unordered(AT_ONCE));
    let (mut done, mut lacking) = (0, Vec::new());
    while let Some((object, flaw)) = worked.try_next().await? {
        done += 1;
        progress(BackupStep::Files { done, of });
        lacking.extend(flaw.map(|flaw| Lacking { key: object.key.clone(), size: object.size, flaw }));
    }
    lacking.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(lacking)
}
