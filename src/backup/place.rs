//! A place with backups, and the list of them.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::BackupError;
use super::manifest::{BackupName, CopyFile, Manifest};
use super::transfer::{TransferError, receive};
use crate::blob::{BlobError, BlobLocation, Blobs, NamedBlobs, Owner, S3Options};
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;
use platform::private_folder;

const MANIFEST: &str = "manifest.json";
const MEDIA: &str = "media";

/// The folder in which a copy of the database is made before it is uploaded to a bucket.
const STAGE: &str = "backup-in-progress";

/// A store of media files: that of the service, or that of backups.
pub struct FileStore {
    pub(super) blobs: Blobs,
    location: BlobLocation,
}

impl FileStore {
    pub fn open(location: &BlobLocation, s3: &S3Options) -> Result<Self, BackupError> {
        let blobs = Blobs::open(location, s3).map_err(|error| blob_error(location, error))?;
        Ok(Self { blobs, location: location.clone() })
    }

    pub(super) fn error(&self, error: BlobError) -> BackupError {
        blob_error(&self.location, error)
    }

    /// Returns whether both are the same store.
    fn is(&self, other: &Self) -> bool {
        match (self.blobs.folder(), other.blobs.folder()) {
            (None, None) => self.location == other.location,
            // These paths have no symbolic links.
            (ours, theirs) => ours == theirs,
        }
    }
}

fn blob_error(location: &BlobLocation, error: BlobError) -> BackupError {
    BackupError::Blob { place: location.to_string(), error }
}

/// A place with backups of one database.
pub struct BackupPlace {
    location: BlobLocation,
    pub(super) store: NamedBlobs,
    pub(super) files: FileStore,
}

/// A backup that was found.
#[derive(Debug)]
pub struct FoundBackup {
    pub name: BackupName,
    pub state: BackupState,
}

/// The state of a backup.
#[derive(Debug)]
pub enum BackupState {
    Complete(Box<Manifest>),
    /// It has no manifest, because it was broken off or is still being made.
    Unfinished,
    /// Its manifest cannot be read, for this reason.
    Unreadable(String),
}

impl BackupPlace {
    /// Opens a place to write to, and creates it if it does not exist.
    pub fn create(location: &BlobLocation, s3: &S3Options) -> Result<Self, BackupError> {
        let store = NamedBlobs::open(location, s3).map_err(|error| blob_error(location, error))?;
        let files = FileStore::open(&location.join(MEDIA), s3)?;
        Ok(Self { location: location.clone(), store, files })
    }

    /// Opens an existing place to read from.
    ///
    /// # Errors
    /// [`BackupError::Useless`] if there is no such folder.
    pub fn open(location: &BlobLocation, s3: &S3Options) -> Result<Self, BackupError> {
        match location {
            BlobLocation::Folder(path) if !path.is_dir() => {
                Err(BackupError::Useless(format!("there is no folder {}", path.display())))
            }
            _ => Self::create(location, s3),
        }
    }

    /// Returns all backups, the oldest first.
    pub async fn list(&self) -> Result<Vec<FoundBackup>, BackupError> {
        let mut all = Vec::new();
        for name in self.names().await? {
            let state = self.state(&name).await?;
            all.push(FoundBackup { name, state });
        }
        Ok(all)
    }

    /// Returns the names of all backups, the oldest first.
    pub(super) async fn names(&self) -> Result<Vec<BackupName>, BackupError> {
        let groups = self.store.groups().await.map_err(|error| self.error(error))?;
        let mut names: Vec<BackupName> = groups.iter().filter_map(|group| BackupName::parse(group)).collect();
        names.sort();
        Ok(names)
    }

