//! Limits the bytes of all answers at one time, and the share of each token. An answer holds its permit from before its
//! rows are read until its bytes are sent. So neither many requests nor clients that do not read can fill the memory.

use std::io;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{ETag, EntityTag};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::answer_body::{AnswerBody, CHUNK};
use super::fair_semaphore::{FairPermit, FairSemaphore};
use crate::http::api::answer::ListAnswer;
use crate::http::api::conditional::is_known;
use crate::http::auth::access::Caller;
use crate::http::problem::Problem;
use domain::access::token::TokenId;
use domain::page::{PAGE_BYTES, Page};

/// The overhead of an answer that is sent in more than one chunk: a compressor and the connection's buffers.
const OVERHEAD: usize = 256 * 1024;
/// The bytes reserved for an answer while its rows are read: the maximum cost of a page.
const RESERVED: usize = PAGE_BYTES + OVERHEAD;
/// The rows of a page. Its brackets and cursors have the rest.
const ROWS_BYTES: usize = PAGE_BYTES - 32 * 1024;

/// The limits on the memory that answers take, and on the time for which they take it.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// All answers together.
    pub bytes: u32,
    /// The maximum time that a request waits for memory.
    pub patience: Duration,
    /// The maximum time in which a client reads an answer.
    pub time: Duration,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, patience: Duration::from_secs(5), time: Duration::from_secs(60) }
    }
}

/// The memory of all answers.
pub struct Answers {
    limits: AnswerLimits,
    memory: FairSemaphore,
}

/// An answer that is being made. Handlers take it as an argument, and so have its memory before they ask the database.
pub struct Answer {
    answers: Data<Answers>,
    token: Option<TokenId>,
    permit: FairPermit,
}

impl Answers {
    pub fn new(limits: AnswerLimits) -> Self {
        Self { limits, memory: FairSemaphore::new(limits.bytes) }
    }

    /// The bytes of a page, as soon as they are free.
    async fn reserve(&self, token: Option<TokenId>) -> Result<FairPermit, Problem> {
        let bytes = self.memory.quarter().min(RESERVED as u32);
        let permit = timeout(self.limits.patience, self.memory.acquire(token, bytes)).await;
        permit.ok().flatten().ok_or(Problem::TooManyAnswers)
    }
}

impl FromRequest for Answer {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let answers = request.app_data::<Data<Answers>>().cloned();
        let reader = request.extensions().get::<Caller>().cloned();
        Box::pin(async move {
            let (answers, reader) = answers.zip(reader).ok_or(Problem::TokenMissing)?;
            let permit = answers.reserve(reader.token).await?;
            Ok(Self { answers, token: reader.token, permit })
        })
    }
}

impl Answer {
    /// Something that has no pages.
    ///
    /// # Errors
    /// 400 if it is larger than any answer; 503 if it is larger than a page, and the rest is not free.
    pub fn json(mut self, thing: &impl Serialize) -> Result<HttpResponse, Problem> {
        let bytes = self.encode(thing)?;
        Ok(self.send(None, bytes))
    }

    /// One thing, with an ETag: who has it already is told so.
    ///
    /// # Errors
    /// The same as those of [`Answer::json`].
    pub fn item(mut self, request: &HttpRequest, thing: &impl Serialize) -> Result<HttpResponse, Problem> {
        let bytes = self.encode(thing)?;
        // Weak, because it may be sent compressed.
        let etag = ETag(EntityTag::new_weak(hex::encode(&Sha256::digest(&bytes)[..16])));
        if is_known(request, &etag) {
            return Ok(HttpResponse::NotModified().insert_header(etag).finish());
        }
        Ok(self.send(Some(etag), bytes))
    }

    /// A page of a list, which ends at [`PAGE_BYTES`]. `list` names the list for its cursors.
    ///
    /// # Errors
    /// 503 if its only row is larger than that, and the rest is not free.
    pub fn list<T, K>(mut self, list: &str, page: Page<T, K>) -> Result<HttpResponse, Problem>
    where
        T: Serialize,
        K: Serialize + DeserializeOwned + Clone,
    {
        let sizes: Vec<usize> = page.rows.iter().map(|row| encoded_len(row) + 1).collect();
        let page = ListAnswer::new(list, page.within(ROWS_BYTES, &sizes));
        let bytes = self.encode(&page)?;
        Ok(self.send(None, bytes))
    }

    /// Encodes the thing as JSON with a line end.
    fn encode(&mut self, thing: &impl Serialize) -> Result<Vec<u8>, Problem> {
        let len = encoded_len(thing) + 1;
        self.resize(if len > CHUNK { len + OVERHEAD } else { len })?;
        let mut bytes = Vec::with_capacity(len);
        serde_json::to_writer(&mut bytes, thing).expect("what the API answers is JSON");
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Holds so many bytes, and no more.
    fn resize(&mut self, bytes: usize) -> Result<(), Problem> {
        let most = self.answers.memory.quarter() as usize;
        if bytes > most {
            return Err(Problem::AnswerTooLarge);
        }
        match bytes.checked_sub(self.permit.count()) {
            Some(more) => {
                let more = u32::try_from(more).ok().and_then(|more| self.answers.memory.try_acquire(self.token, more));
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
        let body = AnswerBody::new(bytes, self.permit, self.answers.limits.time);
        response.content_type("application/json").body(body)
    }
}

/// Returns the length as JSON.
pub(crate) fn encoded_len(thing: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, thing).expect("what the API answers is JSON");
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(bytes: u32) -> Data<Answers> {
        Data::new(Answers::new(AnswerLimits { bytes, patience: Duration::ZERO, ..AnswerLimits::default() }))
    }

    async fn answer(answers: &Data<Answers>, token: Option<TokenId>) -> Result<Answer, Problem> {
        let permit = answers.reserve(token).await?;
        Ok(Answer { answers: answers.clone(), token, permit })
    }

    #[tokio::test]
    async fn an_answer_that_is_small_gives_back_what_it_does_not_need() {
        let answers = answers(4 * PAGE_BYTES as u32);
        let first = answer(&answers, None).await.expect("there is room").json(&"small").expect("it fits");
        let large = answer(&answers, None).await.err().expect("the first has its eight bytes");
        assert_eq!(large.code(), "too_many_answers");
        drop(first);
        assert!(answer(&answers, None).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_a_page_takes_what_is_free_and_no_more_than_a_quarter() {
        let answers = answers(16 * PAGE_BYTES as u32);
        let reserve = async || answer(&answers, Some(TokenId(1))).await.expect("a quarter is four pages");
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
