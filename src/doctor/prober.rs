//! Asks whatever answers at an address to prove that it is the owner's buzon.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use domain::access::identity::{CHALLENGE_HEADER, Challenge, IdentityClaims, SignedIdentity};
use domain::access::token::TokenDigest;
use platform::outbound;
use platform::random;

/// The maximum number of bytes that are read. No answer of a buzon to this request is that long.
const MAX_ANSWER: usize = 64 * 1024;

/// A client that asks for the identity of what answers.
pub(super) struct Prober {
    client: Client,
    /// The owner's token. Without it, no buzon can prove its identity.
    token: Option<TokenDigest>,
}

/// The kind of program that answered at an address.
pub(super) enum ProbeResult {
    /// Nothing answered, for this reason.
    Nothing(String),
    Redirect(String),
    /// Something answered that is not a buzon.
    Something(StatusCode),
    /// A buzon with another token answered, or this one if there is no token to ask with.
    Another,
    Ours(IdentityClaims),
}

impl Prober {
    pub(super) fn new(client: Client, token: Option<TokenDigest>) -> Self {
        Self { client, token }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a GET request to a webhook, which changes nothing, whatever answers there.
    pub(super) async fn ask(&self, webhook: Url) -> ProbeResult {
        let nonce = match random::bytes::<{ Challenge::RANDOM_BYTES }>() {
            Ok(nonce) => nonce,
            Err(error) => return ProbeResult::Nothing(error.to_string()),
        };
        let question = self.token.as_ref().map(|token| (Challenge::new(nonce, token), token));
        let request = self.client.get(webhook);
        let request = match &question {
            Some((question, _)) => request.header(CHALLENGE_HEADER, question.to_text()),
            None => request,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return ProbeResult::Nothing(outbound::unanswered(&error)),
        };
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            return ProbeResult::Redirect(location.unwrap_or("another address").to_owned());
        }
        let is_problem = header(&response, CONTENT_TYPE.as_str()).starts_with("application/problem+json");
        let body = outbound::beginning(response, MAX_ANSWER).await.unwrap_or_default();
        if is_problem && status == StatusCode::METHOD_NOT_ALLOWED {
            return ProbeResult::Another;
        }
        let signed = serde_json::from_slice::<SignedIdentity>(&body).ok();
        let claims = signed.zip(question).and_then(|(signed, (question, token))| signed.verify(&question, token));
        claims.map_or(ProbeResult::Something(status), ProbeResult::Ours)
    }
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