    /// Returns the backup of this name, or without a name the latest complete one.
    ///
    /// # Errors
    /// [`BackupError::Useless`] if there is none, [`BackupError::Damaged`] if it is not complete.
    pub(super) async fn choose(&self, name: Option<&str>) -> Result<(BackupName, Manifest), BackupError> {
        let mut all = self.list().await?;
        let chosen = match name {
            Some(name) => all.into_iter().find(|found| found.name.as_str() == name),
            None => {
                all.retain(|found| matches!(found.state, BackupState::Complete(_)));
                all.pop()
            }
        };
        let Some(FoundBackup { name, state }) = chosen else {
            let which = name.map_or("no complete backup".to_owned(), |name| format!("no backup {name}"));
            return Err(BackupError::Useless(format!("there is {which} in {}", self.location)));
        };
        match state {
            BackupState::Complete(manifest) => Ok((name, *manifest)),
            BackupState::Unfinished => Err(BackupError::Damaged(format!("{name} is not complete: it has no manifest"))),
            BackupState::Unreadable(reason) => Err(BackupError::Damaged(format!("{name}: {reason}"))),
        }
    }

    pub(super) async fn state(&self, name: &BackupName) -> Result<BackupState, BackupError> {
        let Some(text) = self.read_whole(name.as_str(), MANIFEST).await? else { return Ok(BackupState::Unfinished) };
        Ok(match Manifest::unsealed(&text) {
            Ok(manifest) => BackupState::Complete(Box::new(manifest)),
            Err(reason) => BackupState::Unreadable(reason),
        })
    }

