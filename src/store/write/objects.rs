//! The objects of the media store that the database knows.

use async_trait::async_trait;

use crate::StoreError;
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

/// The contract of objects.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Returns the id of this database, which the marker of its media store holds.
    async fn database_id(&self) -> Result<String, StoreError>;

    /// Returns the bytes of the objects with a row. Each object is counted once.
    async fn bytes_stored(&self) -> Result<u64, StoreError>;

    /// Returns those of these objects that no job has stored.
    async fn objects_without_row(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError>;

    /// Locks an object unless another process holds it, so that a deletion of an old object and a repeated put exclude
    /// each other. The lock of a process that died ends at `until`.
    async fn lock_object(&self, key: &ObjectKey, now: Timestamp, until: Timestamp) -> Result<bool, StoreError>;

    /// Removes the lock that ends at `until`, if it still exists.
    async fn unlock_object(&self, key: &ObjectKey, until: Timestamp) -> Result<(), StoreError>;
}

pub(crate) fn byte_count(bytes: i64) -> u64 {
    bytes.try_into().unwrap_or_default()
}
