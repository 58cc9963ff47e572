//! The marker: which database the files belong to. A second database would take the first one's files for waste.

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::Blobs;
use super::deadline::{ANSWER, within};
use super::error::BlobError;

const NAME: &str = "buzon-database";

/// More than any id has, in bytes.
const LONGEST: u64 = 1024;

impl Blobs {
    /// Marks the files as this database's, if nobody has done so before; returns whether they are.
    pub async fn claim(&self, database_id: &str) -> Result<bool, BlobError> {
        if let Some(owner) = self.owner().await? {
            return Ok(owner == database_id);
        }
        self.mark(database_id).await?;
        // Some servers take no notice of the condition and overwrite: who came last is the owner.
        Ok(self.owner().await?.as_deref() == Some(database_id))
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

    async fn owner(&self) -> Result<Option<String>, BlobError> {
        let get = async {
            let found = self.store.get(&self.marker()).await?;
            if found.meta.size > LONGEST { Ok(Vec::new().into()) } else { found.bytes().await }
        };
        match within(ANSWER, get).await {
            Ok(content) => Ok(Some(String::from_utf8_lossy(&content).trim().to_owned())),
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn marker(&self) -> ObjectPath {
        self.prefix.clone().join(NAME)
    }
}
