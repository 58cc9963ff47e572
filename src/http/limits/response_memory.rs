//! Limits the bytes of all responses of the API at one time, and the share of each token. A response holds its permit from
//! before its rows are read until its bytes are sent. So neither many requests nor clients that do not read can fill the
//! memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::fair_semaphore::{FairPermit, FairSemaphore};
use super::response_body::{CHUNK, ResponseBody};
use crate::http::conditional::is_known;
use crate::http::json::encoded_len;
use crate::http::problem::Problem;
use domain::access::token::TokenId;
use domain::page::PAGE_BYTES;

/// The overhead of a response that is sent in more than one chunk: a compressor and the connection's buffers.
const OVERHEAD: usize = 256 * 1024;
/// The bytes that are reserved for a response while its rows are read: the maximum cost of a page.
const RESERVED: usize = PAGE_BYTES + OVERHEAD;

/// The limits on the memory that responses use, and on the time for which they use it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLimits {
    /// The maximum number of bytes of all responses together.
    pub bytes: u32,
    /// The maximum time that a request waits for memory.
    pub patience: Duration,
    /// The maximum time in which a client reads a response.
    pub time: Duration,
}

impl Default for ResponseLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, patience: Duration::from_secs(5), time: Duration::from_secs(60) }
    }
}

impl ResponseLimits {
    /// Raises the limit so that a quarter of it has room for a message or an event of `max_body` bytes, which JSON makes
    /// a little longer. Without that, a list could not be read past such a row.
    #[must_use]
    pub fn for_bodies(self, max_body: usize) -> Self {
        let needed = u32::try_from(6 * max_body).unwrap_or(u32::MAX);
        Self { bytes: self.bytes.max(needed), ..self }
    }
}

/// The memory of all responses.
pub struct ResponseMemory {
    limits: ResponseLimits,
    bytes: FairSemaphore,
}

/// A response whose memory is reserved before its rows are read.
pub struct ReservedResponse {
    memory: Arc<ResponseMemory>,
    token: Option<TokenId>,
    permit: FairPermit,
}

impl ResponseMemory {
    pub fn new(limits: ResponseLimits) -> Self {
        Self { limits, bytes: FairSemaphore::new(limits.bytes) }
    }

    /// Reserves the bytes of a page, as soon as they are free.
    ///
    /// # Errors
    /// 503 if they are not free for a while.
    pub async fn reserve(self: &Arc<Self>, token: Option<TokenId>) -> Result<ReservedResponse, Problem> {
        let bytes = self.bytes.quarter().min(RESERVED as u32);
        let permit = timeout(self.limits.patience, self.bytes.acquire(token, bytes)).await;
        let permit = permit.ok().flatten().ok_or(Problem::TooManyAnswers)?;
        Ok(ReservedResponse { memory: self.clone(), token, permit })
    }
}

impl ReservedResponse {
    /// Answers with an object.
    ///
    /// # Errors
    /// 400 if it is larger than any response; 503 if it is larger than a page, and the memory for the rest is not free.
    pub fn json(mut self, value: &impl Serialize) -> Result<HttpResponse, Problem> {
        let bytes = self.encode(value)?;
        Ok(self.send(None, bytes))
    }

    /// Answers with an object and its `ETag`, or with 304 if the request names that.
    ///
    /// # Errors
    /// The errors of [`ReservedResponse::json`].
    pub fn item(mut self, request: &HttpRequest, value: &impl Serialize) -> Result<HttpResponse, Problem> {
        let bytes = self.encode(value)?;
        // The tag is weak because the body may be sent compressed.
        let etag = ETag(EntityTag::new_weak(hex::encode(&Sha256::digest(&bytes)[..16])));
        if is_known(request, &etag) {
            return Ok(HttpResponse::NotModified().insert_header(etag).finish());
        }
        Ok(self.send(Some(etag), bytes))
    }

    /// Encodes `value` as JSON with a line end.
    fn encode(&mut self, value: &impl Serialize) -> Result<Vec<u8>, Problem> {
        let len = encoded_len(value) + 1;
        self.resize(if len > CHUNK { len + OVERHEAD } else { len })?;
        let mut bytes = Vec::with_capacity(len);
        serde_json::to_writer(&mut bytes, value).expect("responses are JSON");
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Changes the number of reserved bytes.
    fn resize(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes > self.memory.bytes.quarter() as usize {
            return Err(Problem::AnswerTooLarge);
        }
        match bytes.checked_sub(self.permit.count()) {
            Some(more) => {
                let more = u32::try_from(more).ok().and_then(|more| self.memory.bytes.try_acquire(self.token, more));
                self.permit.merge(more.ok_or(Problem::TooManyAnswers)?);
            }
            None => self.permit.keep(bytes),
        }
        Ok(())
    }

    fn send(self, etag: Option<ETag>, bytes: Vec<u8>) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(etag) = etag {
            response.insert_header(etag);
        }
        let body = ResponseBody::new(bytes, self.permit, self.memory.limits.time);
        response.content_type("application/json").body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes: u32) -> Arc<ResponseMemory> {
        Arc::new(ResponseMemory::new(ResponseLimits { bytes, patience: Duration::ZERO, ..ResponseLimits::default() }))
    }

    #[test]
    async fn a_small_response_gives_back_what_it_does_not_need() {
        let memory = memory(4 * PAGE_BYTES as u32);
        let first = memory.reserve(None).await.expect("there is room").json(&"small").expect("it fits");
        let large = memory.reserve(None).await.err().expect("the first has its eight bytes");
        assert_eq!(large.code(), "too_many_answers");
        drop(first);
        assert!(memory.reserve(None).await.is_ok());
    }

    #[test]
    async fn a_response_larger_than_a_page_takes_what_is_free_and_no_more_than_a_quarter() {
        let memory = memory(16 * PAGE_BYTES as u32);
        let reserve = async || memory.reserve(Some(TokenId(1))).await.expect("a quarter is four pages");
        let text = "x".repeat(2 * PAGE_BYTES);
        let (one, other, third) = (reserve().await, reserve().await, reserve().await);
        assert_eq!(one.json(&text).expect_err("the others have the rest").code(), "too_many_answers");
        drop(third);
        let held = reserve().await.json(&text).expect("two pages are free");
        drop((held, other));
        let huge = "x".repeat(4 * PAGE_BYTES);
        assert_eq!(reserve().await.json(&huge).expect_err("there never is room").code(), "answer_too_large");
    }
}
