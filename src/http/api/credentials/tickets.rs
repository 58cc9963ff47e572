//! Tickets for URLs, which `<img>` and `EventSource` send instead of a token.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::ApiState;
use crate::http::api::parameters::{NoParameters, Query};
use crate::http::auth::access::Caller;
use crate::http::json::json;
use crate::http::openapi::problems::ActionProblems;
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
    description = "Add the ticket as `?ticket=…` to the URL of a file or of the stream. It grants what the token grants, and \
                   ends with the token.",
    responses((status = 201, description = "The ticket", body = IssuedTicket), ActionProblems),
)]
pub async fn issue(api: Data<ApiState>, caller: Caller, _: Query<NoParameters>) -> Result<HttpResponse, Problem> {
    let ticket = api.access.issue_ticket(&caller).await?;
    let issued = IssuedTicket { ticket: ticket.to_text(), expires_at: ticket.expires_at().to_rfc3339() };
    Ok(json(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")), &issued))
}
