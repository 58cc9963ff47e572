//! Restoring a database and its files from a backup into an empty place.

use std::path::Path;

use super::manifest::{BackupName, FileFlaw, FlawedFile, Manifest};
use super::place::{BackupPlace, FileStore};
use super::transfer::{check, copy_object, process_each};
use super::{BackupError, BackupStep, Progress};
use platform::random;
use store::{Database, ErasureExport, Programs, StoredObject};

const ID_BYTES: usize = 16;

/// A request to restore a backup.
pub struct RestoreOrder<'o> {
    pub database: &'o Database,
    pub programs: &'o Programs,
    /// The media store of the service.
    pub media: &'o FileStore,
    pub place: &'o BackupPlace,
    /// The name of the backup. Without one, the latest complete backup is restored.
    pub name: Option<&'o str>,
    /// A folder for temporary files.
    pub spool: &'o Path,
    /// True if the database is to keep the id of the original.
    pub take_over: bool,
    /// True to go on without the list of erasures, which brings back who was erased since the backup.
    pub without_erasures: bool,
    /// True to go on without media files that are damaged or missing in the backup.
    pub skip_damaged: bool,
}

/// A backup that was restored.
#[derive(Debug)]
pub struct RestoredBackup {
    pub name: BackupName,
    pub manifest: Manifest,
    /// The erasures that the place knows of, to be carried out again.
    pub erasures: ErasureExport,
    /// Files that are damaged or missing in the backup, and were left out.
    pub skipped: Vec<FlawedFile>,
}

/// Restores a backup, and checks it against its manifest on the way. The database is restored last, so that it exists
/// only when all its files do.
///
/// A copy gets an id of its own. With the id of the original, it would take the original's files for its own and remove
/// those that it does not know.
pub async fn restore(order: &RestoreOrder<'_>, progress: Progress<'_>) -> Result<RestoredBackup, BackupError> {
    let (name, manifest) = order.place.choose(order.name).await?;
    let erasures = match order.place.erasures().await {
        Ok(Some(erasures)) => erasures,
        Ok(None) if order.without_erasures => ErasureExport::default(),
        Err(BackupError::Damaged(_)) if order.without_erasures => ErasureExport::default(),
        Ok(None) => {
            return Err(BackupError::Useless(
                "the list of erasures is missing beside the backups, and without it persons who were erased would come back; \
                 copy erasures/erasures.json from where the backups were made, or say --without-erasures"
                    .to_owned(),
            ));
        }
        Err(error) => return Err(error),
    };
    let mut copies = store::copies(order.database, order.programs);
    copies.take_place(&manifest.database).await?;
    check_owner(order, &manifest.database.database_id).await?;
    let mut file = tempfile::tempfile_in(order.spool)?;
    let read = |bytes| progress(BackupStep::Database(bytes));
    let copy = order.place.read_copy(&name, manifest.copy_name(), Some(file.try_clone()?), &read).await?;
    if copy != manifest.copy {
        return Err(BackupError::Damaged(format!(
            "{name}: {} is damaged; restore another backup",
            manifest.copy_name()
        )));
    }
    let skipped = files(order, &manifest.objects, progress).await?;
    let database_id = if order.take_over { manifest.database.database_id.clone() } else { new_id()? };
    std::io::Seek::rewind(&mut file)?;
    copies.restore(file, &manifest.database, &database_id).await?;
    order.media.blobs.claim(&database_id).await.map_err(|error| order.media.error(error))?;
    Ok(RestoredBackup { name, manifest, erasures, skipped })
}

/// Checks that nobody owns the media store, or that its owner is the database that is to be taken over.
async fn check_owner(order: &RestoreOrder<'_>, original: &str) -> Result<(), BackupError> {
    let owner = order.media.blobs.owner().await.map_err(|error| order.media.error(error))?;
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
    order: &RestoreOrder<'_>,
    objects: &[StoredObject],
    progress: Progress<'_>,
) -> Result<Vec<FlawedFile>, BackupError> {
    let skipped = process_each(objects.iter(), progress, |object| file(order, object)).await?;
    match skipped.first() {
        Some(FlawedFile { key, flaw, .. }) if !order.skip_damaged => Err(BackupError::Damaged(format!(
            "{} files of the backup are not as they were, such as {key}, which {flaw}; without them: --skip-damaged",
            skipped.len()
        ))),
        _ => Ok(skipped),
    }
}

/// Puts a file into the media store, unless it is there already. Returns what is wrong with the file in the backup.
async fn file(order: &RestoreOrder<'_>, object: &StoredObject) -> Result<Option<FileFlaw>, BackupError> {
    match check(order.media, object, None).await? {
        None => Ok(None),
        Some(FileFlaw::Missing) => copy_object(&order.place.files, order.media, object, order.spool).await,
        Some(flaw) => Err(BackupError::Useless(format!(
            "the media store has a file {} that {flaw}; remove it, or restore into an empty place",
            object.key
        ))),
    }
}

/// Makes an id of the same form as the first migration does.
fn new_id() -> Result<String, BackupError> {
    Ok(hex::encode(random::bytes::<ID_BYTES>()?))
}
