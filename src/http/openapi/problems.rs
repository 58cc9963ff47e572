//! The problems that endpoints answer with, as the OpenAPI document shows them.

use std::collections::BTreeMap;

use actix_web::ResponseError;
use actix_web::http::header::RETRY_AFTER;
use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::http::problem::{Problem, ProblemBody};
use crate::http::stream::streams::StreamPace;

type Responses = BTreeMap<String, RefOr<Response>>;

/// The problems of a list.
pub struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> Responses {
        responses(access().into_iter().chain([unknown_parameter(), invalid_parameter()]).chain(queries()))
    }
}

/// The problems of a list that has a feed too.
pub struct FeedProblems;

impl IntoResponses for FeedProblems {
    fn responses() -> Responses {
        let problems = [unknown_parameter(), invalid_parameter(), Problem::PositionOfAnotherHistory];
        responses(access().into_iter().chain(problems).chain(queries()))
    }
}

/// The responses of a single object other than 200.
pub struct ItemProblems;

impl IntoResponses for ItemProblems {
    fn responses() -> Responses {
        with_not_modified(responses(access().into_iter().chain([unknown_parameter(), not_found()]).chain(queries())))
    }
}

/// The problems of an endpoint that creates something.
pub struct ActionProblems;

impl IntoResponses for ActionProblems {
    fn responses() -> Responses {
        responses(access().into_iter().chain([Problem::StoreUnavailable]))
    }
}

/// The problems of a login and a logout.
pub struct LoginProblems;

impl IntoResponses for LoginProblems {
    fn responses() -> Responses {
        responses([
            Problem::TokenInQuery,
            unknown_parameter(),
            Problem::LoginUnreadable("expected {\"token\": \"…\"} or {\"code\": \"…\"}"),
            Problem::TokenInvalid,
            Problem::LoginCodeInvalid,
            Problem::ForeignPage("this page is of another origin than public_url and the address asked for"),
            Problem::LoginNeedsTls,
            Problem::TooManyRefused(1),
            Problem::StoreUnavailable,
        ])
    }
}

/// The problems of an order to export.
pub struct NewExportProblems;

impl IntoResponses for NewExportProblems {
    fn responses() -> Responses {
        let problems = [unknown_parameter(), invalid_parameter(), Problem::ExportNotAllowed];
        let busy = [Problem::TooManyExports, Problem::ExportDiskLow, Problem::StoreUnavailable, Problem::QueryTimeout];
        responses(access().into_iter().chain(problems).chain(busy))
    }
}

/// The problems of the list of exports.
pub struct ExportListProblems;

impl IntoResponses for ExportListProblems {
    fn responses() -> Responses {
        let problems = [unknown_parameter(), Problem::ExportNotAllowed, Problem::StoreUnavailable];
        responses(access().into_iter().chain(problems))
    }
}

/// The problems of an export.
pub struct ExportProblems;

impl IntoResponses for ExportProblems {
    fn responses() -> Responses {
        let problems = [unknown_parameter(), Problem::ExportNotAllowed, not_found(), Problem::StoreUnavailable];
        responses(access().into_iter().chain(problems))
    }
}

/// The responses of the file of an export.
pub struct ExportFileResponses;

impl IntoResponses for ExportFileResponses {
    fn responses() -> Responses {
        let problems = access().into_iter().chain([
            Problem::TicketInvalid,
            unknown_parameter(),
            Problem::ExportNotAllowed,
            not_found(),
            Problem::ExportNotReady,
            Problem::RangeNotSatisfiable(5),
            Problem::StoreUnavailable,
        ]);
        with_file(with_not_modified(responses(problems)))
    }
}

/// The responses of an endpoint that sends a file.
pub struct FileResponses;

impl IntoResponses for FileResponses {
    fn responses() -> Responses {
        let problems = access().into_iter().chain([
            Problem::TicketInvalid,
            not_found(),
            Problem::MediaNotStored("the file is expired: the gateway no longer has it".to_owned()),
            Problem::MediaMissing,
            Problem::RangeNotSatisfiable(5),
            Problem::StoreUnavailable,
            Problem::MediaUnavailable,
        ]);
        let mut responses = with_file(with_not_modified(responses(problems)));
        let in_bucket = "The address of the file in the bucket, if the setting `media_redirect` is on";
        responses.insert("307".to_owned(), ResponseBuilder::new().description(in_bucket).build().into());
        responses
    }
}

/// The problems of the stream before it begins.
pub struct StreamProblems;

impl IntoResponses for StreamProblems {
    fn responses() -> Responses {
        responses(access().into_iter().chain([
            Problem::TicketInvalid,
            unknown_parameter(),
            invalid_parameter(),
            Problem::PositionOfAnotherHistory,
            Problem::TooManyStreams(StreamPace::default().streams),
            Problem::StoreUnavailable,
        ]))
    }
}

/// The problems of every endpoint that needs a token.
fn access() -> [Problem; 6] {
    [
        Problem::TokenInQuery,
        Problem::TokenMissing,
        Problem::TokenInvalid,
        Problem::SessionInvalid,
        Problem::ForeignPage("the cookie of a session counts only for pages of buzon itself"),
        Problem::TooManyRefused(1),
    ]
}

/// The problems of every query to the database whose result has no fixed size.
fn queries() -> [Problem; 4] {
    [Problem::AnswerTooLarge, Problem::StoreUnavailable, Problem::TooManyAnswers, Problem::QueryTimeout]
}

fn unknown_parameter() -> Problem {
    Problem::UnknownParameter { name: "chatid".to_owned(), known: "chat_id, limit, cursor".to_owned() }
}

fn invalid_parameter() -> Problem {
    let detail = "expected a number from 1 to 200".to_owned();
    Problem::InvalidParameter { name: "limit".to_owned(), detail }
}

fn not_found() -> Problem {
    Problem::NotFound("there is no message with this id".to_owned())
}

fn with_file(mut responses: Responses) -> Responses {
    for (status, description) in [("200", "The file"), ("206", "The requested part of the file")] {
        let file = ContentBuilder::new().schema(Some(<Vec<u8>>::schema())).build();
        let response = ResponseBuilder::new().description(description).content("*/*", file).build();
        responses.insert(status.to_owned(), response.into());
    }
    responses
}

fn with_not_modified(mut responses: Responses) -> Responses {
    let response = ResponseBuilder::new().description("Your `If-None-Match` names the current version.").build();
    responses.insert("304".to_owned(), response.into());
    responses
}

/// Describes the problems by status: each code with an example of its detail.
fn responses(problems: impl IntoIterator<Item = Problem>) -> Responses {
    let mut by_status = BTreeMap::<_, Vec<Problem>>::new();
    for problem in problems {
        by_status.entry(problem.status_code().as_u16()).or_default().push(problem);
    }
    by_status.into_iter().map(|(status, problems)| (status.to_string(), response(&problems).into())).collect()
}

fn response(problems: &[Problem]) -> Response {
    let mut description: Vec<String> = problems.iter().map(|it| format!("`{}`: {it}", it.code())).collect();
    if problems.iter().any(|problem| problem.error_response().headers().contains_key(RETRY_AFTER)) {
        description.push("The header `Retry-After` has the seconds to wait before the next attempt.".to_owned());
    }
    let examples = problems.iter().map(|it| (it.code(), ExampleBuilder::new().value(Some(json!(it.body()))).build()));
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    ResponseBuilder::new().description(description.join("\n\n")).content("application/problem+json", content).build()
}
