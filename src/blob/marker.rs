//! The marker, a file that names the database to which the files belong. Without it, a second database would take the
//! first one's files for orphans.

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::Blobs;
use super::deadline::{ANSWER, within};
use super::error::BlobError;

const NAME: &str = "buzon-database";

/// The size in bytes above which a marker is not read. No id is that long.
const MAX_BYTES: u64 = 1024;

/// The owner of the files, as seen by a database that claims them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Us,
    /// Nobody owned the files before this claim. Some servers ignore the condition that the marker must be new, or
    /// check it and write in two steps, so two databases that claim at the same time may each find their own marker for
    /// a moment. The database that finds its own marker the next time is the owner.
    Nobody,
    Another,
}

impl Blobs {
    /// Returns the owner of the files, and marks them as this database's if nobody owns them.
    pub async fn claim(&self, database_id: &str) -> Result<Owner, BlobError> {
        match self.owner().await? {
            Some(owner) if owner == database_id => Ok(Owner::Us),
            Some(_) => Ok(Owner::Another),
            None => self.mark(database_id).await.map(|()| Owner::Nobody),
        }
    }

    async fn mark(&self, database_id: &str) -> Result<(), BlobError> {
        let content = database_id.to_owned().into_bytes().into();
        let options = PutOptions::from(PutMode::Create);
        let put = async {
            match self.store.put_opts(&self.marker(), content, options).await {
                Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                put => put.map(drop),
            }
        };
        within(ANSWER, put).await.map_err(BlobError::of_write)
    }

    /// Returns the id of the database that the files belong to, or `None` if nobody owns them.
    pub async fn owner(&self) -> Result<Option<String>, BlobError> {
        let get = async {
            let found = self.store.get(&self.marker()).await?;
            if found.meta.size > MAX_BYTES { Ok(Vec::new().into()) } else { found.bytes().await }
        };
        let content = BlobError::if_found(within(ANSWER, get).await)?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).trim().to_owned()))
    }

    fn marker(&self) -> ObjectPath {
        self.prefix.clone().join(NAME)
    }
}
