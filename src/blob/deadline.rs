//! The time limits of requests, including their retries. The limits of the HTTP client are not used: its total limit
//! would cut off the body of a long download, and its read limit counts while a slow reader of ours reads nothing.

use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time::timeout;

use super::error::BlobError;

/// The limit for a request without content, and for each chunk of an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// The limit for up to 8 MiB of content, which is enough at 600 kbit/s.
pub(super) const TRANSFER: Duration = Duration::from_secs(120);

/// The limit for publishing a large file. A bucket joins its parts, and a folder waits for the disk.
pub(super) const COMPLETION: Duration = Duration::from_secs(600);

pub(super) async fn within<T>(
    limit: Duration,
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, BlobError> {
    timeout(limit, request).await.map_err(|_| BlobError::late(limit))?.map_err(BlobError::from)
}

/// Returns the same items, and ends with an error when one does not come in time.
pub(super) fn each_within<T: 'static>(
    limit: Duration,
    items: BoxStream<'static, object_store::Result<T>>,
) -> impl Stream<Item = Result<T, BlobError>> {
    stream::unfold(Some(items), move |items| async move {
        let mut items = items?;
        match timeout(limit, items.next()).await {
            Ok(item) => Some((item?.map_err(BlobError::from), Some(items))),
            Err(_) => Some((Err(BlobError::late(limit)), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    async fn a_request_without_an_answer_ends() {
        let answer = within::<()>(Duration::ZERO, pending()).await;
        assert!(matches!(answer, Err(BlobError::Unavailable(_))), "{answer:?}");
    }

    #[test]
    async fn a_stream_that_stalls_gives_what_it_had_and_ends_with_an_error() {
        let stalling = stream::iter([Ok(1), Ok(2)]).chain(stream::pending()).boxed();
        let items: Vec<_> = each_within(Duration::ZERO, stalling).collect().await;
        assert!(matches!(items[..], [Ok(1), Ok(2), Err(BlobError::Unavailable(_))]), "{items:?}");
        let whole = stream::iter([Ok(1), Ok(2)]).boxed();
        assert_eq!(each_within(Duration::ZERO, whole).count().await, 2);
    }
}
