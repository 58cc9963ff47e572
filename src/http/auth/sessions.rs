//! Sessions of browsers: how one begins, whom it stands for, and how it ends.

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;

use super::access::{Access, Caller};
use super::cookie;
use crate::http::problem::Problem;
use domain::access::session::{BrowserSession, LoginCode, NewSession, SessionId, SessionSecret, device};
use domain::access::ticket::TicketHolder;
use domain::access::token::{ApiToken, TokenDigest};
use platform::random;

/// The proof with which somebody logs in.
pub enum LoginProof {
    /// The token that the session will read with.
    Token(String),
    /// The code of a link that `buzon login` printed.
    Code(String),
}

/// A session that has just begun.
pub struct OpenedSession {
    pub secret: SessionSecret,
    pub caller: Caller,
}

impl Access {
    /// Begins a session for the bearer of a token or a login code.
    ///
    /// # Errors
    /// 401 for a wrong token or code, or a code that was used before; 503 if the database does not answer.
    pub async fn log_in(&self, request: &HttpRequest, proof: LoginProof) -> Result<OpenedSession, Problem> {
        let now = self.clock.now();
        let (caller, token_digest, code) = match proof {
            LoginProof::Token(token) => {
                let token = token.trim().as_bytes();
                (self.bearer(token).await?, TokenDigest::of(token), None)
            }
            LoginProof::Code(text) => {
                let code = LoginCode::parse(text.trim()).ok_or(Problem::LoginCodeInvalid)?;
                let (caller, digest) = self.bearer_of(&code).await?;
                (caller, digest, Some(self.tickets.code_digest(&code)))
            }
        };
        let secret = SessionSecret::from_random(random::bytes().map_err(|_| Problem::Internal)?);
        let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
        let new = NewSession {
            digest: self.tickets.session_digest(&secret),
            token: caller.token,
            token_digest,
            code,
            device: device(user_agent.unwrap_or_default()),
            created_at: now,
        };
        let id = self.store.ask(|store| async move { store.create_session(&new).await }).await?;
        let session = Some(id.ok_or(Problem::LoginCodeInvalid)?);
        Ok(OpenedSession { secret, caller: Caller { session, ..caller } })
    }

    /// Counts a refused login like any other failed authentication.
    pub fn refused(&self, request: &HttpRequest, problem: Problem) -> Problem {
        self.failures.refuse(request, problem)
    }

    /// Ends the session of a request's cookie, if there is one.
    ///
    /// # Errors
    /// A request of a page of another site; 503 if the database does not answer.
    pub async fn log_out(&self, request: &HttpRequest) -> Result<(), Problem> {
        if cookie::is_cross_site(request.headers()) {
            return Err(Problem::ForeignPage("only a page of buzon itself ends a session"));
        }
        let Some(session) = cookie::any_secret(request) else { return Ok(()) };
        let Some(session) = self.session(&session).await? else { return Ok(()) };
        let now = self.clock.now();
        self.store.ask(|store| async move { store.end_session(session.id, now).await }).await?;
        Ok(())
    }

    /// Returns the caller that a session stands for.
    pub(super) async fn session_holder(&self, secret: &SessionSecret) -> Result<Caller, Problem> {
        let session = self.session(secret).await?.ok_or(Problem::SessionInvalid)?;
        let now = self.clock.now();
        let token = self.token_of(&session).await?.ok_or(Problem::SessionInvalid)?;
        if let Some(expires_at) = session.prolonged(now) {
            let id = session.id;
            self.store.run_in_background("the use of a session was not recorded", |store| async move {
                store.prolong_session(id, now, expires_at).await
            });
        }
        let caller = match token {
            SessionToken::Owner => Caller::owner(),
            SessionToken::Other(token) => {
                self.record_use(&token, now);
                token.into()
            }
        };
        Ok(Caller { session: Some(session.id), ..caller })
    }

    pub(super) async fn session_still_admits(&self, id: SessionId) -> Result<bool, Problem> {
        let session = self.store.ask(|store| async move { store.session_by_id(id).await }).await?;
        match session {
            Some(session) => Ok(self.token_of(&session).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn session(&self, secret: &SessionSecret) -> Result<Option<BrowserSession>, Problem> {
        let digest = self.tickets.session_digest(secret);
        self.store.ask(|store| async move { store.session_by_digest(&digest).await }).await
    }

    /// Returns the token of a session, if both are active.
    async fn token_of(&self, session: &BrowserSession) -> Result<Option<SessionToken>, Problem> {
        if !session.is_active(self.clock.now()) {
            return Ok(None);
        }
        let Some(id) = session.token else {
            return Ok(self.owner.matches(&session.token_digest).then_some(SessionToken::Owner));
        };
        let token = self.active(id).await?.filter(|token| token.digest.matches(&session.token_digest));
        Ok(token.map(SessionToken::Other))
    }

    /// Returns the bearer of the token that a login code was made for, and the digest of that token.
    async fn bearer_of(&self, code: &LoginCode) -> Result<(Caller, TokenDigest), Problem> {
        let (caller, digest) = match code.holder() {
            TicketHolder::Owner => (Caller::owner(), self.owner.clone()),
            TicketHolder::Token(id) => {
                let token = self.active(id).await?.ok_or(Problem::LoginCodeInvalid)?;
                let digest = token.digest.clone();
                (token.into(), digest)
            }
        };
        let admitted = self.tickets.admits_code(code, &digest, self.clock.now());
        admitted.then_some((caller, digest)).ok_or(Problem::LoginCodeInvalid)
    }
}

/// The token of a session.
enum SessionToken {
    Owner,
    Other(ApiToken),
}
