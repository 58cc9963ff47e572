//! Reading stored files.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};

use super::Blobs;
use super::deadline::{ANSWER, each_within, within};
use super::error::BlobError;
use super::file;
use domain::media::object_key::ObjectKey;

impl Blobs {
    /// Returns exactly these bytes of a file, in chunks. The stream waits for a slow reader without a limit, and fails
    /// when the store sends nothing for 30 seconds.
    ///
    /// # Errors
    /// [`BlobError::Size`] if the file ends before the range.
    pub async fn read(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        if range.is_empty() {
            // A range request always names at least one byte.
            let found = self.find(key).await?;
            return found.map(|_| stream::empty().boxed()).ok_or(BlobError::NotFound);
        }
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
        let found = within(ANSWER, self.store.get_opts(&self.path(key), options)).await?;
        if found.range != range {
            return Err(BlobError::Size { stated: range.end, found: found.meta.size });
        }
        Ok(match found.payload {
            GetResultPayload::File(file, _) => file::chunks(Arc::new(file), range).boxed(),
            GetResultPayload::Stream(chunks) => each_within(ANSWER, chunks).boxed(),
        })
    }
}
