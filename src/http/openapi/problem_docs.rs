//! Problems as the contract describes them.

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// An error (RFC 9457). `code` stays the same from version to version.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    #[schema(example = "about:blank")]
    pub r#type: String,
    #[schema(example = "Bad Request")]
    pub title: String,
    #[schema(example = 400)]
    pub status: u16,
    /// What a program decides by.
    #[schema(example = "invalid_parameter")]
    pub code: String,
    /// What a person reads.
    #[schema(example = "limit: expected a number from 1 to 200")]
    pub detail: String,
}

/// What a list answers when something is wrong.
#[derive(IntoResponses)]
pub enum ListProblems {
    /// `unknown_parameter`, `invalid_parameter`: the detail names it. `token_in_query`: a token does not belong in a URL.
    /// `answer_too_large`: statistics that would have more than 16 MiB; ask for less.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] ProblemBody),
    /// `token_missing`, `token_invalid`: send `Authorization: Bearer TOKEN`.
    #[response(
        status = 401, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "token_missing",
            "detail": "send a token: Authorization: Bearer TOKEN"})
    )]
    Unauthorized(#[to_schema] ProblemBody),
    /// `too_many_refused`: too many requests from this address had no valid token; come again after `Retry-After` seconds.
    #[response(
        status = 429, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Too Many Requests", "status": 429,
            "code": "too_many_refused", "detail": "too many requests from this address were refused; come again in 1 s. \
            What is rightly signed is always taken"})
    )]
    TooManyRefused(#[to_schema] ProblemBody),
    /// `store_unavailable`: the database does not answer. `too_many_answers`: too many are under way, of your token or of
    /// all; read those. Come again after `Retry-After` seconds.
    #[response(
        status = 503, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "code": "store_unavailable", "detail": "the database does not answer; come again"})
    )]
    Unavailable(#[to_schema] ProblemBody),
    /// `query_timeout`: it would have taken longer than five seconds; ask for less, for example with `since`.
    #[response(
        status = 504, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Gateway Timeout", "status": 504, "code": "query_timeout",
            "detail": "the answer would have taken too long; ask for less, for example with since and until"})
    )]
    Timeout(#[to_schema] ProblemBody),
}

/// What a single thing answers when it is not there, or something is wrong.
#[derive(IntoResponses)]
pub enum ItemProblems {
    /// You have it already: it is what your `If-None-Match` names.
    #[response(status = 304)]
    NotModified,
    /// `unknown_parameter`: this takes none. `token_in_query`: a token does not belong in a URL. `answer_too_large`: it
    /// would have more than 16 MiB.
    #[response(
        status = 400, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Bad Request", "status": 400, "code": "unknown_parameter",
            "detail": "there is no parameter limit; this takes none"})
    )]
    BadRequest(#[to_schema] ProblemBody),
    /// `token_missing`, `token_invalid`: send `Authorization: Bearer TOKEN`.
    #[response(
        status = 401, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "token_missing",
            "detail": "send a token: Authorization: Bearer TOKEN"})
    )]
    Unauthorized(#[to_schema] ProblemBody),
    /// `too_many_refused`: too many requests from this address had no valid token; come again after `Retry-After` seconds.
    #[response(
        status = 429, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Too Many Requests", "status": 429,
            "code": "too_many_refused", "detail": "too many requests from this address were refused; come again in 1 s. \
            What is rightly signed is always taken"})
    )]
    TooManyRefused(#[to_schema] ProblemBody),
    /// `not_found`: it is not there, or your token may not see it.
    #[response(
        status = 404, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Not Found", "status": 404, "code": "not_found",
            "detail": "there is no message with this id"})
    )]
    NotFound(#[to_schema] ProblemBody),
    /// `store_unavailable`: the database does not answer. `too_many_answers`: too many are under way, of your token or of
    /// all; read those. Come again after `Retry-After` seconds.
    #[response(
        status = 503, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "code": "store_unavailable", "detail": "the database does not answer; come again"})
    )]
    Unavailable(#[to_schema] ProblemBody),
    /// `query_timeout`: it would have taken longer than five seconds.
    #[response(
        status = 504, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Gateway Timeout", "status": 504, "code": "query_timeout",
            "detail": "the answer would have taken too long; ask for less, for example with since and until"})
    )]
    Timeout(#[to_schema] ProblemBody),
}

