//! Acks: `GET /api/v1/acks`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{ListAnswer, shown};
use super::parameters::{self, ListOrder, ListParameters, PointInTime, instance, text};
use super::statistics::LocalTime;
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::Answer;
use crate::http::openapi::problem_docs::ListProblems;
use crate::http::problem::Problem;
use domain::message::ack::StatedAck;
use store::{AckFilter, AckReport};

const LIST: &str = "acks";

/// A word that was stated of a message.
#[derive(Serialize, ToSchema)]
pub struct AckView {
    /// Verbatim.
    #[schema(example = "delivered")]
    pub ack: String,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716803)]
    pub timestamp: i64,
    /// When it was first stated.
    #[schema(example = "2024-08-27T00:00:03.100Z", format = DateTime)]
    pub received_at: String,
}

/// A word that was stated of a message, and the message.
#[derive(Serialize, ToSchema)]
pub struct Ack {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    #[serde(flatten)]
    pub stated: AckView,
}

/// Which acks.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AckParameters {
    /// Of this instance; `-` for those that came without one.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// Of this message.
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// This word, verbatim.
    #[param(example = "read")]
    ack: Option<String>,
    /// Acks stated from this time on: seconds since 1970, RFC 3339, or a date in the setting `time_zone`.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Acks stated before this time; a date is not included.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-28T00:00:00Z")]
    until: Option<String>,
    /// `desc` (newest first) or `asc`.
    #[param(inline, value_type = Option<ListOrder>, example = "desc")]
    order: Option<String>,
    /// How many at most; 50 where nobody says.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, example = 50)]
    limit: Option<String>,
    /// `next_cursor` or `prev_cursor` of an answer.
    cursor: Option<String>,
}

/// `GET /api/v1/acks`
#[utoipa::path(
    operation_id = "list_acks",
    get, path = "/api/v1/acks", tag = "Messages", params(AckParameters), security(("token" = [])),
    summary = "What was stated of messages, each word once, the newest first",
    responses((status = 200, description = "A page of acks", body = ListAnswer<Ack>), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let AckParameters { instance_id, message_id, ack, since, until, order, limit, cursor } =
        &parameters::read(&request)?;
    let filter = AckFilter { instance_id: instance(instance_id), message_id: text(message_id), ack: text(ack) };
    let paging = ListParameters { limit, cursor, order, since, until }.paging(LIST, &local.zone)?;
    let page = archive.ask(|store| async move { store.list_acks(&reader.scope, &filter, &paging).await }).await?;
    answer.list(LIST, page.map(Ack::from))
}

impl From<StatedAck> for AckView {
    fn from(stated: StatedAck) -> Self {
        Self { ack: stated.ack, timestamp: stated.received_at.seconds(), received_at: shown(stated.received_at) }
    }
}

impl From<AckReport> for Ack {
    fn from(report: AckReport) -> Self {
        Self {
            instance_id: report.instance_id.as_str().to_owned(),
            message_id: report.message_id,
            stated: report.stated.into(),
        }
    }
}
