//! A test of whether a store works.

use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};

use super::Blobs;
use super::deadline::{ANSWER, within};
use super::error::BlobError;
use domain::media::object_key::ObjectKey;

impl Blobs {
    /// Writes a file with this content, reads it back and removes it. No message may have this content. If the process
    /// dies in between, a sweep removes the file.
    pub async fn probe(&self, content: &[u8]) -> Result<(), BlobError> {
        let key = ObjectKey::of_digest(Sha256::digest(content).into());
        let path = self.path(&key);
        let put = within(ANSWER, self.store.put(&path, content.to_vec().into())).await;
        put.map_err(BlobError::of_write)?;
        let read = within(ANSWER, async { self.store.get(&path).await?.bytes().await }).await;
        self.delete(&key).await?;
        if read? == content { Ok(()) } else { Err(BlobError::Unavailable("it gives back other bytes".to_owned())) }
    }
}
