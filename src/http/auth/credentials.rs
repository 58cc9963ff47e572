//! What a request shows to be let in.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use url::form_urlencoded;

use crate::http::problem::Problem;
use domain::access::token::Token;

/// The routes that take a ticket: what a page shows with `<img>` or follows with `EventSource`, which send no header.
const TICKET_ROUTES: [&str; 3] =
    ["/api/v1/media/{sha256}", "/api/v1/messages/{instance_id}/{id}/media", "/api/v1/stream"];
const TICKET: &str = "ticket";
/// Names under which people put a token into a URL.
const TOKEN_NAMES: [&str; 9] = [
    "token",
    "access_token",
    "api_token",
    "auth_token",
    "bearer_token",
    "api_key",
    "apikey",
    "bearer",
    "authorization",
];

/// A token or a ticket, as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    Bearer(Vec<u8>),
    Ticket(String),
}

impl Credentials {
    /// Reads them; where there are both, the token counts.
    ///
    /// # Errors
    /// A token in the URL, a ticket where none is taken, or neither of the two.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let ticket = ticket(request)?;
        let bearer = bearer(request).map(|token| Self::Bearer(token.to_vec()));
        bearer.or(ticket.map(Self::Ticket)).ok_or(Problem::TokenMissing)
    }
}

/// URLs are kept in logs and histories. A token in one is refused even beside a good header, so that nobody gets used
/// to it.
fn ticket(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut ticket = None;
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        let is_token = TOKEN_NAMES.iter().any(|token| name.eq_ignore_ascii_case(token));
        if is_token || Token::parse(&value).is_some() {
            return Err(Problem::TokenInQuery);
        }
        if name == TICKET {
            ticket.get_or_insert_with(|| value.into_owned());
        }
    }
    let here = || request.match_pattern().is_some_and(|route| TICKET_ROUTES.contains(&route.as_str()));
    if ticket.is_some() && !here() {
        return Err(Problem::TicketNotHere);
    }
    Ok(ticket)
}

fn bearer(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
