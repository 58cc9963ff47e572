//! One request to a receiver.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use tokio::time::timeout;

use crate::config::ForwardConfig;
use domain::access::signature::{Keyring, Secret};
use domain::event::event_id::EventId;
use domain::forward::answer::{DeliveryAnswer, printable};
use domain::forward::destination::Destination;
use domain::forward::{ATTEMPT_HEADER, EVENT_HEADER, KIND_HEADER, REPLAY_HEADER};
use domain::instance::InstanceId;
use domain::time::retry_after::retry_after;
use platform::clock::Clock;
use platform::outbound::{self, Silence};
use platform::tls;

const SIGNATURE_HEADER: &str = "x-whapi-signature";
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// The time limit for the body of an answer, and the bytes that are read of it. A connection is used again only if its
/// answer was read to the end.
const BODY_WAIT: Duration = Duration::from_secs(1);
const MAX_BODY: usize = 16 * 1024;

/// A client of one receiver.
pub struct DeliveryClient {
    client: Client,
    destination: Destination,
    secret: Option<Secret>,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
}

/// An event to deliver.
pub struct Delivery {
    pub event: EventId,
    pub instance_id: InstanceId,
    /// True if the event came signed. Nobody signs one that did not.
    pub signed: bool,
    /// The kind of an event of ours.
    pub kind: Option<&'static str>,
    pub body: Vec<u8>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    pub replay: bool,
}

/// The answer to a delivery, and the beginning of what was said.
#[derive(Debug)]
pub struct DeliveryReply {
    pub answer: DeliveryAnswer,
    pub said: String,
}

impl DeliveryClient {
    /// Makes a client, which follows no redirects and uses no proxy.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(config: &ForwardConfig, keyring: Keyring, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        tls::install_provider();
        let own = config.certificates.as_deref().and_then(outbound::certificates).unwrap_or_default();
        let client = outbound::client()?.tls_certs_merge(own).http1_only();
        let client = client.connect_timeout(CONNECT_WAIT.min(config.timeout)).timeout(config.timeout).build()?;
        Ok(Self { client, destination: config.destination.clone(), secret: config.secret.clone(), keyring, clock })
    }

    /// Delivers an event, and reads the beginning of the answer.
    pub async fn deliver(&self, delivery: Delivery) -> DeliveryReply {
        let request = self
            .client
            .post(self.destination.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(EVENT_HEADER, delivery.event.to_string())
            .header(ATTEMPT_HEADER, delivery.attempt);
        let signature = self.signature(&delivery);
        let request = signature.into_iter().fold(request, |it, signature| it.header(SIGNATURE_HEADER, signature));
        let request = if delivery.replay { request.header(REPLAY_HEADER, "true") } else { request };
        let request = delivery.kind.into_iter().fold(request, |it, kind| it.header(KIND_HEADER, kind));
        match request.body(delivery.body).send().await {
            Ok(response) => self.reply(response).await,
            Err(error) => unanswered(&error),
        }
    }

    /// Signs the body with the receiver's own secret, or else as the gateway does.
    fn signature(&self, delivery: &Delivery) -> Option<String> {
        let as_the_gateway = || self.keyring.signing(Some(&delivery.instance_id));
        let secret = self.secret.as_ref().or_else(as_the_gateway).filter(|_| delivery.signed)?;
        Some(secret.sign(&delivery.body))
    }

    async fn reply(&self, response: Response) -> DeliveryReply {
        let status = response.status().as_u16();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|value| retry_after(value, self.clock.now()));
        let body = timeout(BODY_WAIT, outbound::beginning(response, MAX_BODY)).await;
        let said = match body {
            Ok(Ok(bytes)) => printable(&String::from_utf8_lossy(&bytes)),
            _ => String::new(),
        };
        DeliveryReply { answer: DeliveryAnswer::Status { status, retry_after }, said }
    }
}

fn unanswered(error: &reqwest::Error) -> DeliveryReply {
    let said = outbound::unanswered(error);
    match Silence::of(error) {
        Silence::Dns => DeliveryReply { answer: DeliveryAnswer::Dns, said },
        Silence::Tls => {
            let said = format!("{said}; if it is your own, name a file with the certificate in ca_file");
            DeliveryReply { answer: DeliveryAnswer::Tls, said }
        }
        Silence::Timeout => DeliveryReply { answer: DeliveryAnswer::Timeout, said },
        Silence::Network => DeliveryReply { answer: DeliveryAnswer::Network, said },
    }
}
