//! One attempt at a job: the file is fetched, and then it is kept.

use std::time::{Duration, Instant};

use super::fetch::{Fetched, Fetcher};
use super::{MediaParts, sniff};
use crate::blob::{BlobError, Object};
use domain::media::object_key::ObjectKey;
use domain::media::{LeasedJob, MediaFailure, StoredFile};
use store::StoreError;

/// An object without a row is deleted when it is this old.
pub(super) const ORPHANED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// An object that is there already, and that no job has ended with, is put again from half of that age on, which makes
/// it new: whoever sweeps is about to delete it, or will be before this job is settled.
const ASSUMED_UNTIL: Duration = Duration::from_secs(ORPHANED_AFTER.as_secs() / 2);
/// How long an object is kept from others; far longer than putting or deleting it takes.
pub(super) const LOCKED_FOR: Duration = Duration::from_secs(60 * 60);

pub(super) async fn attempt(
    fetcher: &Fetcher,
    parts: &MediaParts,
    job: &LeasedJob,
) -> Result<StoredFile, MediaFailure> {
    let started = Instant::now();
    let ended = save(fetcher, parts, job).await;
    parts.meters.download(started.elapsed(), ended.is_ok());
    ended
}

async fn save(fetcher: &Fetcher, parts: &MediaParts, job: &LeasedJob) -> Result<StoredFile, MediaFailure> {
    let fetched = fetcher.fetch(&job.source_url).await?;
    keep(parts, &fetched).await?;
    let Fetched { spooled, file_name } = fetched;
    let content_type = sniff::content_type(&spooled.head).to_owned();
    Ok(StoredFile { object_key: spooled.key, size: spooled.size, content_type, file_name })
}

/// Sees to it that the object is there, and will be when the job is settled.
async fn keep(parts: &MediaParts, fetched: &Fetched) -> Result<(), MediaFailure> {
    let spooled = &fetched.spooled;
    let present = parts.blobs.find(&spooled.key).await.map_err(unkept)?;
    let good = |object: &Object| object.size == spooled.size && object.modified + ASSUMED_UNTIL > parts.clock.now();
    match present {
        Some(object) if good(&object) => Ok(()),
        Some(object) if object.size == spooled.size && has_row(parts, &spooled.key).await? => Ok(()),
        Some(_) => put_again(parts, fetched).await,
        None => {
            put(parts, fetched).await?;
            parts.capacity.add(spooled.size);
            Ok(())
        }
    }
}

/// Whether a job has ended with it: then nobody deletes it.
async fn has_row(parts: &MediaParts, key: &ObjectKey) -> Result<bool, MediaFailure> {
    let orphans = parts.store.objects_without_row(std::slice::from_ref(key)).await.map_err(unasked)?;
    Ok(orphans.is_empty())
}

/// Never while somebody deletes it.
async fn put_again(parts: &MediaParts, fetched: &Fetched) -> Result<(), MediaFailure> {
    let key = &fetched.spooled.key;
    let now = parts.clock.now();
    let until = now + LOCKED_FOR;
    if !parts.store.lock_object(key, now, until).await.map_err(unasked)? {
        return Err(MediaFailure::transient("an old copy of the same file is being removed"));
    }
    let put = put(parts, fetched).await;
    parts.store.unlock_object(key, until).await.map_err(unasked)?;
    put
}

async fn put(parts: &MediaParts, fetched: &Fetched) -> Result<(), MediaFailure> {
    let spooled = &fetched.spooled;
    let in_folder = parts.blobs.folder().is_some();
    if in_folder {
        parts.capacity.fits(spooled.size).map_err(|_| MediaFailure::DiskFull)?;
    }
    let put = parts.blobs.put(&spooled.key, spooled.file.clone(), spooled.size).await;
    put.map_err(|error| match error {
        BlobError::Full(_) if in_folder => MediaFailure::DiskFull,
        error => unkept(error),
    })
}

fn unkept(error: BlobError) -> MediaFailure {
    match error {
        BlobError::Full(_) => MediaFailure::BucketFull,
        error => MediaFailure::transient(format!("the file could not be stored: {error}")),
    }
}

fn unasked(error: StoreError) -> MediaFailure {
    MediaFailure::transient(error.to_string())
}
