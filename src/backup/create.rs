//! Creation of a backup, beside a running service.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::manifest::{BackupName, CopyFile, FlawedFile, Manifest, copy_name};
use super::place::{BackupPlace, FileStore};
use super::transfer::{copy_object, process_each};
use super::{BackupError, BackupStep, Progress};
use domain::media::object_key::ObjectKey;
use platform::clock::Clock;
use store::{Copied, CopyError, Database, ErasureExport, OpenMode, Options, Pending, Programs, StoredObject};

/// A request for a backup.
pub struct BackupOrder<'o> {
    pub database: &'o Database,
    pub programs: &'o Programs,
    /// The media store of the service.
    pub media: &'o FileStore,
    pub place: &'o BackupPlace,
    /// True if PostgreSQL may run with settings that managed services change.
    pub allow_managed_pg: bool,
    /// A folder for temporary files.
    pub spool: &'o Path,
    /// The number of complete backups to keep. Without it, all are kept.
    pub keep: Option<usize>,
    pub clock: &'o dyn Clock,
}

/// A complete backup.
#[derive(Debug)]
pub struct CreatedBackup {
    pub name: BackupName,
    pub manifest: Manifest,
    /// The number and bytes of the files that no earlier backup had.
    pub new_files: u64,
    pub new_bytes: u64,
    /// The incomplete backups that were removed.
    pub cleaned: Vec<BackupName>,
    /// The old backups that were removed, or why none was.
    pub pruned: Result<PrunedBackups, BackupError>,
}

/// The backups that were removed because newer ones are kept.
#[derive(Debug, Default)]
pub struct PrunedBackups {
    pub backups: Vec<BackupName>,
    pub files: u64,
}

/// Makes a backup of everything that was committed before this call. The backup is complete when its manifest is
/// written, at the very end. Older backups are removed only after that.
pub async fn create(order: &BackupOrder<'_>, progress: Progress<'_>) -> Result<CreatedBackup, BackupError> {
    let BackupOrder { database, place, .. } = order;
    let mut copies = store::copies(database, order.programs);
    let database_id = copies.hold().await?;
    place.claim(&database_id, order.media).await?;
    let cleaned = place.remove_unfinished(order.clock.now()).await?;
    let name = place.next_name(order.clock.now()).await?;
    let filled = fill(order, &mut *copies, &name, progress).await;
    let (manifest, new) = match filled {
        Ok(filled) => filled,
        Err(error) => {
            // If this fails, the next backup removes the rest.
            let _ = place.remove(&name).await;
            return Err(error);
        }
    };
    place.write_erasures(&erasures(order).await?).await?;
    let pruned = match order.keep {
        None => Ok(PrunedBackups::default()),
        Some(keep) => place.prune(keep).await.map(|(backups, files)| PrunedBackups { backups, files }),
    };
    let new_bytes = new.iter().map(|object| object.size).sum();
    Ok(CreatedBackup { name, manifest, new_files: new.len() as u64, new_bytes, cleaned, pruned })
}

/// Returns the erasures that the database knows of.
async fn erasures(order: &BackupOrder<'_>) -> Result<ErasureExport, BackupError> {
    let (database, allow_managed_pg) = (order.database.clone(), order.allow_managed_pg);
    let options = Options { database, pending: Pending::Refuse, access: OpenMode::Beside, allow_managed_pg };
    let store = store::open(&options).await.map_err(CopyError::from)?;
    let erasures = store.export_erasures().await.map_err(CopyError::from)?;
    store.close().await;
    Ok(erasures)
}

/// Copies the database first: every file that it names was stored before, and can be copied afterwards.
async fn fill(
    order: &BackupOrder<'_>,
    copies: &mut dyn store::Copies,
    name: &BackupName,
    progress: Progress<'_>,
) -> Result<(Manifest, Vec<StoredObject>), BackupError> {
    let place = order.place;
    let file = copy_name(order.database.kind());
    let stage = place.stage(name, order.spool, file)?;
    let written = |bytes| progress(BackupStep::Database(bytes));
    let Copied { contents, objects } = copies.copy(&stage.path, &written).await?;
    let copy = size_and_hash(&stage.path)?;
    place.keep_copy(name, &stage, file, copy.size).await?;
    drop(stage);
    let (new, lacking) = copy_files(order, &objects, progress).await?;
    let lacks: HashSet<&ObjectKey> = lacking.iter().map(|file| &file.key).collect();
    let there = objects.into_iter().filter(|object| !lacks.contains(&object.key)).collect();
    let manifest = Manifest::new(contents, copy, there, lacking);
    place.seal(name, &manifest).await?;
    Ok((manifest, new))
}

/// Copies the files that no earlier backup has. Returns those, and the ones that could not be copied.
async fn copy_files(
    order: &BackupOrder<'_>,
    objects: &[StoredObject],
    progress: Progress<'_>,
) -> Result<(Vec<StoredObject>, Vec<FlawedFile>), BackupError> {
    let kept = &order.place.files;
    let there = kept.blobs.list().map_ok(|object| (object.key, object.size)).try_collect();
    let there: HashMap<ObjectKey, u64> = there.await.map_err(|error| kept.error(error))?;
    let new: Vec<&StoredObject> =
        objects.iter().filter(|object| there.get(&object.key) != Some(&object.size)).collect();
    let copy = |object| copy_object(order.media, kept, object, order.spool);
    let lacking = process_each(new.iter().copied(), progress, copy).await?;
    let lacks: HashSet<&ObjectKey> = lacking.iter().map(|file| &file.key).collect();
    let copied = new.into_iter().filter(|object| !lacks.contains(&object.key)).cloned().collect();
    Ok((copied, lacking))
}

/// Returns the size and the hash of the copy of the database.
fn size_and_hash(path: &Path) -> io::Result<CopyFile> {
    let (mut file, mut hash, mut size) = (File::open(path)?, Sha256::new(), 0);
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(CopyFile { size, sha256: ObjectKey::of_digest(hash.finalize().into()) });
        }
        hash.update(&chunk[..read]);
        size += read as u64;
    }
}
