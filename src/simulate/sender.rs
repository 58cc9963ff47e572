use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response};
use tokio::time::Instant;

use super::target::{LOCALHOST, SendTarget};
use domain::access::signature::Secret;
use domain::instance::InstanceId;
use platform::outbound;
use platform::tls;

const SIGNATURE_HEADER: &str = "X-Whapi-Signature";
/// A commit is waited for some seconds, and a service that is stopped in the middle never answers.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// As much of an answer as is shown.
const SHOWN: usize = 64 * 1024;

/// Sends events as the gateway does.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    target: SendTarget,
}

/// What buzon said.
#[derive(Clone, Debug)]
pub struct SendAnswer {
    pub status: u16,
    /// The first 64 KiB.
    pub body: String,
    pub took: Duration,
}

impl Sender {
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(target: &SendTarget) -> Result<Self, reqwest::Error> {
        tls::install_provider();
        let here = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        let client = outbound::client()?.timeout(ANSWER_WAIT).resolve_to_addrs(LOCALHOST, &here).build()?;
        Ok(Self { client, target: target.clone() })
    }

    /// Sends a body to the path of `instance`, signed if there is a secret.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn send(
        &self,
        instance: Option<&InstanceId>,
        body: Vec<u8>,
        secret: Option<&Secret>,
    ) -> Result<SendAnswer, String> {
        let request = self.client.post(self.target.webhook(instance)).header(CONTENT_TYPE, "application/json");
        let request = match secret {
            Some(secret) => request.header(SIGNATURE_HEADER, secret.sign(&body)),
            None => request,
        };
        let begun = Instant::now();
        let response = request.body(body).send().await.map_err(|error| outbound::unanswered(&error))?;
        let status = response.status().as_u16();
        let body = read(response).await.map_err(|error| outbound::unanswered(&error))?;
        Ok(SendAnswer { status, body, took: begun.elapsed() })
    }
}

async fn read(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk[..chunk.len().min(SHOWN - bytes.len())]);
        if bytes.len() == SHOWN {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl SendAnswer {
    fn field(&self, name: &str) -> Option<serde_json::Value> {
        serde_json::from_str::<serde_json::Value>(&self.body).ok()?.get_mut(name).map(serde_json::Value::take)
    }

    /// Whether the event was stored before.
    pub fn is_duplicate(&self) -> bool {
        self.field("duplicate").is_some_and(|duplicate| duplicate == true)
    }

    /// The status, and the code of the problem if it is one of buzon's: `401 signature_missing`.
    pub fn summary(&self) -> String {
        match self.field("code").as_ref().and_then(serde_json::Value::as_str) {
            Some(code) => format!("{} {}", self.status, code.escape_debug()),
            None => self.status.to_string(),
        }
    }
}