    /// Returns the content of a file that is small enough for the memory; `None` if it is not there.
    pub(super) async fn read_whole(&self, group: &str, file: &str) -> Result<Option<Vec<u8>>, BackupError> {
        let mut content = Vec::new();
        let read = async {
            let mut chunks = self.store.read(group, file).await?;
            while let Some(chunk) = chunks.try_next().await? {
                content.extend_from_slice(&chunk);
            }
            Ok(())
        };
        match read.await {
            Ok(()) => Ok(Some(content)),
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Writes a file beside the backups, in the place of the one of this name.
    pub(super) async fn write_beside(&self, group: &str, file: &str, content: Vec<u8>) -> Result<(), BackupError> {
        if let Some(folder) = self.store.folder() {
            private_folder::make(&folder.join(group))?;
        }
        self.store.write(group, file, content.into()).await.map_err(|error| self.error(error))
    }

    /// Checks that the place holds backups of this database, and that it is not the media store that is to be backed
    /// up.
    pub(super) async fn claim(&self, database_id: &str, source: &FileStore) -> Result<(), BackupError> {
        if self.files.is(source) {
            let problem = "would be kept where the service has its own files; name another place";
            return Err(BackupError::Useless(format!("the files of backups in {} {problem}", self.location)));
        }
        match self.files.blobs.claim(database_id).await.map_err(|error| self.files.error(error))? {
            Owner::Us | Owner::Nobody => Ok(()),
            Owner::Another => Err(BackupError::Useless(format!(
                "{} holds the backups of another database; give each a place of its own",
                self.location
            ))),
        }
    }

    /// Removes the backups that were broken off, and returns their names. No other backup may be under way.
    pub(super) async fn remove_unfinished(&self, now: Timestamp) -> Result<Vec<BackupName>, BackupError> {
        let unfinished = |found: FoundBackup| matches!(found.state, BackupState::Unfinished).then_some(found.name);
        let names: Vec<BackupName> = self.list().await?.into_iter().filter_map(unfinished).collect();
        for name in &names {
            self.remove(name).await?;
        }
        self.files.blobs.sweep_unfinished(now).map_err(|error| self.files.error(error))?;
        Ok(names)
    }

    /// Removes a backup without its media files. The manifest goes first, so that the backup is incomplete at once.
    pub(super) async fn remove(&self, name: &BackupName) -> Result<(), BackupError> {
        let removed = async {
            self.store.delete(name.as_str(), MANIFEST).await?;
            self.store.delete_group(name.as_str()).await
        };
        removed.await.map_err(|error| self.error(error))
    }

    /// Returns the name of a backup that begins now. It sorts after all others, whatever the clock says.
    pub(super) async fn next_name(&self, now: Timestamp) -> Result<BackupName, BackupError> {
        let latest = self.list().await?.pop().and_then(|found| found.name.next());
        Ok(latest.into_iter().chain([BackupName::at(now)]).max().unwrap_or_else(|| BackupName::at(now)))
    }

    /// Returns the folder in which to make the copy of the database, which is the backup itself if the place is a
    /// folder.
    pub(super) fn stage(&self, name: &BackupName, spool: &Path, file: &str) -> Result<StagingFolder, BackupError> {
        let folder = match self.store.folder() {
            Some(folder) => folder.join(name.as_str()),
            None => {
                let folder = spool.join(STAGE);
                if folder.exists() {
                    std::fs::remove_dir_all(&folder)?;
                }
                folder
            }
        };
        private_folder::make(&folder)?;
        let is_temporary = self.store.folder().is_none();
        Ok(StagingFolder { path: folder.join(file), folder, is_temporary })
    }

    /// Moves the staged copy into the backup.
    pub(super) async fn keep_copy(
        &self,
        name: &BackupName,
        stage: &StagingFolder,
        file: &str,
        size: u64,
    ) -> Result<(), BackupError> {
        if !stage.is_temporary {
            return Ok(File::open(&stage.folder)?.sync_all()?);
        }
        let content = Arc::new(File::open(&stage.path)?);
        self.store.put(name.as_str(), file, content, size).await.map_err(|error| self.error(error))
    }

    /// Reads the copy of the database, and writes it to a file if there is one.
    pub(super) async fn read_copy(
        &self,
        name: &BackupName,
        file: &str,
        to: Option<File>,
        read: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<CopyFile, BackupError> {
        let chunks = match self.store.read(name.as_str(), file).await {
            Err(BlobError::NotFound) => return Err(BackupError::Damaged(format!("{name}: {file} is missing"))),
            chunks => chunks.map_err(|error| self.error(error))?,
        };
        receive(chunks, to, read).await.map_err(|error| match error {
            TransferError::Source(error) => self.error(error),
            TransferError::Spool(error) => error.into(),
        })
    }

    /// Returns the path of the copy of the database, if the place is a folder.
    pub(super) fn copy_path(&self, name: &BackupName, file: &str) -> Option<PathBuf> {
        self.store.folder().map(|folder| folder.join(name.as_str()).join(file))
    }

    /// Writes the manifest, which makes the backup complete.
    pub(super) async fn seal(&self, name: &BackupName, manifest: &Manifest) -> Result<(), BackupError> {
        let text = manifest.sealed().map_err(std::io::Error::from)?;
        self.store.write(name.as_str(), MANIFEST, text.into()).await.map_err(|error| self.error(error))
    }

    /// Keeps the latest `keep` complete backups, and removes older ones and the files that none of the kept ones needs.
    /// Returns the removed backups and the number of removed files.
    ///
    /// # Errors
    /// If a manifest cannot be read, so that it is unknown which files its backup needs. Then nothing is removed.
    pub(super) async fn prune(&self, keep: usize) -> Result<(Vec<BackupName>, u64), BackupError> {
        let mut complete = Vec::new();
        for FoundBackup { name, state } in self.list().await? {
            match state {
                BackupState::Complete(manifest) => complete.push((name, manifest)),
                BackupState::Unfinished => {}
                BackupState::Unreadable(reason) => {
                    let problem = "no older backup was removed; repair or remove this one";
                    return Err(BackupError::Damaged(format!("{name}: {reason}; {problem}")));
                }
            }
        }
        let kept = complete.split_off(complete.len().saturating_sub(keep));
        let old: Vec<BackupName> = complete.into_iter().map(|(name, _)| name).collect();
        for name in &old {
            self.remove(name).await?;
        }
        let needed: HashSet<&ObjectKey> =
            kept.iter().flat_map(|(_, manifest)| &manifest.objects).map(|object| &object.key).collect();
        let mut removed = 0;
        let mut there = self.files.blobs.list();
        while let Some(object) = there.try_next().await.map_err(|error| self.files.error(error))? {
            if !needed.contains(&object.key) {
                self.files.blobs.delete(&object.key).await.map_err(|error| self.files.error(error))?;
                removed += 1;
            }
        }
        Ok((old, removed))
    }

    pub(super) fn error(&self, error: BlobError) -> BackupError {
        blob_error(&self.location, error)
    }
}

/// The folder in which a copy of the database is made. A temporary one is removed when this is dropped.
pub(super) struct StagingFolder {
    pub(super) path: PathBuf,
    folder: PathBuf,
    is_temporary: bool,
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        if self.is_temporary {
            // If this fails, the next backup removes the folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
