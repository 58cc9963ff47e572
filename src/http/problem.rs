//! Errors as problem+json (RFC 9457), each with a stable `code`.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

use crate::blob::BlobError;
use crate::http::api::answer::json_line;
use crate::ingest::IngestError;
use store::StoreError;

/// Seconds after which a client may come again when the trouble is ours.
const RETRY_AFTER_SECONDS: u32 = 5;

/// What is answered instead of what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// 400: the client's bytes ended or broke off early.
    #[error("the body could not be read")]
    BodyUnreadable,
    /// 401
    #[error("{0}")]
    SignatureMissing(&'static str),
    /// 401
    #[error("the signature does not match the body and the secret that buzon has; set the same secret on both sides")]
    SignatureMismatch,
    /// 401
    #[error("send a token: Authorization: Bearer TOKEN")]
    TokenMissing,
    /// 401
    #[error("this token is not valid")]
    TokenInvalid,
    /// 400: whether or not the token is good, and whether or not it is in the header too.
    #[error(
        "a token in a URL is kept in logs and histories; send it as the header Authorization: Bearer TOKEN, \
         or for an image or a stream a ticket from POST /api/v1/tickets"
    )]
    TokenInQuery,
    /// 401: unknown, expired, or of a token that has ended.
    #[error("this ticket is not valid, or no longer; have another made with POST /api/v1/tickets")]
    TicketInvalid,
    /// 400
    #[error("a ticket is taken for files and for the stream alone; send the header Authorization: Bearer TOKEN")]
    TicketNotHere,
    /// 400
    #[error("{name}: {detail}")]
    InvalidParameter { name: String, detail: String },
    /// 400
    #[error("there is no parameter {name}; this takes {known}")]
    UnknownParameter { name: String, known: String },
    /// 400: a page of an origin that is not configured, or one that would send what the API does not take.
    #[error("{0}")]
    CorsRefused(String),
    /// 403
    #[error("events are not taken from this address: webhook_allow_from does not name it")]
    ClientNotAllowed,
    /// 429, and the seconds until one more may be answered otherwise.
    #[error(
        "too many requests from this address were refused; come again in {0} s. What is rightly signed is always taken"
    )]
    TooManyRefused(u64),
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 404: the message has a file, and it is not in the store.
    #[error("{0}")]
    MediaNotStored(String),
    /// 404: somebody removed it.
    #[error("the file was stored, and is no longer in the media store")]
    MediaMissing,
    /// 405, with the methods that are allowed.
    #[error("{detail}")]
    MethodNotAllowed { allowed: &'static str, detail: &'static str },
    /// 408
    #[error("the body did not arrive within {0} seconds")]
    BodyTimeout(u64),
    /// 413
    #[error("a body has at most {0} bytes")]
    BodyTooLarge(usize),
    /// 415
    #[error("send the body as it is, without Content-Encoding: the signature covers the bytes on the wire")]
    ContentEncoding,
    /// 416, of a file with this many bytes.
    #[error("the file has {0} bytes, and none of them are asked for")]
    RangeNotSatisfiable(u64),
    /// 500: a mistake of ours.
    #[error("buzon has made a mistake; its log says where, under the id of this request")]
    Internal,
    /// 503
    #[error("the database does not answer; come again")]
    StoreUnavailable,
    /// 503
    #[error("the media store does not answer; come again")]
    MediaUnavailable,
    /// 503
    #[error("too many large bodies are being read; send the event again")]
    TooManyBodies,
    /// 503, where there can be this many.
    #[error(
        "there is no room for another stream: there are {0} at most, and one token has a quarter of them; come again"
    )]
    TooManyStreams(u32),
    /// 503
    #[error("too many answers are under way, of this token or of all; read those, or come again")]
    TooManyAnswers,
    /// 400
    #[error("the answer would be too large; ask for less, for example with since and until")]
    AnswerTooLarge,
    /// 503
    #[error("{0}; send the event again")]
    NotStored(#[from] IngestError),
    /// 503
    #[error("buzon is not ready: {0}")]
    NotReady(&'static str),
    /// 504
    #[error("the answer would have taken too long; ask for less, for example with since and until")]
    QueryTimeout,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooSlow => Self::QueryTimeout,
            StoreError::TooMuch => Self::AnswerTooLarge,
            _ => Self::StoreUnavailable,
        }
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::MediaMissing,
            _ => Self::MediaUnavailable,
        }
    }
}

