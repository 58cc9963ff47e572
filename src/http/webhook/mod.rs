//! `POST /webhook[/{instance_id}]`: where the gateway's events come in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tracing::{info, warn};

use super::problem::Problem;
use crate::http::api::answer;
use crate::http::auth::auth_failure_limiter::AuthFailureLimiter;
use crate::http::limits::peer;
use crate::http::limits::throttled_warning::ThrottledWarning;
use crate::http::webhook::body::BodyReader;
use crate::ingest::Ingest;
use domain::access::signature::{Keyring, SecretUsed, Signature, SignatureError, Signer};
use domain::event::{Event, EventState, SECRET_CHECK, TEST_WEBHOOK};
use domain::instance::InstanceId;
use platform::clock::Clock;
use platform::meters::Meters;

pub mod body;
pub mod identity;
pub mod instances;

/// The header with the signature, as the guide names it.
const SIGNATURE_HEADER: &str = "x-whapi-signature";

const UNSIGNED_REFUSED: &str = "no secret is configured, and unsigned events are taken only from a program on this machine; \
     set BUZON_WEBHOOK_SECRET here and the same secret at the gateway";
const SIGNATURE_ABSENT: &str = "the header X-Whapi-Signature is missing; set the secret at the gateway too";

/// What receiving takes.
pub struct Receiver {
    pub reader: BodyReader,
    pub ingest: Ingest,
    pub clock: Arc<dyn Clock>,
    pub keyring: Keyring,
    pub allow_unsigned: bool,
    pub trusted_proxies: Vec<IpNet>,
    /// Where events may come from, if not from anywhere.
    pub allow_from: Option<Vec<IpNet>>,
    pub refusals: ThrottledWarning,
    pub meters: Arc<Meters>,
    pub strangers: Arc<AuthFailureLimiter>,
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
    let claim = match receiver.admit(request, path) {
        Ok(claim) => claim,
        Err(problem) => {
            body::pass_over(payload).await;
            return Err(problem);
        }
    };
    let body = receiver.reader.read(request, payload).await?;
    let received = Instant::now();
    let signer = receiver.authenticate(request, path, &claim, &body)?;
    let event = Event::read(&receiver.keyring, path, &signer, body, receiver.clock.now());
    let remarks = Remarks::of(&event);
    let receipt = receiver.ingest.submit(event).await?;
    receiver.meters.events.answer(received.elapsed());
    remarks.log(peer::client_address(request, &receiver.trusted_proxies));
    Ok(answer::json(&mut HttpResponse::Ok(), &Accepted { ok: true, duplicate: receipt.duplicate }))
}

/// The instance that the URL names, if it names one.
fn path_instance(request: &HttpRequest) -> Result<Option<InstanceId>, Problem> {
    let Some(segment) = request.match_info().get("instance_id") else { return Ok(None) };
    // The router leaves %25, %2B and %2F as they are, and decodes everything else.
    let segment = percent_decode_str(segment).decode_utf8_lossy();
    if segment.contains(['{', '}']) {
        return Err(Problem::NotFound("put the id of the instance in the place of {instance_id}".to_owned()));
    }
    let instance = InstanceId::new(&segment).map_err(|error| Problem::NotFound(error.to_string()))?;
    Ok(Some(instance).filter(|instance| !instance.is_unstated()))
}

/// What a request shows before its body is read.
enum SignatureClaim {
    /// It is not signed, and need not be.
    Unsigned,
    Signed(Signature),
}

impl Receiver {
    /// Refuses what cannot become an event, whatever its body is.
    fn admit(&self, request: &HttpRequest, path: Option<&InstanceId>) -> Result<SignatureClaim, Problem> {
        let claim = self.allowed(request).and_then(|()| self.claim(request));
        let claim = claim.map_err(|problem| self.refuse(request, problem, || path.cloned()))?;
        self.ingest.admit()?;
        Ok(claim)
    }

