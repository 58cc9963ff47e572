//! Tickets for URLs: what `<img>` and `EventSource` show instead of a token.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde::Serialize;

use super::access::{Access, Reader};
use super::problem::Problem;

/// A ticket, to be added to a URL as `?ticket=…`.
#[derive(Serialize)]
struct Issued {
    ticket: String,
    /// RFC 3339, UTC.
    expires_at: String,
}

/// `POST /api/v1/tickets`
pub async fn issue(access: Data<Access>, reader: Reader) -> Result<HttpResponse, Problem> {
    let ticket = access.issue_ticket(&reader).await?;
    let issued = Issued { ticket: ticket.to_text(), expires_at: ticket.expires_at().to_rfc3339() };
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(issued))
}
