//! Who asks. The read API wants to know always: behind a proxy every caller is loopback.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError};

use super::auth_failure_limiter::AuthFailureLimiter;
use super::credentials::Credentials;
use crate::http::api::store_handle::StoreHandle;
use crate::http::problem::Problem;
use domain::access::scope::Scope;
use domain::access::ticket::{Ticket, TicketHolder, TicketKey};
use domain::access::token::{ApiToken, Token, TokenDigest, TokenId};
use domain::time::timestamp::Timestamp;
use platform::clock::Clock;

/// How often the use of a token is noted.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Somebody who was let in, for handlers to take as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What exists for them.
    pub scope: Scope,
    /// Their token; `None` for the one that is configured, or was written at the first start.
    pub token: Option<TokenId>,
}

impl Caller {
    fn owner() -> Self {
        Self { scope: Scope::All, token: None }
    }
}

impl From<ApiToken> for Caller {
    fn from(token: ApiToken) -> Self {
        Self { scope: token.scope, token: Some(token.id) }
    }
}

/// Whoever passed [`require`]; a route without that middleware has no reader.
impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(Problem::TokenMissing))
    }
}

/// Lets a request pass with its [`Caller`].
pub async fn require(
    access: Data<Access>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match access.admit(request.request()).await {
        Ok(reader) => {
            request.extensions_mut().insert(reader);
            Ok(next.call(request).await?.map_into_left_body())
        }
        // As an answer and not as an error, so that the middleware around this one sees it.
        Err(problem) => {
            let problem = access.strangers.refuse(request.request(), problem);
            Ok(request.into_response(problem.error_response()).map_into_right_body())
        }
    }
}

/// The tokens that are taken. They are looked up for each request, so that a revoked one is of no use from that moment.
pub struct Access {
    archive: StoreHandle,
    clock: Arc<dyn Clock>,
    /// The token that opens everything.
    owner: TokenDigest,
    tickets: TicketKey,
    /// When the latest use of each token was given to be noted.
    noted: Mutex<HashMap<TokenId, Timestamp>>,
    strangers: Arc<AuthFailureLimiter>,
}

impl Access {
    /// `owner` is the token that opens everything; `tickets` makes and knows tickets.
    pub fn new(
        archive: StoreHandle,
        clock: Arc<dyn Clock>,
        owner: &str,
        tickets: TicketKey,
        strangers: Arc<AuthFailureLimiter>,
    ) -> Self {
        Self { archive, clock, owner: TokenDigest::of(owner.as_bytes()), tickets, noted: Mutex::default(), strangers }
    }

    /// Whether a reader who was let in before would be let in again: what a stream asks every few seconds, because a
    /// token can be revoked or expire meanwhile.
    ///
    /// # Errors
    /// 503 where the database does not answer.
    pub async fn still_admits(&self, reader: &Caller) -> Result<bool, Problem> {
        match reader.token {
            None => Ok(true),
            Some(id) => Ok(self.active(id).await?.is_some()),
        }
    }

    /// A ticket for a reader.
    ///
    /// # Errors
    /// 401 where their token has ended meanwhile.
    pub async fn issue_ticket(&self, reader: &Caller) -> Result<Ticket, Problem> {
        let now = self.clock.now();
        let Some(id) = reader.token else { return Ok(self.tickets.issue(TicketHolder::Owner, &self.owner, now, None)) };
        let token = self.active(id).await?.ok_or(Problem::TokenInvalid)?;
        Ok(self.tickets.issue(TicketHolder::Token(id), &token.digest, now, token.expires_at))
    }

    /// Who asks.
    ///
    /// # Errors
    /// Their credentials are missing, wrong or not taken here; 503 where the database is needed and does not answer.
    pub async fn admit(&self, request: &HttpRequest) -> Result<Caller, Problem> {
        match Credentials::of(request)? {
            Credentials::Bearer(token) => self.bearer(&token).await,
            Credentials::Ticket(text) => self.ticket_holder(&text).await,
        }
    }

    async fn bearer(&self, token: &[u8]) -> Result<Caller, Problem> {
        let digest = TokenDigest::of(token);
        if self.owner.matches(&digest) {
            return Ok(Caller::owner());
        }
        // The database is not asked about what cannot be in it.
        std::str::from_utf8(token).ok().and_then(Token::parse).ok_or(Problem::TokenInvalid)?;
        let token = self.archive.ask(|store| async move { store.token_by_digest(&digest).await }).await?;
        let now = self.clock.now();
        let token = token.filter(|token| token.is_active(now)).ok_or(Problem::TokenInvalid)?;
        self.note(&token, now);
        Ok(token.into())
    }

    async fn ticket_holder(&self, text: &str) -> Result<Caller, Problem> {
        let ticket = Ticket::parse(text).ok_or(Problem::TicketInvalid)?;
        let now = self.clock.now();
        let good =
            |digest| if self.tickets.admits(&ticket, digest, now) { Ok(()) } else { Err(Problem::TicketInvalid) };
        match ticket.holder() {
            TicketHolder::Owner => {
                good(&self.owner)?;
                Ok(Caller::owner())
            }
            TicketHolder::Token(id) => {
                let token = self.active(id).await?.ok_or(Problem::TicketInvalid)?;
                good(&token.digest)?;
                self.note(&token, now);
                Ok(token.into())
            }
        }
    }

    async fn active(&self, id: TokenId) -> Result<Option<ApiToken>, Problem> {
        let token = self.archive.ask(|store| async move { store.token_by_id(id).await }).await?;
        let now = self.clock.now();
        Ok(token.filter(|token| token.is_active(now)))
    }

    /// Has a use noted, at most once a minute for a token. No request waits for it.
    fn note(&self, token: &ApiToken, now: Timestamp) {
        let (id, since) = (token.id, now - NOTED_EVERY);
        if token.last_used_at.is_some_and(|at| at > since) {
            return;
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(&id).is_some_and(|at| *at > since) {
            return;
        }
        noted.insert(id, now);
        let failed = "the use of a token was not noted";
        self.archive.leave(failed, |store| async move { store.note_token_use(id, now, since).await });
    }
}
