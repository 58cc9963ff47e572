//! Forwards: `GET /api/v1/forwards`.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::request::ApiRequest;
use crate::http::api::time::rfc3339;
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;
use domain::access::scope::Scope;
use store::ForwardReport;

/// All forwards. The list has no pages.
#[derive(Serialize, ToSchema)]
pub struct ForwardsResponse {
    pub data: Vec<Forward>,
}

/// A receiver that events are handed on to, and how far that is.
#[derive(Serialize, ToSchema)]
pub struct Forward {
    #[schema(example = "bot")]
    pub name: String,
    #[schema(example = false)]
    pub paused: bool,
    /// The time from which the receiver takes nothing; null if it does.
    #[schema(example = json!(null), format = DateTime)]
    pub stopped_since: Option<String>,
    /// The number of events that are still to be sent, counted up to 100,000.
    #[schema(example = 0)]
    pub behind: i64,
    /// When the first of them arrived.
    #[schema(example = json!(null), format = DateTime)]
    pub behind_since: Option<String>,
    #[schema(example = 4711)]
    pub delivered: i64,
    /// The number of events that could not be sent and are tried again.
    #[schema(example = 0)]
    pub waiting: i64,
    /// The number of events that could not be sent and were given up.
    #[schema(example = 0)]
    pub given_up: i64,
}

/// `GET /api/v1/forwards`
#[utoipa::path(
    operation_id = "list_forwards",
    get, path = "/api/v1/forwards", tag = "Ledger", security(("token" = [])),
    summary = "The receivers that events are handed on to, and how far that is",
    description = "A token for some instances sees none: forwards are about all.",
    responses((status = 200, description = "The forwards", body = ForwardsResponse), ListProblems),
)]
pub async fn list(request: ApiRequest) -> Result<HttpResponse, Problem> {
    let data = match request.caller.scope {
        Scope::All => request.ask(|store, _| async move { store.forwards().await }).await?,
        Scope::Instances(_) => vec![],
    };
    request.response.json(&ForwardsResponse { data: data.into_iter().map(Forward::from).collect() })
}

impl From<ForwardReport> for Forward {
    fn from(report: ForwardReport) -> Self {
        Self {
            name: report.name,
            paused: report.paused,
            stopped_since: report.stopped_since.map(rfc3339),
            behind: report.lag_events,
            behind_since: report.lag_since.map(rfc3339),
            delivered: report.delivered,
            waiting: report.waiting,
            given_up: report.dead,
        }
    }
}
