//! The marker: which database the files belong to. A second database would take the first one's files for waste.

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::Blobs;
use super::deadline::{ANSWER, within};
use super::error::BlobError;

const NAME: &str = "buzon-database";

/// More than any id has, in bytes.
const LONGEST: u64 = 1024;

/// Whose the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Us,
    /// Nobody's until now. Some servers take no notice of the condition of a first mark, or look and write in two
    /// steps: of two databases that come at once each would find its own mark for a moment. Who is still the owner when
    /// it comes again is.
    Nobody,
    Another,
}

impl Blobs {
    /// Whose the files are; marks them as this database's if they are nobody's.
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

    /// The id of the database that the files belong to; `None` as long as they are nobody's.
    pub async fn owner(&self) -> Result<Option<String>, BlobError> {
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
