//! The bearer token that the read API asks for, always: behind a proxy every caller is loopback.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;

/// The token that opens everything, as its SHA-256.
pub struct ApiToken {
    sha256: [u8; 32],
}

impl ApiToken {
    pub fn new(token: &str) -> Self {
        Self { sha256: Sha256::digest(token).into() }
    }

    /// Compares hashes in constant time, so that neither content nor length shows.
    fn is(&self, token: &[u8]) -> bool {
        let offered: [u8; 32] = Sha256::digest(token).into();
        self.sha256.ct_eq(&offered).into()
    }
}

/// Lets a request pass that bears the token.
pub async fn require(
    token: Data<ApiToken>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let offered = bearer(request.request()).ok_or(Problem::TokenMissing)?;
    if !token.is(offered) {
        return Err(Problem::TokenInvalid.into());
    }
    next.call(request).await
}

fn bearer(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
