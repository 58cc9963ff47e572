//! Sends events like the gateway.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::target::{LOCALHOST, SendTarget};
use domain::access::signature::Secret;
use domain::instance::InstanceId;
use platform::outbound;
use platform::tls;

const SIGNATURE_HEADER: &str = "X-Whapi-Signature";
/// The time limit of an answer. A commit takes some seconds at most, and a service that is stopped may never answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// The maximum number of bytes that are read of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// A client that sends events like the gateway.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    target: SendTarget,
}

/// The answer of a buzon.
#[derive(Clone, Debug)]
pub struct SendAnswer {
    pub status: u16,
    /// The first 64 KiB.
    pub body: String,
    pub took: Duration,
}

impl Sender {
    /// Makes a sender.
    ///
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
    /// A text about why there was no answer.
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
        let body = outbound::beginning(response, MAX_ANSWER).await.map_err(|error| outbound::unanswered(&error))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(SendAnswer { status, body, took: begun.elapsed() })
    }
}

impl SendAnswer {
    fn field(&self, name: &str) -> Option<serde_json::Value> {
        serde_json::from_str::<serde_json::Value>(&self.body).ok()?.get_mut(name).map(serde_json::Value::take)
    }

    /// Returns whether the event was stored before.
    pub fn is_duplicate(&self) -> bool {
        self.field("duplicate").is_some_and(|duplicate| duplicate == true)
    }

    /// Returns the status, and the code of the problem if the answer has one, such as `401 signature_missing`.
    pub fn summary(&self) -> String {
        match self.field("code").as_ref().and_then(serde_json::Value::as_str) {
            Some(code) => format!("{} {}", self.status, code.escape_debug()),
            None => self.status.to_string(),
        }
    }
}