#[derive(Serialize)]
struct ProblemBody<'p> {
    r#type: &'static str,
    title: &'p str,
    status: u16,
    code: &'static str,
    detail: String,
}

impl Problem {
    /// The word that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BodyUnreadable => "body_unreadable",
            Self::SignatureMissing(_) => "signature_missing",
            Self::SignatureMismatch => "signature_mismatch",
            Self::TokenMissing => "token_missing",
            Self::TokenInvalid => "token_invalid",
            Self::TokenInQuery => "token_in_query",
            Self::TicketInvalid => "ticket_invalid",
            Self::TicketNotHere => "ticket_not_here",
            Self::InvalidParameter { .. } => "invalid_parameter",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::CorsRefused(_) => "cors_refused",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::TooManyRefused(_) => "too_many_refused",
            Self::NotFound(_) => "not_found",
            Self::MediaNotStored(_) => "media_not_stored",
            Self::MediaMissing => "media_missing",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::BodyTimeout(_) => "body_timeout",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::ContentEncoding => "content_encoding",
            Self::RangeNotSatisfiable(_) => "range_not_satisfiable",
            Self::Internal => "internal_error",
            Self::MediaUnavailable => "media_unavailable",
            Self::TooManyBodies => "too_many_bodies",
            Self::TooManyStreams(_) => "too_many_streams",
            Self::TooManyAnswers => "too_many_answers",
            Self::AnswerTooLarge => "answer_too_large",
            Self::NotStored(IngestError::QueueFull) => "queue_full",
            Self::NotStored(IngestError::DiskLow) => "disk_low",
            Self::NotStored(IngestError::StoreUnavailable) | Self::StoreUnavailable => "store_unavailable",
            Self::NotStored(IngestError::CommitTimeout) => "commit_timeout",
            Self::NotStored(IngestError::ShuttingDown) => "shutting_down",
            Self::NotReady(_) => "not_ready",
            Self::QueryTimeout => "query_timeout",
        }
    }

    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::TokenMissing | Self::TokenInvalid | Self::TicketInvalid => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"))
            }
            Self::MethodNotAllowed { allowed, .. } => response.insert_header((ALLOW, *allowed)),
            Self::TooManyRefused(seconds) => response.insert_header((RETRY_AFTER, *seconds)),
            Self::RangeNotSatisfiable(size) => response.insert_header((CONTENT_RANGE, format!("bytes */{size}"))),
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS))
            }
            _ => response,
        };
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BodyUnreadable
            | Self::TokenInQuery
            | Self::TicketNotHere
            | Self::CorsRefused(_)
            | Self::InvalidParameter { .. }
            | Self::UnknownParameter { .. }
            | Self::AnswerTooLarge => StatusCode::BAD_REQUEST,
            Self::SignatureMissing(_)
            | Self::SignatureMismatch
            | Self::TokenMissing
            | Self::TokenInvalid
            | Self::TicketInvalid => StatusCode::UNAUTHORIZED,
            Self::ClientNotAllowed => StatusCode::FORBIDDEN,
            Self::TooManyRefused(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound(_) | Self::MediaNotStored(_) | Self::MediaMissing => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RangeNotSatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::StoreUnavailable
            | Self::MediaUnavailable
            | Self::TooManyBodies
            | Self::TooManyStreams(_)
            | Self::TooManyAnswers
            | Self::NotStored(_)
            | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::QueryTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let body = ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: self.code(),
            detail: self.to_string(),
        };
        let mut response = HttpResponse::build(status);
        self.add_headers(&mut response);
        response.insert_header((CONTENT_TYPE, "application/problem+json")).body(json_line(&body))
    }
}
