//! The unnamed temporary file of a download, hashed while it is written. The file disappears when it is dropped, and
//! when the process dies.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::sniff::HEAD_BYTES;
use domain::media::object_key::ObjectKey;

/// A download under way.
pub(super) struct Spool {
    file: tokio::fs::File,
    hash: Sha256,
    size: u64,
    head: Vec<u8>,
}

/// A complete download.
pub(super) struct Spooled {
    pub(super) file: Arc<File>,
    pub(super) key: ObjectKey,
    pub(super) size: u64,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
}

impl Spool {
    /// Creates an empty file in the file system of `folder`.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let file = tokio::fs::File::from_std(tempfile::tempfile_in(folder)?);
        Ok(Self { file, hash: Sha256::new(), size: 0, head: Vec::new() })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).await
    }

    /// Returns the bytes written so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) async fn finish(mut self) -> io::Result<Spooled> {
        self.file.flush().await?;
        let file = Arc::new(self.file.into_std().await);
        let key = ObjectKey::of_digest(self.hash.finalize().into());
        Ok(Spooled { file, key, size: self.size, head: self.head })
    }
}
