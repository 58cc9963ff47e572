//! Uploads of files. With any number of callers, memory is limited to 16 MiB for small files and 8 MiB for each of four
//! large ones. Further callers wait.

use std::fs::File;
use std::sync::Arc;

use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Blobs;
use super::deadline::{ANSWER, COMPLETION, TRANSFER, within};
use super::error::BlobError;
use super::file;
use domain::media::object_key::ObjectKey;

/// The size of a part. A file up to this size is uploaded in one piece.
const PART: u64 = 8 * 1024 * 1024;

const LARGE_FILES_AT_ONCE: usize = 4;
const SMALL_FILES_BYTES: usize = 16 * 1024 * 1024;

/// The limits that all uploads share.
pub(super) struct UploadLimits {
    small_bytes: Semaphore,
    large_files: Arc<Semaphore>,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            small_bytes: Semaphore::new(SMALL_FILES_BYTES),
            large_files: Arc::new(Semaphore::new(LARGE_FILES_AT_ONCE)),
        }
    }
}

impl Blobs {
    /// Stores `file`, whose content must have this key and must not change meanwhile. When this returns, the file is on
    /// disk. After an error, and when the future is dropped, no part of the file stays behind.
    ///
    /// Two things cannot be cleaned up here: the upload of a process that dies, and a file that the disk refuses to
    /// publish at the end. A folder is cleaned up by [`Blobs::sweep_unfinished`]; a bucket needs a lifecycle rule that
    /// ends unfinished multipart uploads.
    pub async fn put(&self, key: &ObjectKey, file: Arc<File>, size: u64) -> Result<(), BlobError> {
        self.put_at(self.path(key), file, size).await
    }

    pub(super) async fn put_at(&self, path: ObjectPath, file: Arc<File>, size: u64) -> Result<(), BlobError> {
        let found = file.metadata()?.len();
        if found != size {
            return Err(BlobError::Size { stated: size, found });
        }
        let put =
            if size <= PART { self.put_small(path, file, size).await } else { self.put_large(path, file, size).await };
        put.map_err(BlobError::of_write)
    }

    /// Waits for the end of the large uploads under way, including those whose callers have gone away.
    pub async fn finish_uploads(&self) {
        let all = LARGE_FILES_AT_ONCE.try_into().expect("it is a small number");
        drop(self.limits.large_files.acquire_many(all).await);
    }

    async fn put_small(&self, path: ObjectPath, file: Arc<File>, size: u64) -> Result<(), BlobError> {
        let bytes = u32::try_from(size).expect("a small file has less than 4 GiB");
        let _permit = self.limits.small_bytes.acquire_many(bytes).await.expect("the semaphore is never closed");
        let content = file::read(file, 0..size).await?;
        within(TRANSFER, self.store.put(&path, content.into())).await.map(drop)
    }

    /// Uploads in a task of its own, which ends in order even if the caller goes away.
    async fn put_large(&self, path: ObjectPath, file: Arc<File>, size: u64) -> Result<(), BlobError> {
        let permit = Arc::clone(&self.limits.large_files).acquire_owned().await.expect("the semaphore is never closed");
        let store = Arc::clone(&self.store);
        let stop = CancellationToken::new();
        let _stopped_on_drop = stop.clone().drop_guard();
        let task = tokio::spawn(async move {
            let done = upload(store.as_ref(), &path, file, size, stop).await;
            drop(permit);
            done
        });
        task.await.unwrap_or_else(|_| Err(BlobError::Unavailable("the upload was interrupted".to_owned())))
    }
}

/// Uploads the file completely, or removes what was uploaded. Cancelling `stop` aborts the upload.
async fn upload(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    file: Arc<File>,
    size: u64,
    stop: CancellationToken,
) -> Result<(), BlobError> {
    let mut upload = within(ANSWER, store.put_multipart(path)).await?;
    let sent = tokio::select! {
        sent = send(upload.as_mut(), file, size) => sent,
        () = stop.cancelled() => Err(BlobError::Unavailable("nobody waits for the upload any more".to_owned())),
    };
    let done = match sent {
        Ok(()) => within(COMPLETION, upload.complete()).await.map(drop),
        Err(error) => Err(error),
    };
    if done.is_err()
        && let Err(error) = within(ANSWER, upload.abort()).await
    {
        warn!(%path, %error, "an unfinished upload stays behind");
    }
    done
}

/// Sends one part after the other.
async fn send(upload: &mut dyn MultipartUpload, file: Arc<File>, size: u64) -> Result<(), BlobError> {
    for start in (0..size).step_by(PART as usize) {
        let part = file::read(Arc::clone(&file), start..size.min(start + PART)).await?;
        within(TRANSFER, upload.put_part(part.into())).await?;
    }
    Ok(())
}
