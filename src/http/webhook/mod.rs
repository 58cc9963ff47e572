//! `POST /webhook[/{instance_id}]`: receives the events of the gateway.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tracing::{info, warn};

use crate::http::auth::auth_failure_limiter::AuthFailureLimiter;
use crate::http::json::json;
use crate::http::limits::throttled_warning::ThrottledWarning;
use crate::http::peer;
use crate::http::problem::Problem;
use crate::ingest::Ingest;
use domain::access::signature::{Keyring, SecretUsed, Signature, SignatureError, Signer};
use domain::event::{Event, EventState, SECRET_CHECK, TEST_WEBHOOK};
use domain::forward::EVENT_HEADER;
use domain::instance::InstanceId;
use domain::retention::RetentionPolicy;
use platform::clock::Clock;
use platform::meters::Meters;

pub mod body;
pub mod identity;

use body::BodyReader;

/// The header with the signature, as the gateway's guide names it.
const SIGNATURE_HEADER: &str = "x-whapi-signature";

const UNSIGNED_REFUSED: &str = "no secret is configured, and unsigned events are accepted only from a program on this machine; \
     set BUZON_WEBHOOK_SECRET here and the same secret at the gateway";
const SIGNATURE_ABSENT: &str = "the header X-Whapi-Signature is missing; set the secret at the gateway too";

/// The parts that receive events.
pub struct Receiver {
    pub body_reader: BodyReader,
    pub ingest: Ingest,
    pub clock: Arc<dyn Clock>,
    pub keyring: Keyring,
    /// The time for which events are kept. Of an older one, only its arrival is.
    pub retention: RetentionPolicy,
    pub allow_unsigned: bool,
    pub trusted_proxies: Vec<IpNet>,
    /// The networks that events may come from; `None` for all.
    pub allow_from: Option<Vec<IpNet>>,
    pub warning: ThrottledWarning,
    /// The warning about bodies that are too large. It has a counter of its own because what it names is lost.
    pub too_large: ThrottledWarning,
    pub meters: Arc<Meters>,
    pub failures: Arc<AuthFailureLimiter>,
}

#[derive(Serialize)]
struct EventAccepted {
    ok: bool,
    duplicate: bool,
}

/// Receives an event. Answers 200 when the event is committed and on disk.
pub async fn receive(
    request: HttpRequest,
    mut payload: Payload,
    receiver: Data<Receiver>,
) -> Result<HttpResponse, Problem> {
    let accepted = accept(&request, &mut payload, &receiver).await;
    accepted.inspect_err(|problem| receiver.meters.refuse(problem.code()))
}

async fn accept(request: &HttpRequest, payload: &mut Payload, receiver: &Receiver) -> Result<HttpResponse, Problem> {
    let path = path_instance(request)?;
    let path = path.as_ref();
    let signature = match receiver.admit(request, path) {
        Ok(signature) => signature,
        Err(problem) => {
            body::discard_arrived(payload).await;
            return Err(problem);
        }
    };
    let body = receiver.body_reader.read(request, payload).await;
    let body = body.inspect_err(|problem| receiver.note_unread(request, path, &signature, problem))?;
    let received = Instant::now();
    let signer = receiver.authenticate(request, path, &signature, &body)?;
    let event = Event::read(&receiver.keyring, path, &signer, body, receiver.clock.now());
    let mut event = receiver.retention.admit(event);
    event.forwarded = request.headers().contains_key(EVENT_HEADER);
    let remark = LogRemark::of(&event);
    let receipt = receiver.ingest.submit(event).await?;
    receiver.meters.events.answer(received.elapsed());
    remark.log(peer::client_address(request, &receiver.trusted_proxies));
    Ok(json(&mut HttpResponse::Ok(), &EventAccepted { ok: true, duplicate: receipt.duplicate }))
}

/// Returns the instance that the URL names, if it names one.
fn path_instance(request: &HttpRequest) -> Result<Option<InstanceId>, Problem> {
    let Some(segment) = request.match_info().get("instance_id") else { return Ok(None) };
    // The router leaves %25, %2B and %2F as they are, and decodes everything else.
    let segment = percent_decode_str(segment).decode_utf8_lossy();
    if segment.contains(['{', '}']) {
        return Err(Problem::NotFound("replace {instance_id} with the id of the instance".to_owned()));
    }
    let instance = InstanceId::new(&segment).map_err(|error| Problem::NotFound(error.to_string()))?;
    Ok(Some(instance).filter(|instance| !instance.is_unstated()))
}

