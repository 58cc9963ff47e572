//! The credentials of a request.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use url::{Url, form_urlencoded};

use super::cookie;
use crate::http::problem::Problem;
use domain::access::session::SessionSecret;
use domain::access::token::Token;

const TICKET: &str = "ticket";
/// Names of query parameters in which people put a token.
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

/// The credentials that a route accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedCredentials {
    Tokens,
    TokensAndTickets,
    /// Tokens, and the cookie of a session not only for reading, but also for what buzon's own page orders.
    TokensAndOrders,
}

/// A token, a ticket or the cookie of a session, as it was sent.
#[derive(Debug)]
pub enum Credentials {
    Bearer(Vec<u8>),
    Ticket(String),
    Session(SessionSecret),
}

impl Credentials {
    /// Reads the credentials of a request. If there are several, the token counts, and then the ticket.
    ///
    /// # Errors
    /// A token in the URL, a ticket that is not accepted here, a cookie that a page of another site makes use of, or none
    /// of the three.
    pub fn of(request: &HttpRequest, accepted: AcceptedCredentials, public_url: Option<&Url>) -> Result<Self, Problem> {
        let ticket = ticket(request)?;
        if ticket.is_some() && accepted != AcceptedCredentials::TokensAndTickets {
            return Err(Problem::TicketNotHere);
        }
        let bearer = bearer(request).map(|token| Self::Bearer(token.to_vec()));
        match bearer.or(ticket.map(Self::Ticket)) {
            Some(credentials) => Ok(credentials),
            None => {
                let orders = accepted == AcceptedCredentials::TokensAndOrders;
                let secret = if orders { cookie::ordering(request, public_url) } else { cookie::reading(request) };
                secret?.map(Self::Session).ok_or(Problem::TokenMissing)
            }
        }
    }
}

/// Returns the ticket in the URL. A token there is refused even beside a valid header, so that nobody gets used to it: URLs
/// are kept in logs and histories.
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
    Ok(ticket)
}

fn bearer(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
