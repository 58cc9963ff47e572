//! One attempt at a job: the file is downloaded and then stored.

use std::time::{Duration, Instant};

use super::fetch::{Fetched, Fetcher};
use super::{MediaParts, inline, sniff};
use crate::blob::{BlobError, Object};
use domain::media::object_key::ObjectKey;
use domain::media::{LeasedJob, MediaFailure, StoredFile, media_type, source};
use store::StoreError;

/// The age at which an object without a row is deleted.
pub(super) const ORPHANED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The age up to which an object that exists already is trusted to stay. An older one that no job has ended with is put
/// again, which makes it new, because a sweeper may delete it before this job is settled.
const TRUSTED_UNTIL: Duration = Duration::from_secs(ORPHANED_AFTER.as_secs() / 2);
/// The time for which an object is locked, which is far longer than it takes to put or delete it.
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
    let is_inline = source::is_inline(&job.source_url);
    let fetched = match is_inline {
        true => inline::fetch(fetcher, parts, job).await?,
        false => fetcher.fetch(&job.source_url).await?,
    };
    let content_type = sniff::file_type(&fetched.spooled).await;
    let (stated, head) = (fetched.stated_type.as_deref(), &fetched.spooled.head);
    let came = media_type::instead_of_file(job.kind.as_deref(), stated, content_type, head);
    if let Some(came) = came.filter(|_| !is_inline) {
        return Err(MediaFailure::transient(format!("the server sent {came} instead of the file")));
    }
    store(parts, &fetched).await?;
    let Fetched { spooled, file_name, .. } = fetched;
    Ok(StoredFile { object_key: spooled.key, size: spooled.size, content_type: content_type.to_owned(), file_name })
}

/// Makes sure that the object exists, and still will when the job is settled.
async fn store(parts: &MediaParts, fetched: &Fetched) -> Result<(), MediaFailure> {
    let spooled = &fetched.spooled;
    let present = parts.blobs.find(&spooled.key).await.map_err(unstored)?;
    let is_trusted =
        |object: &Object| object.size == spooled.size && object.modified + TRUSTED_UNTIL > parts.clock.now();
    match present {
        Some(object) if is_trusted(&object) => Ok(()),
        Some(object) if object.size == spooled.size && has_row(parts, &spooled.key).await? => Ok(()),
        Some(_) => put_again(parts, fetched).await,
        None => {
            put(parts, fetched).await?;
            parts.capacity.add(spooled.size);
            Ok(())
        }
    }
}

/// Returns whether a job has ended with the object, so that nobody deletes it.
async fn has_row(parts: &MediaParts, key: &ObjectKey) -> Result<bool, MediaFailure> {
    let orphans = parts.store.objects_without_row(std::slice::from_ref(key)).await.map_err(unasked)?;
    Ok(orphans.is_empty())
}

/// Puts the object again, but not while a sweeper is deleting it.
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
        error => unstored(error),
    })
}

fn unstored(error: BlobError) -> MediaFailure {
    match error {
        BlobError::Full(_) => MediaFailure::BucketFull,
        error => MediaFailure::transient(format!("the file could not be stored: {error}")),
    }
}

pub(super) fn unasked(error: StoreError) -> MediaFailure {
    MediaFailure::transient(error.to_string())
}
