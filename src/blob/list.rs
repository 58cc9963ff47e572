//! Which files there are.

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::deadline::{ANSWER, each_within};
use super::error::BlobError;
use super::{BlobBackend, Blobs, Object};
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

/// The folder of a key: its first two digits.
pub(super) fn shard(key: &ObjectKey) -> &str {
    &key.as_str()[..2]
}

/// Every folder that keys can have.
pub(super) fn shards() -> impl Iterator<Item = String> + Send {
    (0..=u8::MAX).map(|first| hex::encode([first]))
}

impl Blobs {
    /// All files, in no particular order. What others have put there is skipped, and so is the marker.
    pub fn list(&self) -> BoxStream<'static, Result<Object, BlobError>> {
        let found = match &self.place {
            // A folder's other contents may be unreadable, such as `lost+found`: they are not even looked at.
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

    /// The file, if its whole path is what we would have called it.
    fn own(&self, found: &ObjectMeta) -> Option<Object> {
        let key = ObjectKey::parse(found.location.filename()?)?;
        (self.path(&key) == found.location).then(|| object(key, found))
    }
}

pub(super) fn object(key: ObjectKey, found: &ObjectMeta) -> Object {
    Object { key, size: found.size, modified: Timestamp::from_millis(found.last_modified.timestamp_millis()) }
}
