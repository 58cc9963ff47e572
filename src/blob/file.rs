//! Reading files without holding up the tasks of a worker.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::task::spawn_blocking;

use super::error::BlobError;

/// How much of a stream is in memory at a time.
const PIECE: u64 = 64 * 1024;

/// All bytes of the range, which must fit into memory; a file that ends before it does is an error.
pub(super) async fn read(file: Arc<File>, range: Range<u64>) -> Result<Bytes, BlobError> {
    let reading = spawn_blocking(move || {
        let mut content = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        file.read_exact_at(&mut content, range.start)?;
        Ok(Bytes::from(content))
    });
    let content = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    content.map_err(|error: io::Error| BlobError::Unavailable(format!("cannot read the file: {error}")))
}

/// The range in pieces.
pub(super) fn pieces(file: Arc<File>, range: Range<u64>) -> impl Stream<Item = Result<Bytes, BlobError>> {
    stream::try_unfold((file, range), async |(file, rest)| {
        if rest.is_empty() {
            return Ok(None);
        }
        let end = rest.end.min(rest.start + PIECE);
        let piece = read(Arc::clone(&file), rest.start..end).await?;
        Ok(Some((piece, (file, end..rest.end))))
    })
}
