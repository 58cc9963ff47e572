//! Storage of the bytes of media files in a folder or an S3 bucket. Only this module uses object_store.
//!
//! A file is stored under the SHA-256 of its content, so that writing it twice is harmless and two writers cannot
//! disagree about the content of a name. Everything else about a file, such as its type, name and owner, is in the
//! database.

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
pub use file::chunks;
pub use location::{BlobLocation, LocationError};
pub use marker::Owner;
pub use named_blobs::NamedBlobs;
pub use s3::{S3Keys, S3Options};

use deadline::{ANSWER, within};

/// A store of files. Clones share their limits.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    backend: BlobBackend,
    /// The prefix of every name, which is empty in a folder.
    prefix: ObjectPath,
    limits: Arc<upload::UploadLimits>,
}

/// The backend, beside the interface that a folder and a bucket have in common.
#[derive(Clone)]
enum BlobBackend {
    Folder(Arc<Path>),
    Bucket(Arc<AmazonS3>),
}

/// A stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub key: ObjectKey,
    /// The size in bytes.
    pub size: u64,
    /// The time at which the file was last written, by the clock of the machine that stores it.
    pub modified: Timestamp,
}

impl Blobs {
    /// Opens a store. Creates the folder with mode 0700 if it does not exist. No request is sent to a bucket yet; the
    /// first is that of [`Blobs::claim`].
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

    fn new(store: Arc<dyn ObjectStore>, backend: BlobBackend, prefix: ObjectPath) -> Self {
        Self { store, backend, prefix, limits: Arc::default() }
    }

    /// Returns the folder, if the store is one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.backend {
            BlobBackend::Folder(path) => Some(path),
            BlobBackend::Bucket(_) => None,
        }
    }

    /// Returns the file, or `None` if it does not exist. A missing bucket looks the same, because its answer has no
    /// body.
    pub async fn find(&self, key: &ObjectKey) -> Result<Option<Object>, BlobError> {
        let found = BlobError::if_found(within(ANSWER, self.store.head(&self.path(key))).await)?;
        Ok(found.map(|found| list::object(key.clone(), &found)))
    }

    /// Removes a file, if it exists.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), BlobError> {
        self.delete_at(&self.path(key)).await
    }

    async fn delete_at(&self, path: &ObjectPath) -> Result<(), BlobError> {
        BlobError::if_found(within(ANSWER, self.store.delete(path)).await).map(drop)
    }

    /// Returns a URL at which anyone can GET the file for a while (at most seven days, since a bucket refuses more),
    /// served with this type and disposition. It does not check whether the file exists. Returns `None` for a folder.
    pub async fn presign(
        &self,
        key: &ObjectKey,
        content_type: &str,
        disposition: &str,
        valid: Duration,
    ) -> Result<Option<Url>, BlobError> {
        let BlobBackend::Bucket(signer) = &self.backend else { return Ok(None) };
        let options = SignedUrlOptions::new()
            .with_query([("response-content-type", content_type), ("response-content-disposition", disposition)]);
        let path = self.path(key);
        within(ANSWER, signer.signed_url_opts(Method::GET, &path, valid, &options)).await.map(Some)
    }

    /// Returns `PREFIX/ab/abcd…`, so that folders stay small with any number of files.
    fn path(&self, key: &ObjectKey) -> ObjectPath {
        self.prefix.clone().join(list::shard(key)).join(key.as_str())
    }
}
