//! Authentication of the callers of the read API. Even callers on loopback need a token: behind a proxy every caller is one.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError};
use url::Url;

use super::auth_failure_limiter::AuthFailureLimiter;
use super::credentials::{AcceptedCredentials, Credentials};
use crate::http::ApiState;
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use domain::access::scope::Scope;
use domain::access::session::SessionId;
use domain::access::ticket::{Ticket, TicketHolder, TicketKey};
use domain::access::token::{ApiToken, Token, TokenDigest, TokenId};
use domain::audit::AuditActor;
use domain::time::timestamp::Timestamp;
use platform::clock::Clock;

/// The minimum time between two records of the use of a token.
const RECORDED_EVERY: Duration = Duration::from_secs(60);

/// An authenticated caller, for handlers to take as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The instances that exist for the caller.
    pub scope: Scope,
    /// The caller's token; `None` for the owner's, which is configured or was written at the first start.
    pub token: Option<TokenId>,
    /// The session of the caller's browser; `None` for a token or a ticket.
    pub session: Option<SessionId>,
    pub can_export: bool,
    /// The caller's name in the audit.
    pub actor: AuditActor,
}

impl Caller {
    pub(super) fn owner() -> Self {
        Self { scope: Scope::All, token: None, session: None, can_export: true, actor: AuditActor::Owner }
    }
}

impl From<ApiToken> for Caller {
    fn from(token: ApiToken) -> Self {
        let actor = AuditActor::Token(token.name);
        Self { scope: token.scope, token: Some(token.id), session: None, can_export: token.can_export, actor }
    }
}

/// The caller that [`by_token`] or [`by_token_or_ticket`] let pass. A route without that middleware has no caller.
impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(Problem::TokenMissing))
    }
}

/// Lets a request with a valid token pass, with its [`Caller`].
pub async fn by_token(
    api: Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    api.access.require(AcceptedCredentials::Tokens, request, next).await
}

/// Lets a request with a valid token or ticket pass, with its [`Caller`]. It is for what a page shows with `<img>` or
/// follows with `EventSource`, which send no header.
pub async fn by_token_or_ticket(
    api: Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    api.access.require(AcceptedCredentials::TokensAndTickets, request, next).await
}

/// Lets a request with a valid token pass, with its [`Caller`], and one that buzon's own page sends with the cookie of a
/// session, also if it is not for reading.
pub async fn by_token_or_own_page(
    api: Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    api.access.require(AcceptedCredentials::TokensAndOrders, request, next).await
}

/// The valid tokens and tickets. A token is looked up for each request, so that it is useless from the moment when it is
/// revoked.
pub struct Access {
    pub(super) store: StoreHandle,
    pub(super) clock: Arc<dyn Clock>,
    /// The token that opens everything.
    pub(super) owner: TokenDigest,
    pub(super) tickets: TicketKey,
    /// When the latest recorded use of each token was.
    recorded: Mutex<HashMap<TokenId, Timestamp>>,
    pub(super) failures: Arc<AuthFailureLimiter>,
    /// The public address, whose pages are buzon's own.
    public_url: Option<Url>,
}

impl Access {
    /// `owner` is the token that opens everything; `tickets` signs and verifies tickets.
    pub fn new(
        store: StoreHandle,
        clock: Arc<dyn Clock>,
        owner: &str,
        tickets: TicketKey,
        failures: Arc<AuthFailureLimiter>,
        public_url: Option<Url>,
    ) -> Self {
        let (owner, recorded) = (TokenDigest::of(owner.as_bytes()), Mutex::default());
        Self { store, clock, owner, tickets, recorded, failures, public_url }
    }

    /// Returns the public address, whose pages are buzon's own.
    pub fn public_url(&self) -> Option<&Url> {
        self.public_url.as_ref()
    }