    /// The address is that of the client, and a header about it counts only where a trusted proxy wrote it.
    fn allowed(&self, request: &HttpRequest) -> Result<(), Problem> {
        let Some(networks) = &self.allow_from else { return Ok(()) };
        let client = peer::client_address(request, &self.trusted_proxies);
        let named = client.is_some_and(|client| peer::contain(networks, client));
        if named { Ok(()) } else { Err(Problem::ClientNotAllowed) }
    }

    fn claim(&self, request: &HttpRequest) -> Result<SignatureClaim, Problem> {
        if self.keyring.is_empty() {
            let allowed = self.allow_unsigned || peer::is_local(request);
            return allowed.then_some(SignatureClaim::Unsigned).ok_or(Problem::SignatureMissing(UNSIGNED_REFUSED));
        }
        let values = request.headers().get_all(SIGNATURE_HEADER).map(|value| value.as_bytes());
        Signature::from_headers(values).map(SignatureClaim::Signed).map_err(|error| match error {
            SignatureError::Missing => Problem::SignatureMissing(SIGNATURE_ABSENT),
            SignatureError::Malformed => Problem::SignatureMismatch,
        })
    }

    /// Who signed the body.
    fn authenticate(
        &self,
        request: &HttpRequest,
        path: Option<&InstanceId>,
        claim: &SignatureClaim,
        body: &[u8],
    ) -> Result<Signer, Problem> {
        let verified = match claim {
            SignatureClaim::Unsigned => Some((Signer::Nobody, SecretUsed::None)),
            SignatureClaim::Signed(signature) => self.keyring.verify(path, body, signature),
        };
        let (signer, used) = verified.ok_or_else(|| {
            let claimed = || path.cloned().or_else(|| Event::stated_instance(body));
            self.refuse(request, Problem::SignatureMismatch, claimed)
        })?;
        self.meters.events.verify(used);
        Ok(signer)
    }

    /// Notes a refusal for the owner, and counts it for the client.
    fn refuse(&self, request: &HttpRequest, problem: Problem, claimed: impl FnOnce() -> Option<InstanceId>) -> Problem {
        let client = peer::client_address(request, &self.trusted_proxies);
        self.refusals.note(&problem, claimed, client, self.clock.now());
        self.strangers.refuse(request, problem)
    }
}

/// What the log says of an event once it is stored: nothing of its content.
enum Remarks {
    None,
    Test { instance: InstanceId, signed: bool },
    SecretCheck { instance: InstanceId },
    Mismatch { instance: InstanceId, body_instance: InstanceId },
    Quarantined { instance: InstanceId, reason: String },
}

impl Remarks {
    fn of(event: &Event) -> Self {
        let instance = event.instance_id.clone();
        let is = |event_type| event.interpretation.subject.event_type.as_deref() == Some(event_type);
        match (&event.mismatched_instance, event.interpretation.state) {
            (Some(stated), _) => Self::Mismatch { instance, body_instance: stated.clone() },
            (None, EventState::Quarantined) => {
                Self::Quarantined { instance, reason: event.interpretation.reason.clone().unwrap_or_default() }
            }
            _ if is(TEST_WEBHOOK) => Self::Test { instance, signed: event.signed },
            _ if is(SECRET_CHECK) => Self::SecretCheck { instance },
            _ => Self::None,
        }
    }

    /// `client` is who has sent it.
    fn log(self, client: Option<IpAddr>) {
        let client = client.map(tracing::field::display);
        match self {
            Self::None => {}
            Self::Test { instance, signed } => {
                let signature = if signed { "signature valid" } else { "unsigned" };
                info!(
                    instance.id = %instance,
                    client.address = client,
                    "a test webhook has arrived and is stored ({signature})"
                );
            }
            Self::SecretCheck { instance } => info!(
                instance.id = %instance,
                client.address = client,
                "buzon gateway register has tried the instance's secret here, and it is good; the gateway has sent nothing yet"
            ),
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
