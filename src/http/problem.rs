//! Errors as problem+json (RFC 9457), each with a stable `code`.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::blob::BlobError;
use crate::http::json::json_line;
use crate::ingest::IngestError;
use store::StoreError;

/// Seconds after which a client should try again when the server is the cause.
const RETRY_AFTER_SECONDS: u32 = 5;

/// A reason why a request is not answered as asked. `Problem::kind` has the status and the code of each, and
/// `openapi/problems.rs` says which endpoints can answer with it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The client's bytes ended or broke off early.
    #[error("the body could not be read")]
    BodyUnreadable,
    #[error("{0}")]
    SignatureMissing(&'static str),
    #[error("the signature does not match the body and the secret that buzon has; set the same secret on both sides")]
    SignatureMismatch,
    #[error("send a token: Authorization: Bearer TOKEN")]
    TokenMissing,
    #[error("this token is not valid")]
    TokenInvalid,
    /// The token is refused even if it is valid, and even if the header has one too.
    #[error(
        "a token in a URL is kept in logs and histories; send it as the header Authorization: Bearer TOKEN, \
         or for an image or a stream a ticket from POST /api/v1/tickets"
    )]
    TokenInQuery,
    /// The ticket is unknown or has expired, or its token is no longer valid.
    #[error("this ticket is not valid, or no longer; request another with POST /api/v1/tickets")]
    TicketInvalid,
    #[error("tickets are accepted for files and for the stream only; send the header Authorization: Bearer TOKEN")]
    TicketNotHere,
    /// The session is unknown, has expired or was ended, or its token is no longer valid.
    #[error("this session is not valid, or no longer; log in again")]
    SessionInvalid,
    /// The login code is wrong, has expired, or has opened a session before.
    #[error("this link was used before or is older than five minutes; make another one with buzon login")]
    LoginCodeInvalid,
    /// A page that is not buzon's own made a browser send this request.
    #[error("{0}")]
    ForeignPage(&'static str),
    #[error(
        "over plain HTTP a login works on the machine of buzon alone, where nobody reads along; open the page at its https \
         address, which docs/dashboard.md explains"
    )]
    LoginNeedsTls,
    #[error("{0}")]
    LoginUnreadable(&'static str),
    #[error("{name}: {detail}")]
    InvalidParameter { name: String, detail: String },
    /// The position was given before a restore, or by another database.
    #[error(
        "this position is of another history: the database was restored after it was given, or it is of another database; \
         begin again with after=beginning, and compare what you have with what buzon has"
    )]
    PositionOfAnotherHistory,
    #[error("there is no parameter {name}; this takes {known}")]
    UnknownParameter { name: String, known: String },
    /// The page's origin is not configured, or it wants to send something that the API does not accept.
    #[error("{0}")]
    CorsRefused(String),
    #[error("events are not accepted from this address: webhook_allow_from does not name it")]
    ClientNotAllowed,
    /// Holds the seconds until the next request may be answered with something else.
    #[error(
        "too many requests from this address were refused; try again in {0} s. Correctly signed requests are always \
         accepted"
    )]
    TooManyRefused(u64),
    #[error("{0}")]
    NotFound(String),
    /// The message has a file, but the file is not in the media store.
    #[error("{0}")]
    MediaNotStored(String),
    /// Somebody removed the file from the media store.
    #[error("the file was stored, but is no longer in the media store")]
    MediaMissing,
    #[error("{detail}")]
    MethodNotAllowed { allowed: &'static str, detail: &'static str },
    #[error("the body did not arrive within {0} seconds")]
    BodyTimeout(u64),
    #[error("a body has at most {0} bytes, which the setting max_body says")]
    BodyTooLarge(usize),
    #[error("send the body as it is, without Content-Encoding: the signature covers the bytes on the wire")]
    ContentEncoding,
    /// Holds the size of the file.
    #[error("the file has {0} bytes, and the requested range has none of them")]
    RangeNotSatisfiable(u64),
    /// A bug in buzon, or a row of the database that cannot be read.
    #[error("buzon failed to answer because of a bug; its log has the details under the id of this request")]
    Internal,
    #[error("the database does not answer; try again later")]
    StoreUnavailable,
    #[error("the media store does not answer; try again later")]
    MediaUnavailable,
    #[error("too many large bodies are being read; send the event again")]
    TooManyBodies,
    /// Holds the maximum number of streams.
    #[error(
        "there is no room for another stream: there are at most {0}, and one token has a quarter of them; \
         try again later"
    )]
    TooManyStreams(u32),
    #[error("too many answers are under way, of this token or in total; read those to their end, or try again later")]
    TooManyAnswers,
    #[error("the answer would be too large; ask for less, for example with since and until")]
    AnswerTooLarge,
    #[error("this token may not export; the owner makes one that may with: buzon token create --export")]
    ExportNotAllowed,
    #[error("the export is not done, or it failed; ask for its state")]
    ExportNotReady,
    #[error("an export of this token is under way, or two of others; try again when one has ended")]
    TooManyExports,
    #[error("there is too little free space for an export")]
    ExportDiskLow,
    #[error("{0}; send the event again")]
    NotStored(#[from] IngestError),
    #[error("buzon is not ready: {0}")]
    NotReady(&'static str),
    #[error("the answer would have taken too long; ask for less, for example with since and until")]
    QueryTimeout,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooSlow => Self::QueryTimeout,
            StoreError::TooMuch => Self::AnswerTooLarge,
            error @ StoreError::Unreadable { .. } => {
                error!(%error, "a request cannot be answered");
                Self::Internal
            }
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

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    #[schema(example = "about:blank")]
    r#type: &'static str,
    #[schema(example = "Bad Request")]
    title: &'static str,
    #[schema(example = 400)]
    status: u16,
    /// The code for programs. It stays the same from version to version.
    #[schema(example = "invalid_parameter")]
    code: &'static str,
    /// The explanation for people. It can change from version to version.
    #[schema(example = "limit: expected a number from 1 to 200")]
    detail: String,
}

impl Problem {
    /// Returns the status, and the code that stays the same from version to version.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BodyUnreadable => (StatusCode::BAD_REQUEST, "body_unreadable"),
            Self::TokenInQuery => (StatusCode::BAD_REQUEST, "token_in_query"),
            Self::TicketNotHere => (StatusCode::BAD_REQUEST, "ticket_not_here"),
            Self::InvalidParameter { .. } => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter"),
            Self::PositionOfAnotherHistory => (StatusCode::BAD_REQUEST, "position_of_another_history"),
            Self::CorsRefused(_) => (StatusCode::BAD_REQUEST, "cors_refused"),
            Self::AnswerTooLarge => (StatusCode::BAD_REQUEST, "answer_too_large"),
            Self::SignatureMissing(_) => (StatusCode::UNAUTHORIZED, "signature_missing"),
            Self::SignatureMismatch => (StatusCode::UNAUTHORIZED, "signature_mismatch"),
            Self::TokenMissing => (StatusCode::UNAUTHORIZED, "token_missing"),
            Self::TokenInvalid => (StatusCode::UNAUTHORIZED, "token_invalid"),
            Self::TicketInvalid => (StatusCode::UNAUTHORIZED, "ticket_invalid"),
            Self::SessionInvalid => (StatusCode::UNAUTHORIZED, "session_invalid"),
            Self::LoginCodeInvalid => (StatusCode::UNAUTHORIZED, "login_code_invalid"),
            Self::LoginUnreadable(_) => (StatusCode::BAD_REQUEST, "login_unreadable"),
            Self::ForeignPage(_) => (StatusCode::FORBIDDEN, "foreign_page"),
            Self::LoginNeedsTls => (StatusCode::FORBIDDEN, "login_needs_tls"),
            Self::ClientNotAllowed => (StatusCode::FORBIDDEN, "client_not_allowed"),
            Self::ExportNotAllowed => (StatusCode::FORBIDDEN, "export_not_allowed"),
            Self::ExportNotReady => (StatusCode::CONFLICT, "export_not_ready"),
            Self::TooManyExports => (StatusCode::TOO_MANY_REQUESTS, "too_many_exports"),
            Self::ExportDiskLow => (StatusCode::SERVICE_UNAVAILABLE, "export_disk_low"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MediaNotStored(_) => (StatusCode::NOT_FOUND, "media_not_stored"),
            Self::MediaMissing => (StatusCode::NOT_FOUND, "media_missing"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTimeout(_) => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::ContentEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Self::RangeNotSatisfiable(_) => (StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable"),
            Self::TooManyRefused(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_refused"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            Self::MediaUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "media_unavailable"),
            Self::TooManyBodies => (StatusCode::SERVICE_UNAVAILABLE, "too_many_bodies"),
            Self::TooManyStreams(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_many_streams"),
            Self::TooManyAnswers => (StatusCode::SERVICE_UNAVAILABLE, "too_many_answers"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::NotStored(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                match error {
                    IngestError::QueueFull => "queue_full",
                    IngestError::DiskLow => "disk_low",
                    IngestError::StoreUnavailable => "store_unavailable",
                    IngestError::CommitTimeout => "commit_timeout",
                    IngestError::ShuttingDown => "shutting_down",
                },
            ),
            Self::QueryTimeout => (StatusCode::GATEWAY_TIMEOUT, "query_timeout"),
        }
    }

    /// Returns the code that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    pub fn body(&self) -> ProblemBody {
        let (status, code) = self.kind();
        ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code,
            detail: self.to_string(),
        }
    }

    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::TokenMissing
            | Self::TokenInvalid
            | Self::TicketInvalid
            | Self::SessionInvalid
            | Self::LoginCodeInvalid => response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            Self::MethodNotAllowed { allowed, .. } => response.insert_header((ALLOW, *allowed)),
            Self::TooManyRefused(seconds) => response.insert_header((RETRY_AFTER, *seconds)),
            Self::TooManyExports => response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS)),
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
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        self.add_headers(&mut response);
        response.insert_header((CONTENT_TYPE, "application/problem+json")).body(json_line(&self.body()))
    }
}
