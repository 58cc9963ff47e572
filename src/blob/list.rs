//! The list of the stored files.

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::deadline::{ANSWER, each_within};
use super::error::BlobError;
use super::{BlobBackend, Blobs, Object};
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

/// Returns the folder of a key, which is its first two digits.
pub(super) fn shard(key: &ObjectKey) -> &str {
    &key.as_str()[..2]
}

/// Returns every folder that keys can have.
pub(super) fn shards() -> impl Iterator<Item = String> + Send {
    (0..=u8::MAX).map(|first| hex::encode([first]))
}

impl Blobs {
    /// Returns all files in no particular order, without the marker and without the files of others.
    pub fn list(&self) -> BoxStream<'static, Result<Object, BlobError>> {
        let found = match &self.backend {
            // Other contents of the folder, such as `lost+found`, may be unreadable and are not opened.
            BlobBackend::Folder(_) => {
                let (store, prefix) = (self.store.clone(), self.prefix.clone());
                stream::iter(shards()).flat_map(move |shard| store.list(Some(&prefix.clone().join(shard)))).boxed()
            }
            BlobBackend::Bucket(_) => self.store.list(Some(&self.prefix)),
        };
        let blobs = self.clone();
        each_within(ANSWER, found)
            .try_filter_map(move |found| {
                let object = blobs.own(&found);
                async { Ok(object) }
            })
            .boxed()
    }

    /// Returns the object, if its whole path is the one that buzon gives to its key.
    fn own(&self, found: &ObjectMeta) -> Option<Object> {
        let key = ObjectKey::parse(found.location.filename()?)?;
        (self.path(&key) == found.location).then(|| object(key, found))
    }
}

pub(super) fn object(key: ObjectKey, found: &ObjectMeta) -> Object {
    Object { key, size: found.size, modified: Timestamp::from_millis(found.last_modified.timestamp_millis()) }
}
