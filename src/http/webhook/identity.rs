//! The answer to the owner's question who answers here: `buzon doctor` asks it at the public URL.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;

use crate::http::api::answer;
use crate::http::api::store_handle::StoreHandle;
use crate::http::limits::peer;
use crate::http::problem::Problem;
use domain::access::identity::{CHALLENGE_HEADER, Challenge, IdentityClaims};
use domain::access::token::TokenDigest;

/// Who this process is.
pub struct Identity {
    /// The owner's.
    token: TokenDigest,
    process: String,
    archive: StoreHandle,
    trusted_proxies: Vec<IpNet>,
}

impl Identity {
    /// `process` is random, `token` the owner's.
    pub fn new(process: String, token: &str, archive: StoreHandle, trusted_proxies: Vec<IpNet>) -> Self {
        Self { token: TokenDigest::of(token.as_bytes()), process, archive, trusted_proxies }
    }

    /// The question, if it is the owner's.
    fn asked(&self, request: &HttpRequest) -> Option<Challenge> {
        let question = Challenge::parse(request.headers().get(CHALLENGE_HEADER)?.to_str().ok()?)?;
        question.is_proven_by(&self.token).then_some(question)
    }

    async fn statement(&self, request: &HttpRequest) -> IdentityClaims {
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        IdentityClaims {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: self.process.clone(),
            database: self.archive.ask(|store| async move { store.database_id().await }).await.ok(),
            peer,
            trusted: peer.is_some_and(|peer| peer::contain(&self.trusted_proxies, peer)),
            forwarded_for: peer::has_forwarded_for(request),
            client: peer::client_address(request, &self.trusted_proxies),
        }
    }
}

/// A GET at the webhook: the owner's question is answered, and everybody else told what this takes.
pub async fn tell(request: HttpRequest, identity: Data<Identity>) -> Result<HttpResponse, Problem> {
    let Some(question) = identity.asked(&request) else {
        return Err(crate::http::WEBHOOK_TAKES_POSTS);
    };
    let statement = identity.statement(&request).await;
    let testimony = question.answer(&statement, &identity.token);
    Ok(answer::json(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")), &testimony))
}
