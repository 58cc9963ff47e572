//! The raw body from the wire: what the signature covers.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::Payload;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use crate::ingest::{Ingest, Reservation};

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Reads the body, and reserves its bytes among those in flight as they arrive.
///
/// # Errors
/// 413 as soon as it is too large, by its own word or by count; 415 if it is encoded; 408 if it takes too long; 503 if
/// too many bytes are in flight.
pub async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    ingest: &Ingest,
) -> Result<(Vec<u8>, Reservation), Problem> {
    let encoding = request.headers().get_all(CONTENT_ENCODING);
    if encoding.into_iter().any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::ContentEncoding);
    }
    if announced_length(request).is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(Problem::BodyTooLarge(MAX_BODY_BYTES));
    }
    let deadline = Instant::now() + BODY_WAIT;
    let mut reservation = ingest.reserve()?;
    let mut body = Vec::new();
    loop {
        let next = timeout_at(deadline, payload.next()).await;
        let Some(chunk) = next.map_err(|_| Problem::BodyTimeout(BODY_WAIT.as_secs()))? else { break };
        let chunk = chunk.map_err(|_| Problem::BodyUnreadable)?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Problem::BodyTooLarge(MAX_BODY_BYTES));
        }
        reservation.grow(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok((body, reservation))
}

fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
