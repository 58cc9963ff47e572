//! Reads of files that do not block the async threads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::task::spawn_blocking;

use super::error::BlobError;

/// The size of a chunk of a stream.
const CHUNK: u64 = 64 * 1024;

/// Returns all bytes of the range, which must fit into memory. If the file ends before the range, that is an error.
pub(super) async fn read(file: Arc<File>, range: Range<u64>) -> Result<Bytes, BlobError> {
    let reading = spawn_blocking(move || {
        let mut content = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        file.read_exact_at(&mut content, range.start)?;
        Ok(Bytes::from(content))
    });
    let content = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    content.map_err(|error: io::Error| BlobError::Unavailable(format!("cannot read the file: {error}")))
}

/// Returns the range in chunks.
pub fn chunks(file: Arc<File>, range: Range<u64>) -> impl Stream<Item = Result<Bytes, BlobError>> {
    stream::try_unfold((file, range), async |(file, rest)| {
        if rest.is_empty() {
            return Ok(None);
        }
        let end = rest.end.min(rest.start + CHUNK);
        let chunk = read(Arc::clone(&file), rest.start..end).await?;
        Ok(Some((chunk, (file, end..rest.end))))
    })
}