    async fn require<B: MessageBody + 'static>(
        &self,
        accepted: AcceptedCredentials,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B>>, Error> {
        match self.authenticate(request.request(), accepted).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Ok(next.call(request).await?.map_into_left_body())
            }
            // The refusal is a response and not an error, so that the middleware around this one sees it.
            Err(problem) => {
                let problem = self.failures.refuse(request.request(), problem);
                Ok(request.into_response(problem.error_response()).map_into_right_body())
            }
        }
    }

    /// Returns true if a caller that was let in before would be let in again. A stream asks this every few seconds, because
    /// a token or a session can be ended or expire meanwhile.
    ///
    /// # Errors
    /// 503 if the database does not answer.
    pub async fn still_admits(&self, caller: &Caller) -> Result<bool, Problem> {
        if let Some(id) = caller.session {
            return self.session_still_admits(id).await;
        }
        match caller.token {
            None => Ok(true),
            Some(id) => Ok(self.active(id).await?.is_some()),
        }
    }

    /// Issues a ticket for a caller.
    ///
    /// # Errors
    /// 401 if the caller's token has ended meanwhile.
    pub async fn issue_ticket(&self, caller: &Caller) -> Result<Ticket, Problem> {
        let now = self.clock.now();
        let Some(id) = caller.token else { return Ok(self.tickets.issue(TicketHolder::Owner, &self.owner, now, None)) };
        let token = self.active(id).await?.ok_or(Problem::TokenInvalid)?;
        Ok(self.tickets.issue(TicketHolder::Token(id), &token.digest, now, token.expires_at))
    }

    /// Returns the caller of a request.
    ///
    /// # Errors
    /// Credentials that are missing, wrong or not accepted here; 503 if the database is needed and does not answer.
    pub async fn authenticate(&self, request: &HttpRequest, accepted: AcceptedCredentials) -> Result<Caller, Problem> {
        match Credentials::of(request, accepted, self.public_url())? {
            Credentials::Bearer(token) => self.bearer(&token).await,
            Credentials::Ticket(text) => self.ticket_holder(&text).await,
            Credentials::Session(secret) => self.session_holder(&secret).await,
        }
    }

    pub(super) async fn bearer(&self, token: &[u8]) -> Result<Caller, Problem> {
        let digest = TokenDigest::of(token);
        if self.owner.matches(&digest) {
            return Ok(Caller::owner());
        }
        // The database is not asked about text that cannot be a token.
        std::str::from_utf8(token).ok().and_then(Token::parse).ok_or(Problem::TokenInvalid)?;
        let token = self.store.ask(|store| async move { store.token_by_digest(&digest).await }).await?;
        let now = self.clock.now();
        let token = token.filter(|token| token.is_active(now)).ok_or(Problem::TokenInvalid)?;
        self.record_use(&token, now);
        Ok(token.into())
    }

    async fn ticket_holder(&self, text: &str) -> Result<Caller, Problem> {
        let ticket = Ticket::parse(text).ok_or(Problem::TicketInvalid)?;
        let now = self.clock.now();
        let verify =
            |digest| if self.tickets.admits(&ticket, digest, now) { Ok(()) } else { Err(Problem::TicketInvalid) };
        match ticket.holder() {
            TicketHolder::Owner => {
                verify(&self.owner)?;
                Ok(Caller::owner())
            }
            TicketHolder::Token(id) => {
                let token = self.active(id).await?.ok_or(Problem::TicketInvalid)?;
                verify(&token.digest)?;
                self.record_use(&token, now);
                Ok(token.into())
            }
        }
    }

    pub(super) async fn active(&self, id: TokenId) -> Result<Option<ApiToken>, Problem> {
        let token = self.store.ask(|store| async move { store.token_by_id(id).await }).await?;
        let now = self.clock.now();
        Ok(token.filter(|token| token.is_active(now)))
    }

    /// Records the use of a token, at most once a minute. No request waits for it.
    pub(super) fn record_use(&self, token: &ApiToken, now: Timestamp) {
        let (id, since) = (token.id, now - RECORDED_EVERY);
        if token.last_used_at.is_some_and(|at| at > since) {
            return;
        }
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.get(&id).is_some_and(|at| *at > since) {
            return;
        }
        recorded.insert(id, now);
        self.store.run_in_background("the use of a token was not recorded", |store| async move {
            store.note_token_use(id, now, since).await
        });
    }
}