/// What something that is to be made answers when something is wrong.
#[derive(IntoResponses)]
pub enum ActionProblems {
    /// `token_in_query`: a token does not belong in a URL.
    #[response(
        status = 400, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Bad Request", "status": 400, "code": "token_in_query",
            "detail": "a token in a URL is kept in logs and histories; send it as the header Authorization: Bearer TOKEN"})
    )]
    BadRequest(#[to_schema] ProblemBody),
    /// `token_missing`, `token_invalid`: send `Authorization: Bearer TOKEN`.
    #[response(
        status = 401, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "token_invalid",
            "detail": "this token is not valid"})
    )]
    Unauthorized(#[to_schema] ProblemBody),
    /// `too_many_refused`: too many requests from this address had no valid token; come again after `Retry-After` seconds.
    #[response(
        status = 429, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Too Many Requests", "status": 429,
            "code": "too_many_refused", "detail": "too many requests from this address were refused; come again in 1 s. \
            What is rightly signed is always taken"})
    )]
    TooManyRefused(#[to_schema] ProblemBody),
    /// `store_unavailable`: the database does not answer; come again after `Retry-After` seconds.
    #[response(
        status = 503, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "code": "store_unavailable", "detail": "the database does not answer; come again"})
    )]
    Unavailable(#[to_schema] ProblemBody),
}

/// What the URL of a file answers.
#[derive(IntoResponses)]
pub enum FileAnswers {
    /// The file
    #[response(status = 200, content_type = "*/*")]
    Whole(Vec<u8>),
    /// The part of it that was asked for
    #[response(status = 206, content_type = "*/*")]
    Part(Vec<u8>),
    /// You have it already: it is what your `If-None-Match` names.
    #[response(status = 304)]
    NotModified,
    /// Where the bucket has it, if `media_redirect` is on
    #[response(status = 307)]
    InBucket,
    /// `token_in_query`: a token does not belong in a URL; use a ticket.
    #[response(
        status = 400, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Bad Request", "status": 400, "code": "token_in_query",
            "detail": "a token in a URL is kept in logs and histories; send it as the header Authorization: Bearer TOKEN"})
    )]
    BadRequest(#[to_schema] ProblemBody),
    /// `token_missing`, `token_invalid`, `ticket_invalid`
    #[response(
        status = 401, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "ticket_invalid",
            "detail": "this ticket is not valid, or no longer; have another made with POST /api/v1/tickets"})
    )]
    Unauthorized(#[to_schema] ProblemBody),
    /// `too_many_refused`: too many requests from this address had no valid token; come again after `Retry-After` seconds.
    #[response(
        status = 429, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Too Many Requests", "status": 429,
            "code": "too_many_refused", "detail": "too many requests from this address were refused; come again in 1 s. \
            What is rightly signed is always taken"})
    )]
    TooManyRefused(#[to_schema] ProblemBody),
    /// `not_found`: it is not there, or your token may not see it. `media_not_stored`: not saved, and why.
    /// `media_missing`: saved, and since then removed by somebody.
    #[response(
        status = 404, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Not Found", "status": 404, "code": "media_not_stored",
            "detail": "the file is expired: the gateway no longer has it"})
    )]
    NotFound(#[to_schema] ProblemBody),
    /// `range_not_satisfiable`: the part begins after the end.
    #[response(
        status = 416, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Range Not Satisfiable", "status": 416,
            "code": "range_not_satisfiable", "detail": "the file has 5 bytes, and none of them are asked for"})
    )]
    Range(#[to_schema] ProblemBody),
    /// `store_unavailable`, `media_unavailable`: the database or the bucket does not answer; come again after
    /// `Retry-After` seconds.
    #[response(
        status = 503, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "code": "media_unavailable", "detail": "the media store does not answer; come again"})
    )]
    Unavailable(#[to_schema] ProblemBody),
}

/// What the stream answers when it does not begin.
#[derive(IntoResponses)]
pub enum StreamProblems {
    /// `unknown_parameter`, `invalid_parameter`: the detail names it. `token_in_query`: a token does not belong in a URL.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] ProblemBody),
    /// `token_missing`, `token_invalid`: send `Authorization: Bearer TOKEN`. `ticket_invalid`: have another one made.
    #[response(
        status = 401, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "token_missing",
            "detail": "send a token: Authorization: Bearer TOKEN"})
    )]
    Unauthorized(#[to_schema] ProblemBody),
    /// `too_many_refused`: too many requests from this address had no valid token; come again after `Retry-After` seconds.
    #[response(
        status = 429, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Too Many Requests", "status": 429,
            "code": "too_many_refused", "detail": "too many requests from this address were refused; come again in 1 s. \
            What is rightly signed is always taken"})
    )]
    TooManyRefused(#[to_schema] ProblemBody),
    /// `too_many_streams`, `store_unavailable`: come again after `Retry-After` seconds.
    #[response(
        status = 503, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "code": "too_many_streams", "detail": "there is no room for another stream: \
            there are 256 at most, and one token has a quarter of them; come again"})
    )]
    Unavailable(#[to_schema] ProblemBody),
}
