//! The proof of this buzon's identity, for `buzon doctor`, which asks for it at the public URL.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;

use crate::http::json::json;
use crate::http::peer;
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use domain::access::identity::{CHALLENGE_HEADER, Challenge, IdentityClaims};
use domain::access::token::TokenDigest;

/// The identity of this process.
pub struct Identity {
    /// The owner's token.
    token: TokenDigest,
    process: String,
    store: StoreHandle,
    trusted_proxies: Vec<IpNet>,
}

impl Identity {
    /// `process` is a random name of this process, `token` the owner's token.
    pub fn new(process: String, token: &str, store: StoreHandle, trusted_proxies: Vec<IpNet>) -> Self {
        Self { token: TokenDigest::of(token.as_bytes()), process, store, trusted_proxies }
    }

    /// Returns the challenge of a request, if the owner sent it.
    fn challenge(&self, request: &HttpRequest) -> Option<Challenge> {
        let challenge = Challenge::parse(request.headers().get(CHALLENGE_HEADER)?.to_str().ok()?)?;
        challenge.is_proven_by(&self.token).then_some(challenge)
    }

    async fn claims(&self, request: &HttpRequest) -> IdentityClaims {
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        IdentityClaims {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: self.process.clone(),
            database: self.store.ask(|store| async move { store.database_id().await }).await.ok(),
            peer,
            trusted: peer.is_some_and(|peer| peer::contain(&self.trusted_proxies, peer)),
            forwarded_for: peer::has_forwarded_for(request),
            client: peer::client_address(request, &self.trusted_proxies),
        }
    }
}

/// Handles a GET at the webhook: proves the identity to the owner, and refuses the method to everybody else.
pub async fn prove(request: HttpRequest, identity: Data<Identity>) -> Result<HttpResponse, Problem> {
    let Some(challenge) = identity.challenge(&request) else {
        return Err(crate::http::WEBHOOK_TAKES_POSTS);
    };
    let claims = identity.claims(&request).await;
    let signed = challenge.answer(&claims, &identity.token);
    Ok(json(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")), &signed))
}
