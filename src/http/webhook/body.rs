//! The raw body from the wire, which the signature covers.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use crate::http::problem::Problem;

/// The maximum time in which a body arrives, if it can have 4 MiB.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// The time that is added for each further MiB that a body can have.
const WAIT_FOR_A_MIB: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;
/// The maximum number of bytes of large bodies that are being read at the same time, unless two of the largest ones are
/// more.
const READING_BYTES: usize = 64 * MIB;
/// The size up to which the bytes of a body are not counted. Ordinary events are smaller, so strangers that send large
/// bodies slowly can keep out only other large ones.
const SMALL_BODY_BYTES: usize = 16 * 1024;

/// A reader of bodies that limits the memory and the time of those that are not verified yet.
pub struct BodyReader {
    max_body: usize,
    bytes: Semaphore,
    wait: Duration,
}

impl BodyReader {
    /// Takes bodies of up to `max_body` bytes.
    pub fn new(max_body: usize) -> Self {
        let further = u32::try_from((max_body / MIB).saturating_sub(4)).unwrap_or(u32::MAX);
        let bytes = READING_BYTES.max(2 * max_body);
        Self { max_body, bytes: Semaphore::new(bytes), wait: BODY_WAIT + WAIT_FOR_A_MIB * further }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// 413 as soon as the body is too large, as announced or as counted; 415 if it is encoded; 408 if it takes too long;
    /// 503 if too many bytes of large bodies are being read.
    pub async fn read<E>(
        &self,
        request: &HttpRequest,
        mut payload: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Vec<u8>, Problem> {
        refuse_encoding(request)?;
        let announced = announced_length(request).unwrap_or_default();
        if announced > self.max_body {
            return Err(Problem::BodyTooLarge(self.max_body));
        }
        let deadline = Instant::now() + self.wait;
        let mut body = Vec::with_capacity(announced.min(SMALL_BODY_BYTES));
        let mut permit = None;
        loop {
            let next = timeout_at(deadline, payload.next()).await;
            let Some(chunk) = next.map_err(|_| Problem::BodyTimeout(self.wait.as_secs()))? else { break };
            let chunk = chunk.map_err(|_| Problem::BodyUnreadable)?;
            let length = body.len() + chunk.len();
            if length > self.max_body {
                return Err(Problem::BodyTooLarge(self.max_body));
            }
            if length > SMALL_BODY_BYTES {
                self.grow(&mut permit, length)?;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Extends `permit` to `length` bytes.
    fn grow<'r>(&'r self, permit: &mut Option<SemaphorePermit<'r>>, length: usize) -> Result<(), Problem> {
        let held = permit.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = u32::try_from(length - held).map_err(|_| Problem::BodyTooLarge(self.max_body))?;
        let more = self.bytes.try_acquire_many(more).map_err(|_| Problem::TooManyBodies)?;
        match permit {
            Some(permit) => permit.merge(more),
            None => *permit = Some(more),
        }
        Ok(())
    }
}

/// Drops what has arrived of an unwanted body. If that is all of it, as with an ordinary event, the connection can be used
/// again: refused clients that must reconnect would add to the load.
pub async fn discard_arrived<E>(payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin)) {
    // Bytes that came together with the head are in the payload once the handler has waited once.
    yield_now().await;
    while let Some(Some(Ok(_))) = payload.next().now_or_never() {}
}

/// Refuses a compressed body: the signature covers the bytes on the wire, and the body could be a decompression bomb.
fn refuse_encoding(request: &HttpRequest) -> Result<(), Problem> {
    let mut encodings = request.headers().get_all(CONTENT_ENCODING);
    let plain = encodings.all(|encoding| encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(Problem::ContentEncoding) }
}

/// Returns the length that the head announces.
pub fn announced_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;
    use futures_util::future::poll_immediate;
    use futures_util::stream::{self, pending};

    use super::*;

    /// A body of which this many bytes arrive; the rest never does.
    fn stalled(bytes: usize) -> impl Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter([Ok(Bytes::from(vec![b'x'; bytes]))]).chain(pending())
    }

    fn whole(bytes: usize) -> impl Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter([Ok(Bytes::from(vec![b'x'; bytes]))])
    }

    #[test]
    async fn strangers_with_large_stalled_bodies_keep_out_large_ones_and_no_ordinary_event() {
        const LARGE: usize = 3 * MIB;
        let reader = BodyReader::new(4 * MIB);
        let request = TestRequest::default().to_http_request();
        let mut strangers = Vec::new();
        for _ in 0..READING_BYTES / LARGE {
            let mut stranger = Box::pin(reader.read(&request, stalled(LARGE)));
            assert!(poll_immediate(&mut stranger).await.is_none(), "it waits for the rest");
            strangers.push(stranger);
        }
        let refused = reader.read(&request, whole(LARGE)).await.expect_err("there is no room");
        assert_eq!((refused.code(), refused.status_code().as_u16()), ("too_many_bodies", 503));
        let ordinary = reader.read(&request, whole(SMALL_BODY_BYTES)).await.expect("it is read");
        assert_eq!(ordinary.len(), SMALL_BODY_BYTES);
        strangers.clear();
        assert_eq!(reader.read(&request, whole(LARGE)).await.expect("there is room again").len(), LARGE);
    }

    #[test]
    async fn a_body_that_stalls_is_given_up() {
        let reader = BodyReader { wait: Duration::ZERO, ..BodyReader::new(4 * MIB) };
        let request = TestRequest::default().to_http_request();
        let refused = reader.read(&request, stalled(1)).await.expect_err("it never ends");
        assert_eq!((refused.code(), refused.status_code().as_u16()), ("body_timeout", 408));
    }

    #[test]
    async fn two_bodies_of_the_largest_size_can_be_read_at_once() {
        const LARGEST: usize = 40 * MIB;
        let reader = BodyReader::new(LARGEST);
        let request = TestRequest::default().to_http_request();
        let mut other = Box::pin(reader.read(&request, stalled(LARGEST)));
        assert!(poll_immediate(&mut other).await.is_none(), "it waits for the end");
        assert_eq!(reader.read(&request, whole(LARGEST)).await.expect("there is room").len(), LARGEST);
        let refused = reader.read(&request, whole(LARGEST + 1)).await.expect_err("it is too large");
        assert_eq!((refused.code(), refused.to_string().contains("max_body")), ("body_too_large", true));
        assert_eq!(reader.wait, Duration::from_secs(46));
    }
}
