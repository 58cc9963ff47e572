//! Asks whoever answers at an address whether it is the owner's buzon.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use domain::access::identity::{CHALLENGE_HEADER, Challenge, IdentityClaims, SignedIdentity};
use domain::access::token::TokenDigest;
use platform::outbound;

/// More than any answer of a buzon to this has.
const LONGEST: usize = 64 * 1024;

pub(super) struct Prober {
    client: Client,
    /// The owner's; without one no buzon can prove anything.
    token: Option<TokenDigest>,
}

/// What answered.
pub(super) enum ProbeResult {
    /// Nobody, and why.
    Nothing(String),
    Redirect(String),
    /// Something that is no buzon.
    Something(StatusCode),
    /// A buzon with another token; or ours, where there is no token to ask with.
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

    /// Asks with a GET at a webhook's address: of whatever stands there, it changes nothing.
    pub(super) async fn ask(&self, webhook: Url) -> ProbeResult {
        let mut nonce = [0; Challenge::RANDOM_BYTES];
        if getrandom::fill(&mut nonce).is_err() {
            return ProbeResult::Nothing("the system has no random numbers".to_owned());
        }
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
        let body = body(response).await.unwrap_or_default();
        if is_problem && status == StatusCode::METHOD_NOT_ALLOWED {
            return ProbeResult::Another;
        }
        let testimony = serde_json::from_slice::<SignedIdentity>(&body).ok();
        let statement = testimony.zip(question).and_then(|(said, (question, token))| said.verify(&question, token));
        statement.map_or(ProbeResult::Something(status), ProbeResult::Ours)
    }
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// As much as may be an answer of ours.
async fn body(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST {
            break;
        }
    }
    Ok(bytes)
}
