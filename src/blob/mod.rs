//! The bytes of media files, in a folder or in an S3 bucket; the only place with object_store.
//!
//! A file is stored under the SHA-256 of its content, so that writing it twice is harmless, and no two writers can
//! disagree about what stands under a name. Nothing else about a file is kept here: its type, name and owner are the
//! database's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::path::Path as ObjectPath;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

mod deadline;
mod error;
mod file;
mod folder;
mod list;
mod location;
mod marker;
mod named_blobs;
mod probe;
mod read;
mod s3;
mod upload;

pub use error::{BlobError, is_disk_full};
pub use location::{BlobLocation, LocationError};
pub use marker::Owner;
pub use named_blobs::NamedBlobs;
pub use s3::{S3Keys, S3Options};

use deadline::{ANSWER, within};

/// Where the files are. Clones share their limits.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    place: BlobBackend,
    /// Before every name; empty in a folder.
    prefix: ObjectPath,
    limits: Arc<upload::UploadLimits>,
}

#[derive(Clone)]
enum BlobBackend {
    Folder(Arc<Path>),
    Bucket(Arc<AmazonS3>),
}

/// A stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub key: ObjectKey,
    /// In bytes.
    pub size: u64,
    /// When it was last written, by the clock of the machine that keeps it.
    pub modified: Timestamp,
}

impl Blobs {
    /// Makes the folder, for its owner alone, if it is not there. A bucket is not asked for anything yet: whether it
    /// can be used shows at [`Blobs::claim`].
    pub fn open(location: &BlobLocation, s3: &S3Options) -> Result<Self, BlobError> {
        match location {
            BlobLocation::Folder(path) => {
                let (store, path) = folder::open(path)?;
                Ok(Self::new(Arc::new(store), BlobBackend::Folder(path.into()), ObjectPath::default()))
            }
            BlobLocation::Bucket { bucket, prefix } => {
                let store = Arc::new(s3::open(bucket, s3)?);
                let prefix = ObjectPath::parse(prefix).map_err(|error| BlobError::Unusable(error.to_string()))?;
                Ok(Self::new(store.clone(), BlobBackend::Bucket(store), prefix))
            }
        }
    }

    fn new(store: Arc<dyn ObjectStore>, place: BlobBackend, prefix: ObjectPath) -> Self {
        Self { store, place, prefix, limits: Arc::default() }
    }

    /// The folder, if that is where the files are.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            BlobBackend::Folder(path) => Some(path),
            BlobBackend::Bucket(_) => None,
        }
    }

    /// `None` when there is no such file. A bucket that is gone looks the same: its answer to this question has no text.
    pub async fn find(&self, key: &ObjectKey) -> Result<Option<Object>, BlobError> {
        match within(ANSWER, self.store.head(&self.path(key))).await {
            Ok(found) => Ok(Some(list::object(key.clone(), &found))),
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file; one that is not there is fine.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), BlobError> {
        match within(ANSWER, self.store.delete(&self.path(key))).await {
            Err(BlobError::NotFound) => Ok(()),
            deleted => deleted,
        }
    }

    /// A URL at which anyone can GET the file for a while (at most seven days; a bucket refuses more), served with this
    /// type and disposition. Whether the file is there is not asked. `None` for a folder.
    pub async fn presign(
        &self,
        key: &ObjectKey,
        content_type: &str,
        disposition: &str,
        valid: Duration,
    ) -> Result<Option<Url>, BlobError> {
        let BlobBackend::Bucket(signer) = &self.place else { return Ok(None) };
        let options = SignedUrlOptions::new()
            .with_query([("response-content-type", content_type), ("response-content-disposition", disposition)]);
        let path = self.path(key);
        within(ANSWER, signer.signed_url_opts(Method::GET, &path, valid, &options)).await.map(Some)
    }

    /// `PREFIX/ab/abcd…`: folders stay small, whatever the number of files.
    fn path(&self, key: &ObjectKey) -> ObjectPath {
        self.prefix.clone().join(list::shard(key)).join(key.as_str())
    }
}
