//! Whether the store does what it is for.

use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};

use super::Blobs;
use super::deadline::{ANSWER, within};
use super::error::BlobError;
use domain::media::object_key::ObjectKey;

impl Blobs {
    /// Writes a file of this content, reads it back and removes it. The content must be one that no message has. What a
    /// process that dies leaves behind, sweeping takes away.
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
