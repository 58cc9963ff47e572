//! Acks: `GET /api/v1/acks`.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pages::{ListResponse, PageParameters};
use super::parameters::{instance, text};
use super::request::ListRequest;
use super::time::rfc3339;
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::message::ack::StatedAck;
use store::{AckFilter, AckReport};

/// An ack of a message.
#[derive(Serialize, ToSchema)]
pub struct AckOfMessage {
    /// The gateway's word, verbatim.
    #[schema(example = "delivered")]
    pub ack: String,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716803)]
    pub timestamp: i64,
    /// When the ack first arrived.
    #[schema(example = "2024-08-27T00:00:03.100Z", format = DateTime)]
    pub received_at: String,
    /// When the latest event arrived that states it. Of `sent` and `failed`, the later one is the ack of the message.
    #[schema(example = "2024-08-27T00:00:03.100Z", format = DateTime)]
    pub last_received_at: String,
}

/// An ack, and the message that it is about.
#[derive(Serialize, ToSchema)]
pub struct Ack {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    #[serde(flatten)]
    pub ack: AckOfMessage,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AckParameters {
    /// Only acks of this instance; `-` stands for those that came without one.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only acks of this message.
    #[serde(deserialize_with = "text")]
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// Only acks with this word, verbatim.
    #[serde(deserialize_with = "text")]
    #[param(example = "read")]
    ack: Option<String>,
}

/// `GET /api/v1/acks`
#[utoipa::path(
    operation_id = "list_acks",
    get, path = "/api/v1/acks", tag = "Messages", params(AckParameters, PageParameters), security(("token" = [])),
    summary = "Acks of messages, newest first",
    description = "Each word of a message is listed once, at the time when it first arrived.",
    responses((status = 200, description = "A page of acks", body = ListResponse<Ack>), ListProblems),
)]
pub async fn list(request: ListRequest<AckParameters>) -> Result<HttpResponse, Problem> {
    let (parameters, request) = request.split();
    let filter = AckFilter::from(parameters);
    request
        .page("acks", Ack::from, |store, scope, paging| async move { store.list_acks(&scope, &filter, &paging).await })
        .await
}

impl From<AckParameters> for AckFilter {
    fn from(AckParameters { instance_id, message_id, ack }: AckParameters) -> Self {
        Self { instance_id, message_id, ack }
    }
}

impl From<StatedAck> for AckOfMessage {
    fn from(stated: StatedAck) -> Self {
        Self {
            ack: stated.ack,
            timestamp: stated.received_at.seconds(),
            received_at: rfc3339(stated.received_at),
            last_received_at: rfc3339(stated.last_received_at),
        }
    }
}

impl From<AckReport> for Ack {
    fn from(report: AckReport) -> Self {
        Self {
            instance_id: report.instance_id.as_str().to_owned(),
            message_id: report.message_id,
            ack: report.stated.into(),
        }
    }
}
