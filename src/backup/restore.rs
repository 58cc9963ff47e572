//! Making a database and its files of a backup, in an empty place.

use std::path::Path;

use super::manifest::{BackupName, FileFlaw, Lacking, Manifest};
use super::place::{BackupPlace, FileStore};
use super::transfer::{carry, check, each};
use super::{BackupError, BackupStep, Progress};
use store;
use store::{Database, Programs, StoredObject};

const ID_BYTES: usize = 16;

/// What is to be restored, and to where.
pub struct Restoring<'o> {
    pub database: &'o Database,
    pub programs: &'o Programs,
    /// The files of the service.
    pub media: &'o FileStore,
    pub place: &'o BackupPlace,
    /// The name of the backup; without one, the latest that is complete.
    pub name: Option<&'o str>,
    /// A folder for temporary files.
    pub spool: &'o Path,
    /// Whether the database is to be known by its old name.
    pub take_over: bool,
    /// Go on without media files that are damaged or missing in the backup.
    pub skip_damaged: bool,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub name: BackupName,
    pub manifest: Manifest,
    /// Files that are in no good state in the backup, and are left out.
    pub skipped: Vec<Lacking>,
}

/// Restores. What the backup has is held against its manifest on the way; the database comes last, so that it is there
/// only when all its files are.
///
/// A copy goes by a name of its own: by the old one, it would take the original's files for its own, and remove those
/// that it does not know.
pub async fn restore(order: &Restoring<'_>, progress: Progress<'_>) -> Result<Restored, BackupError> {
    let (name, manifest) = order.place.choose(order.name).await?;
    let mut copies = store::copies(order.database, order.programs);
    copies.take_place(&manifest.database).await?;
    may_fill(order, &manifest.database.database_id).await?;
    let mut file = tempfile::tempfile_in(order.spool)?;
    let read = |bytes| progress(BackupStep::Database(bytes));
    let measure = order.place.read_copy(&name, manifest.copy_name(), Some(file.try_clone()?), &read).await?;
    if measure.size != manifest.copy.size || measure.sha256 != manifest.copy.sha256 {
        return Err(BackupError::Damaged(format!(
            "{name}: {} is damaged; restore another backup",
            manifest.copy_name()
        )));
    }
    let skipped = files(order, &manifest.objects, progress).await?;
    let database_id = if order.take_over { manifest.database.database_id.clone() } else { new_id()? };
    std::io::Seek::rewind(&mut file)?;
    copies.restore(file, &manifest.database, &database_id).await?;
    order.media.blobs.claim(&database_id).await.map_err(|error| order.media.trouble(error))?;
    Ok(Restored { name, manifest, skipped })
}

/// Whether the media store is nobody's, or that of the database which is to be taken over.
async fn may_fill(order: &Restoring<'_>, original: &str) -> Result<(), BackupError> {
    let owner = order.media.blobs.owner().await.map_err(|error| order.media.trouble(error))?;
    match owner {
        None => Ok(()),
        Some(owner) if owner == original && order.take_over => Ok(()),
        Some(owner) if owner == original => Err(BackupError::Useless(
            "the media store is the original's; set another media_store, or, if the original is gone for good, \
             say --take-over"
                .to_owned(),
        )),
        Some(_) => Err(BackupError::Useless("the media store holds the files of another database".to_owned())),
    }
}

async fn files(
    order: &Restoring<'_>,
    objects: &[StoredObject],
    progress: Progress<'_>,
) -> Result<Vec<Lacking>, BackupError> {
    let skipped = each(objects.iter(), progress, |object| file(order, object)).await?;
    match skipped.first() {
        Some(Lacking { key, flaw, .. }) if !order.skip_damaged => Err(BackupError::Damaged(format!(
            "{} files of the backup are not as they were, such as {key}, which {flaw}; without them: --skip-damaged",
            skipped.len()
        ))),
        _ => Ok(skipped),
    }
}

/// Puts a file into the media store, unless it is there already. What is wrong with that of the backup.
async fn file(order: &Restoring<'_>, object: &StoredObject) -> Result<Option<FileFlaw>, BackupError> {
    match check(order.media, object, None).await? {
        None => Ok(None),
        Some(FileFlaw::Missing) => carry(&order.place.files, order.media, object, order.spool).await,
        Some(flaw) => Err(BackupError::Useless(format!(
            "the media store has a file {} that {flaw}; remove it, or restore into an empty place",
            object.key
        ))),
    }
}

/// As the first migration makes one.
fn new_id() -> Result<String, BackupError> {
    let mut random = [0; ID_BYTES];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(hex::encode(random))
}
