//! Files under readable names, in groups, beside the objects of a store. A backup is such a group.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use super::deadline::{ANSWER, TRANSFER, each_within, within};
use super::error::BlobError;
use super::{BlobLocation, Blobs, S3Options};

/// A folder or a prefix in a bucket, with groups of files. Names consist of letters, digits and `-._`.
#[derive(Clone)]
pub struct NamedBlobs(Blobs);

impl NamedBlobs {
    /// Opens the store. Creates the folder with mode 0700 if it does not exist.
    pub fn open(location: &BlobLocation, s3: &S3Options) -> Result<Self, BlobError> {
        Blobs::open(location, s3).map(Self)
    }

    /// Returns the folder, if the store is one.
    pub fn folder(&self) -> Option<&Path> {
        self.0.folder()
    }

    /// Returns the names of all groups, including those of other programs, in no particular order.
    pub async fn groups(&self) -> Result<Vec<String>, BlobError> {
        let Blobs { store, prefix, .. } = &self.0;
        let found = within(TRANSFER, store.list_with_delimiter(Some(prefix))).await?;
        Ok(found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Stores a file. When this returns, the file is on disk; after an error no part of it stays behind.
    pub async fn put(&self, group: &str, name: &str, file: Arc<File>, size: u64) -> Result<(), BlobError> {
        self.0.put_at(self.path(group, name), file, size).await
    }

    /// Stores these bytes as a file, completely or not at all.
    pub async fn write(&self, group: &str, name: &str, content: Bytes) -> Result<(), BlobError> {
        let put = within(TRANSFER, self.0.store.put(&self.path(group, name), content.into())).await;
        put.map(drop).map_err(BlobError::of_write)
    }

    /// Returns a file in chunks.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] if the file does not exist.
    pub async fn read(
        &self,
        group: &str,
        name: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let found = within(ANSWER, self.0.store.get(&self.path(group, name))).await?;
        Ok(each_within(ANSWER, found.into_stream()).boxed())
    }

    /// Removes a file, if it exists.
    pub async fn delete(&self, group: &str, name: &str) -> Result<(), BlobError> {
        self.0.delete_at(&self.path(group, name)).await
    }

    /// Removes all files of a group.
    pub async fn delete_group(&self, group: &str) -> Result<(), BlobError> {
        if let Some(folder) = self.folder() {
            return match fs::remove_dir_all(folder.join(group)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => Ok(removed?),
            };
        }
        let within_group = self.0.prefix.clone().join(group);
        let files = each_within(ANSWER, self.0.store.list(Some(&within_group)));
        files.try_for_each(async |file| self.0.delete_at(&file.location).await).await
    }

    fn path(&self, group: &str, name: &str) -> ObjectPath {
        self.0.prefix.clone().join(group).join(name)
    }
}
