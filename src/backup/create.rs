//! Making a backup, beside the running service.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::manifest::{BackupName, CopyFile, Lacking, Manifest, copy_name};
use super::place::{BackupPlace, FileStore};
use super::transfer::{carry, each};
use super::{BackupError, BackupStep, Progress};
use domain::media::object_key::ObjectKey;
use platform::clock::Clock;
use store;
use store::{Copied, Database, Programs, StoredObject};

/// What is to be backed up, and to where.
pub struct BackupOrder<'o> {
    pub database: &'o Database,
    pub programs: &'o Programs,
    /// The files of the service.
    pub media: &'o FileStore,
    pub place: &'o BackupPlace,
    /// A folder for temporary files.
    pub spool: &'o Path,
    /// How many complete backups stay; without a number, all.
    pub keep: Option<usize>,
    pub clock: &'o dyn Clock,
}

/// A backup that is complete.
#[derive(Debug)]
pub struct Made {
    pub name: BackupName,
    pub manifest: Manifest,
    /// The files that no earlier backup had, and their bytes.
    pub new_files: u64,
    pub new_bytes: u64,
    /// Backups that were broken off, and are removed.
    pub cleaned: Vec<BackupName>,
    /// Backups that were too old, or why none of them was removed.
    pub retained: Result<Retained, BackupError>,
}

/// What was removed for being too old.
#[derive(Debug, Default)]
pub struct Retained {
    pub backups: Vec<BackupName>,
    pub files: u64,
}

/// Makes a backup of everything that was committed before. It is complete when its manifest is written, at the very end;
/// only then anything older is removed.
pub async fn create(order: &BackupOrder<'_>, progress: Progress<'_>) -> Result<Made, BackupError> {
    let BackupOrder { database, place, .. } = order;
    let mut copies = store::copies(database, order.programs);
    let database_id = copies.hold().await?;
    place.claim(&database_id, order.media).await?;
    let cleaned = place.clean(order.clock.now()).await?;
    let name = place.next_name(order.clock.now()).await?;
    let made = fill(order, &mut *copies, &name, progress).await;
    let (manifest, new) = match made {
        Ok(made) => made,
        Err(error) => {
            // The next backup removes what stays behind.
            let _ = place.remove(&name).await;
            return Err(error);
        }
    };
    let retained = match order.keep {
        None => Ok(Retained::default()),
        Some(keep) => place.retain(keep).await.map(|(backups, files)| Retained { backups, files }),
    };
    let new_bytes = new.iter().map(|object| object.size).sum();
    Ok(Made { name, manifest, new_files: new.len() as u64, new_bytes, cleaned, retained })
}

/// The database first: whatever it says is stored was stored before, and is there to be copied after.
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
    let copy = measure(&stage.path)?;
    place.keep_copy(name, &stage, file, copy.size).await?;
    drop(stage);
    let (new, lacking) = copy_files(order, &objects, progress).await?;
    let lacks: HashSet<&ObjectKey> = lacking.iter().map(|lacking| &lacking.key).collect();
    let there = objects.into_iter().filter(|object| !lacks.contains(&object.key)).collect();
    let manifest = Manifest::new(contents, copy, there, lacking);
    place.seal(name, &manifest).await?;
    Ok((manifest, new))
}

/// Copies the files that no earlier backup has. Returns those, and the ones that could not be.
async fn copy_files(
    order: &BackupOrder<'_>,
    objects: &[StoredObject],
    progress: Progress<'_>,
) -> Result<(Vec<StoredObject>, Vec<Lacking>), BackupError> {
    let kept = &order.place.files;
    let there = kept.blobs.list().map_ok(|object| (object.key, object.size)).try_collect();
    let there: HashMap<ObjectKey, u64> = there.await.map_err(|error| kept.trouble(error))?;
    let new: Vec<&StoredObject> =
        objects.iter().filter(|object| there.get(&object.key) != Some(&object.size)).collect();
    let work = |object| carry(order.media, kept, object, order.spool);
    let lacking = each(new.iter().copied(), progress, work).await?;
    let lacks: HashSet<&ObjectKey> = lacking.iter().map(|lacking| &lacking.key).collect();
    let copied = new.into_iter().filter(|object| !lacks.contains(&object.key)).cloned().collect();
    Ok((copied, lacking))
}

/// Of the copy of the database.
fn measure(path: &Path) -> io::Result<CopyFile> {
    let (mut file, mut hash, mut size) = (File::open(path)?, Sha256::new(), 0);
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(CopyFile { size, sha256: ObjectKey::of_digest(hash.finalize().into()) });
        }
        hash.update(&piece[..read]);
        size += read as u64;
    }
}