/// The signature of a request, not yet compared with the body.
enum PresentedSignature {
    /// The request is not signed and need not be.
    Unsigned,
    Signed(Signature),
}

impl Receiver {
    /// Refuses a request that cannot become an event, whatever its body is.
    fn admit(&self, request: &HttpRequest, path: Option<&InstanceId>) -> Result<PresentedSignature, Problem> {
        let signature = self.check_address(request).and_then(|()| self.signature(request));
        let signature = signature.map_err(|problem| self.refuse(request, problem, || path.cloned()))?;
        self.ingest.admit()?;
        Ok(signature)
    }

    /// Checks the address of the client. A header about it counts only if a trusted proxy wrote it.
    fn check_address(&self, request: &HttpRequest) -> Result<(), Problem> {
        let Some(networks) = &self.allow_from else { return Ok(()) };
        let client = peer::client_address(request, &self.trusted_proxies);
        let is_allowed = client.is_some_and(|client| peer::contain(networks, client));
        if is_allowed { Ok(()) } else { Err(Problem::ClientNotAllowed) }
    }

    fn signature(&self, request: &HttpRequest) -> Result<PresentedSignature, Problem> {
        if self.keyring.is_empty() {
            let is_allowed = self.allow_unsigned || peer::is_local(request);
            return is_allowed
                .then_some(PresentedSignature::Unsigned)
                .ok_or(Problem::SignatureMissing(UNSIGNED_REFUSED));
        }
        let values = request.headers().get_all(SIGNATURE_HEADER).map(|value| value.as_bytes());
        Signature::from_headers(values).map(PresentedSignature::Signed).map_err(|error| match error {
            SignatureError::Missing => Problem::SignatureMissing(SIGNATURE_ABSENT),
            SignatureError::Malformed => Problem::SignatureMismatch,
        })
    }

    /// Verifies the signature and returns who signed the body.
    fn authenticate(
        &self,
        request: &HttpRequest,
        path: Option<&InstanceId>,
        signature: &PresentedSignature,
        body: &[u8],
    ) -> Result<Signer, Problem> {
        let verified = match signature {
            PresentedSignature::Unsigned => Some((Signer::Nobody, SecretUsed::None)),
            PresentedSignature::Signed(signature) => self.keyring.verify(path, body, signature),
        };
        let (signer, used) = verified.ok_or_else(|| {
            let claimed = || path.cloned().or_else(|| Event::stated_instance(body));
            self.refuse(request, Problem::SignatureMismatch, claimed)
        })?;
        self.meters.events.verify(used);
        Ok(signer)
    }

    /// Warns the owner of a body that is too large, at most once a minute. Whether its signature is valid is not known,
    /// because nothing of it is read.
    fn note_unread(
        &self,
        request: &HttpRequest,
        path: Option<&InstanceId>,
        signature: &PresentedSignature,
        problem: &Problem,
    ) {
        let Problem::BodyTooLarge(limit) = problem else { return };
        if let Some(count) = self.too_large.due(self.clock.now()) {
            warn!(
                refused.count = count,
                instance.claimed = path.map(tracing::field::display),
                body.size = body::announced_length(request),
                body.limit = limit,
                body.signed = matches!(signature, PresentedSignature::Signed(_)),
                client.address = peer::client_address(request, &self.trusted_proxies).map(tracing::field::display),
                "an event is larger than max_body and is lost, unless the gateway keeps it; \
                 set BUZON_MAX_BODY to more than its size"
            );
        }
    }

    /// Warns the owner of a refusal, at most once a minute, and counts it for the client. `claimed` finds the instance that
    /// the request claims to be from.
    fn refuse(&self, request: &HttpRequest, problem: Problem, claimed: impl FnOnce() -> Option<InstanceId>) -> Problem {
        if let Some(count) = self.warning.due(self.clock.now()) {
            warn!(
                refused.count = count,
                refused.code = problem.code(),
                instance.claimed = claimed().map(tracing::field::display),
                client.address = peer::client_address(request, &self.trusted_proxies).map(tracing::field::display),
                "webhooks were refused and nothing of them is kept: {problem}"
            );
        }
        self.failures.refuse(request, problem)
    }
}

/// A log line about an event once it is stored. It has nothing of the event's content.
enum LogRemark {
    None,
    Test { instance: InstanceId, signed: bool },
    SecretCheck { instance: InstanceId },
    Mismatch { instance: InstanceId, body_instance: InstanceId },
    Quarantined { instance: InstanceId, reason: String },
}

impl LogRemark {
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

    /// `client` is the sender.
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
