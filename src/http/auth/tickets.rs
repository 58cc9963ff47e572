//! Tickets for URLs: what `<img>` and `EventSource` show instead of a token.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{Access, Caller};
use crate::http::api::answer;
use crate::http::api::parameters;
use crate::http::openapi::problem_docs::ActionProblems;
use crate::http::problem::Problem;

/// A ticket, to be added to a URL as `?ticket=…`.
#[derive(Serialize, ToSchema)]
pub struct IssuedTicket {
    #[schema(example = "owner.1724717100000.5f3c…")]
    ticket: String,
    /// RFC 3339, UTC.
    #[schema(example = "2024-08-27T00:05:00Z", format = DateTime)]
    expires_at: String,
}

/// `POST /api/v1/tickets`
#[utoipa::path(
    operation_id = "issue_ticket",
    post, path = "/api/v1/tickets", tag = "Tickets", security(("token" = [])),
    summary = "A ticket of five minutes for an image or a stream, which cannot send a header",
    description = "Add it as `?ticket=…` to the URL of a file or of the stream. It sees what the token sees, and ends \
                   with it.",
    responses((status = 201, description = "The ticket", body = IssuedTicket), ActionProblems),
)]
pub async fn issue(access: Data<Access>, reader: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    parameters::none(&request)?;
    let ticket = access.issue_ticket(&reader).await?;
    let issued = IssuedTicket { ticket: ticket.to_text(), expires_at: ticket.expires_at().to_rfc3339() };
    Ok(answer::json(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")), &issued))
}
