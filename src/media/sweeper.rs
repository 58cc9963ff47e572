//! Removes what processes that died have left behind: temporary files that were being written, and objects without a
//! row, which were stored but not recorded.
//!
//! Objects are deleted only when they are a week old, and only under a prefix whose marker held this database's id
//! before this sweep, because another installation may share the bucket. A job that meets an object of half that age
//! puts it again. A lock in the database keeps that and the deletion from happening at the same time.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::MediaParts;
use super::job::{LOCKED_FOR, ORPHANED_AFTER};
use crate::blob::{BlobError, Blobs, Owner};
use domain::access::scope::Scope;
use domain::media::MediaKey;
use domain::media::object_key::ObjectKey;
use domain::page::{Paging, SortOrder};
use domain::time::timestamp::Timestamp;
use platform::clock::Clock;
use store::{MediaFilter, Store, StoreError};

const EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// The age at which a temporary file is removed. A file that is still being written is younger.
const UNFINISHED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of objects that the database is asked about at once.
const PAGE: usize = 500;

/// The result of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Temporary files that were removed.
    pub unfinished: usize,
    /// Objects without a row that were deleted.
    pub orphans: usize,
    /// True if the store is marked as another database's, so that no object was touched.
    pub foreign: bool,
}

/// The reasons why a sweep breaks off. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the sweep of the folder failed: {0}")]
    Task(#[from] JoinError),
}

pub(super) async fn run(parts: MediaParts) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match sweep(&*parts.store, &parts.blobs, &*parts.clock).await {
            Ok(Swept { foreign: true, .. }) => warn!(
                "the media store is marked as another database's: objects without a row are left where they are; \
                 give each database a prefix of its own in media_store"
            ),
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => info!(swept.unfinished, swept.orphans, "what was left behind in the media store is removed"),
            Err(error) => warn!(%error, "the media store could not be swept"),
        }
    }
}

/// Sweeps once.
///
/// # Errors
/// If the store or the database does not answer. What was removed until then stays removed.
pub async fn sweep(store: &dyn Store, blobs: &Blobs, clock: &dyn Clock) -> Result<Swept, SweepError> {
    let now = clock.now();
    let (folder, unfinished_before) = (blobs.clone(), now - UNFINISHED_AFTER);
    let unfinished = spawn_blocking(move || folder.sweep_unfinished(unfinished_before)).await??;
    let owner = blobs.claim(&store.database_id().await?).await?;
    if owner != Owner::Us {
        return Ok(Swept { unfinished, foreign: owner == Owner::Another, ..Swept::default() });
    }
    let old = now - ORPHANED_AFTER;
    let mut orphans = 0;
    let mut pages = blobs.list().chunks(PAGE);
    while let Some(page) = pages.next().await {
        let page = page.into_iter().collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<ObjectKey> =
            page.into_iter().filter(|object| object.modified <= old).map(|object| object.key).collect();
        for orphan in store.objects_without_row(&keys).await? {
            match remove(store, blobs, &orphan, clock.now()).await {
                Ok(removed) => orphans += usize::from(removed),
                // The sweep goes on with the other objects.
                Err(error) => warn!(%error, "a file without a message could not be removed"),
            }
        }
    }
    Ok(Swept { unfinished, orphans, foreign: false })
}

/// Deletes an object at once if no row refers to it, however new it is. A job that found the object just before, for another
/// message with the same file, fetches it again. Returns whether all that is done: not while another process holds the object.
///
/// # Errors
/// If the store or the database does not answer.
pub async fn remove_unreferenced(
    store: &dyn Store,
    blobs: &Blobs,
    key: &ObjectKey,
    now: Timestamp,
) -> Result<bool, SweepError> {
    let until = now + LOCKED_FOR;
    if !store.lock_object(key, now, until).await? {
        return Ok(false);
    }
    let deleted = async {
        if !store.objects_without_row(std::slice::from_ref(key)).await?.is_empty() {
            blobs.delete(key).await?;
        }
        if blobs.find(key).await?.is_none() {
            store.redo_media(key, now).await?;
        }
        Ok::<_, SweepError>(())
    };
    let deleted = deleted.await;
    store.unlock_object(key, until).await?;
    deleted.map(|()| true)
}

/// Deletes an object unless a job is putting it again.
async fn remove(store: &dyn Store, blobs: &Blobs, key: &ObjectKey, now: Timestamp) -> Result<bool, SweepError> {
    let until = now + LOCKED_FOR;
    if !store.lock_object(key, now, until).await? {
        return Ok(false);
    }
    let removed = remove_locked(store, blobs, key, now - ORPHANED_AFTER).await;
    store.unlock_object(key, until).await?;
    removed
}

/// Deletes an object if it is still old and no job has ended with it in the meantime.
async fn remove_locked(store: &dyn Store, blobs: &Blobs, key: &ObjectKey, old: Timestamp) -> Result<bool, SweepError> {
    let still_old = blobs.find(key).await?.is_some_and(|object| object.modified <= old);
    if !still_old || store.objects_without_row(std::slice::from_ref(key)).await?.is_empty() {
        return Ok(false);
    }
    blobs.delete(key).await?;
    Ok(true)
}

/// The warning of a job whose lease was lost.
pub(super) const TAKEN_OVER: &str = "a media job took so long that another worker has taken it over";

/// Removes the object of a job that is gone, unless another file refers to it.
pub(super) async fn discard(parts: &MediaParts, job: &MediaKey, key: &ObjectKey) {
    let MediaParts { store, blobs, clock, .. } = parts;
    let filter = MediaFilter {
        instance_id: Some(job.instance_id.clone()),
        message_id: Some(job.message_id.clone()),
        ..MediaFilter::default()
    };
    let paging = Paging { order: SortOrder::NewestFirst, limit: 1, cursor: None, since: None, until: None };
    match store.list_media(&Scope::All, &filter, &paging).await {
        Ok(page) if page.rows.is_empty() => {
            if let Err(error) = remove_unreferenced(&**store, blobs, key, clock.now()).await {
                warn!(%error, "a file of an erased message could not be removed; a sweep does it");
            }
        }
        Ok(_) => warn!("{TAKEN_OVER}"),
        Err(error) => warn!(%error, "{TAKEN_OVER}"),
    }
}
