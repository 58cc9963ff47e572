//! Stored files inside an archive.

use std::collections::BTreeMap;
use std::io::Write;

use futures_util::TryStreamExt;

use super::ExportError;
use super::archive::Archive;
use crate::blob::{BlobError, Blobs};
use domain::media::StoredFile;
use domain::media::media_type::harmless_extension;
use domain::media::object_key::ObjectKey;

/// The stored files that an archive is to have, each once.
#[derive(Default)]
pub struct WantedFiles(BTreeMap<ObjectKey, StoredFile>);

impl WantedFiles {
    /// Notes a file, and returns its name in the archive, which tells nothing but its content and its type.
    pub fn want(&mut self, file: &StoredFile) -> String {
        self.0.entry(file.object_key.clone()).or_insert_with(|| file.clone());
        format!("media/{}.{}", file.object_key, harmless_extension(&file.content_type))
    }

    /// Copies the files into the archive, and returns how many the media store does not have.
    pub async fn copy(mut self, blobs: &Blobs, archive: &mut Archive) -> Result<u64, ExportError> {
        let mut missing = 0;
        let files: Vec<StoredFile> = std::mem::take(&mut self.0).into_values().collect();
        for file in files {
            let mut chunks = match blobs.read(&file.object_key, 0..file.size).await {
                Err(BlobError::NotFound | BlobError::Size { .. }) => {
                    missing += 1;
                    continue;
                }
                chunks => chunks?,
            };
            archive.start(&self.want(&file), true)?;
            while let Some(chunk) = chunks.try_next().await? {
                archive.write_all(&chunk)?;
            }
        }
        Ok(missing)
    }
}
