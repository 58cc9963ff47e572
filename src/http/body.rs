//! The raw body from the wire: what the signature covers.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::Payload;
use futures_util::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use crate::ingest::IngestError;

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// Bytes of larger bodies that are being read at the same time.
const READING_BYTES: usize = 64 * 1024 * 1024;
/// A body up to here is read without counting. Ordinary events are smaller, so that strangers who send large bodies
/// slowly can keep out nothing but other large ones.
const SMALL_BODY_BYTES: usize = 16 * 1024;

/// Bounds the memory of bodies that nobody has verified yet.
pub struct Reader {
    bytes: Semaphore,
}

impl Default for Reader {
    fn default() -> Self {
        Self { bytes: Semaphore::new(READING_BYTES) }
    }
}

impl Reader {
    /// Reads the body.
    ///
    /// # Errors
    /// 413 as soon as it is too large, by its own word or by count; 415 if it is encoded; 408 if it takes too long;
    /// 503 if too many bytes of large bodies are being read.
    pub async fn read(&self, request: &HttpRequest, mut payload: Payload) -> Result<Vec<u8>, Problem> {
        let length = announced_length(request)?;
        let deadline = Instant::now() + BODY_WAIT;
        let mut body = Vec::with_capacity(length);
        let mut share = None;
        loop {
            let next = timeout_at(deadline, payload.next()).await;
            let Some(chunk) = next.map_err(|_| Problem::BodyTimeout(BODY_WAIT.as_secs()))? else { break };
            let chunk = chunk.map_err(|_| Problem::BodyUnreadable)?;
            let length = body.len() + chunk.len();
            if length > MAX_BODY_BYTES {
                return Err(Problem::BodyTooLarge(MAX_BODY_BYTES));
            }
            if length > SMALL_BODY_BYTES {
                self.grow(&mut share, length)?;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Lets `share` stand for `length` bytes.
    fn grow<'r>(&'r self, share: &mut Option<SemaphorePermit<'r>>, length: usize) -> Result<(), Problem> {
        let held = share.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = u32::try_from(length - held).map_err(|_| Problem::BodyTooLarge(MAX_BODY_BYTES))?;
        let more = self.bytes.try_acquire_many(more).map_err(|_| Problem::NotStored(IngestError::QueueFull))?;
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        Ok(())
    }
}

/// The length that the head announces, or 0.
fn announced_length(request: &HttpRequest) -> Result<usize, Problem> {
    let encoding = request.headers().get_all(CONTENT_ENCODING);
    if encoding.into_iter().any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::ContentEncoding);
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length.unwrap_or(0) {
        length if length > MAX_BODY_BYTES => Err(Problem::BodyTooLarge(MAX_BODY_BYTES)),
        length => Ok(length),
    }
}
