//! The objects of the media store, as far as the database knows of them.

use async_trait::async_trait;

use crate::StoreError;
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

/// The contract of objects.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Names this database, for the marker of its media store.
    async fn database_id(&self) -> Result<String, StoreError>;

    /// How many bytes the objects with a row have, each counted once.
    async fn bytes_stored(&self) -> Result<u64, StoreError>;

    /// Those of these objects that no job ended with.
    async fn objects_without_row(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError>;

    /// Locks an object, unless somebody holds it: whoever deletes an old object, and whoever puts an old one again, do
    /// so one after the other. The lock of one who died ends by itself at `until`.
    async fn lock_object(&self, key: &ObjectKey, now: Timestamp, until: Timestamp) -> Result<bool, StoreError>;

    /// Gives back the lock that was to end at `until`, if it is still there.
    async fn unlock_object(&self, key: &ObjectKey, until: Timestamp) -> Result<(), StoreError>;
}

pub(crate) fn byte_count(bytes: i64) -> u64 {
    bytes.try_into().unwrap_or_default()
}

/// What we wrote as keys.
pub(crate) fn parsed(keys: Vec<String>) -> Vec<ObjectKey> {
    keys.iter().filter_map(|key| ObjectKey::parse(key)).collect()
}
