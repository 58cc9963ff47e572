//! `POST /webhook[/{instance_id}]`: where the gateway's events come in.

use std::sync::Arc;
use std::time::Instant;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use serde::Serialize;
use tracing::{info, warn};

use super::body::{self, Reader};
use super::peer;
use super::problem::Problem;
use super::refusals::Refusals;
use crate::clock::Clock;
use crate::domain::event::{Event, EventState, TEST_WEBHOOK};
use crate::domain::instance::InstanceId;
use crate::domain::signature::{Keyring, SecretUsed, Signature, SignatureError, Signer};
use crate::ingest::Ingest;
use crate::meters::Meters;

/// The header with the signature, as the guide names it.
const SIGNATURE_HEADER: &str = "x-whapi-signature";

const UNSIGNED_REFUSED: &str = "no secret is configured, and unsigned events are taken only from a program on this machine; \
     set BUZON_WEBHOOK_SECRET here and the same secret at the gateway";
const SIGNATURE_ABSENT: &str = "the header X-Whapi-Signature is missing; set the secret at the gateway too";

/// What receiving takes.
pub struct Receiver {
    pub reader: Reader,
    pub ingest: Ingest,
    pub clock: Arc<dyn Clock>,
    pub keyring: Keyring,
    pub allow_unsigned: bool,
    pub trusted_proxies: Vec<IpNet>,
    pub refusals: Refusals,
    pub meters: Arc<Meters>,
}

#[derive(Serialize)]
struct Accepted {
    ok: bool,
    duplicate: bool,
}

/// Receives an event, and answers 200 when it is committed and on disk.
pub async fn receive(
    request: HttpRequest,
    mut payload: Payload,
    receiver: Data<Receiver>,
) -> Result<HttpResponse, Problem> {
    let taken = take(&request, &mut payload, &receiver).await;
    taken.inspect_err(|problem| receiver.meters.refuse(problem.code()))
}

async fn take(request: &HttpRequest, payload: &mut Payload, receiver: &Receiver) -> Result<HttpResponse, Problem> {
    let path = path_instance(request)?;
    let path = path.as_ref();
    if let Err(full) = receiver.ingest.admit() {
        body::pass_over(payload).await;
        return Err(full.into());
    }
    let body = receiver.reader.read(request, payload).await?;
    let received = Instant::now();
    let signer = receiver.authenticate(request, path, &body)?;
    let event = Event::read(&receiver.keyring, path, &signer, body, receiver.clock.now());
    let remarks = Remarks::of(&event);
    let receipt = receiver.ingest.submit(event).await?;
    receiver.meters.events.answer(received.elapsed());
    remarks.log();
    Ok(HttpResponse::Ok().json(Accepted { ok: true, duplicate: receipt.duplicate }))
}

/// The instance that the URL names, if it names one.
fn path_instance(request: &HttpRequest) -> Result<Option<InstanceId>, Problem> {
    let Some(segment) = request.match_info().get("instance_id") else { return Ok(None) };
    if segment.contains(['{', '}']) {
        return Err(Problem::NotFound("put the id of the instance in the place of {instance_id}".to_owned()));
    }
    let instance = InstanceId::new(segment).map_err(|error| Problem::NotFound(error.to_string()))?;
    Ok(Some(instance).filter(|instance| !instance.is_unstated()))
}

impl Receiver {
    /// Who signed the body; a refusal is noted for the owner.
    fn authenticate(&self, request: &HttpRequest, path: Option<&InstanceId>, body: &[u8]) -> Result<Signer, Problem> {
        let verified = self.verify(request, path, body).inspect_err(|problem| {
            let claimed = || path.cloned().or_else(|| Event::stated_instance(body));
            let client = peer::client_address(request, &self.trusted_proxies);
            self.refusals.note(problem, claimed, client, self.clock.now());
        });
        let (signer, used) = verified?;
        self.meters.events.verify(used);
        Ok(signer)
    }

    fn verify(
        &self,
        request: &HttpRequest,
        path: Option<&InstanceId>,
        body: &[u8],
    ) -> Result<(Signer, SecretUsed), Problem> {
        if self.keyring.is_empty() {
            let allowed = self.allow_unsigned || peer::is_local(request);
            let unsigned = allowed.then_some((Signer::Nobody, SecretUsed::None));
            return unsigned.ok_or(Problem::SignatureMissing(UNSIGNED_REFUSED));
        }
        let values = request.headers().get_all(SIGNATURE_HEADER).map(|value| value.as_bytes());
        let signature = Signature::from_headers(values).map_err(|error| match error {
            SignatureError::Missing => Problem::SignatureMissing(SIGNATURE_ABSENT),
            SignatureError::Malformed => Problem::SignatureMismatch,
        })?;
        self.keyring.verify(path, body, &signature).ok_or(Problem::SignatureMismatch)
    }
}

/// What the log says of an event once it is stored: nothing of its content.
enum Remarks {
    None,
    Test { instance: InstanceId, signed: bool },
    Mismatch { instance: InstanceId, body_instance: InstanceId },
    Quarantined { instance: InstanceId, reason: String },
}

impl Remarks {
    fn of(event: &Event) -> Self {
        let instance = event.instance_id.clone();
        match (&event.contradicts, event.reading.state) {
            (Some(stated), _) => Self::Mismatch { instance, body_instance: stated.clone() },
            (None, EventState::Quarantined) => {
                Self::Quarantined { instance, reason: event.reading.reason.clone().unwrap_or_default() }
            }
            _ if event.reading.about.event_type.as_deref() == Some(TEST_WEBHOOK) => {
                Self::Test { instance, signed: event.signed }
            }
            _ => Self::None,
        }
    }

    fn log(self) {
        match self {
            Self::None => {}
            Self::Test { instance, signed } => {
                let signature = if signed { "signature valid" } else { "unsigned" };
                info!(instance.id = %instance, "a test webhook has arrived and is stored ({signature})");
            }
            Self::Mismatch { instance, body_instance } => warn!(
                instance.id = %instance,
                instance.in_body = %body_instance,
                "an event names another instance than its URL or secret; it is kept as quarantined. \
                 Register the URL of each instance with that instance alone"
            ),
            Self::Quarantined { instance, reason } => {
                warn!(instance.id = %instance, reason, "an event cannot be used; it is kept as quarantined");
            }
        }
    }
}
