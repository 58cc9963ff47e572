//! Instances: `GET /api/v1/instances`.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::request::ApiRequest;
use super::time::rfc3339;
use crate::config;
use crate::http::json::encoded_len;
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::page::{PAGE_BYTES, fitting};
use store::{InstanceReport, Occurrence};

/// All instances that the token can see. The list has no pages.
#[derive(Serialize, ToSchema)]
pub struct InstancesResponse {
    pub data: Vec<Instance>,
    /// True if there are more instances: the response ends at 4 MiB.
    #[schema(example = false)]
    pub truncated: bool,
    /// The time zone of `today`.
    #[schema(example = "America/Bogota")]
    pub time_zone: String,
}

/// A WhatsApp number at the gateway.
#[derive(Default, Serialize, ToSchema)]
pub struct Instance {
    /// `-` stands for events without an instance.
    #[schema(example = "123")]
    pub instance_id: String,
    /// The name of the instance in the configuration.
    #[schema(example = "Sales")]
    pub name: Option<String>,
    /// The first event; null if there is none yet.
    pub first_event: Option<EventOccurrence>,
    pub last_event: Option<EventOccurrence>,
    /// The time of the latest message.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub last_message_at: Option<String>,
    pub today: Today,
    /// The number of quarantined events, counted up to 1000. `GET /api/v1/events?state=quarantined` lists them.
    #[schema(example = 0, maximum = 1000)]
    pub quarantined: i64,
}

/// An event and the time of its arrival.
#[derive(Serialize, ToSchema)]
pub struct EventOccurrence {
    #[schema(example = "123/5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")]
    pub id: String,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716801)]
    pub timestamp: i64,
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
}

/// The number of messages since midnight.
#[derive(Default, Serialize, ToSchema)]
pub struct Today {
    #[schema(example = 120)]
    pub incoming: i64,
    #[schema(example = 80)]
    pub outgoing: i64,
}

/// `GET /api/v1/instances`
#[utoipa::path(
    operation_id = "list_instances",
    get, path = "/api/v1/instances", tag = "Ledger", security(("token" = [])),
    summary = "The instances, with their first and last events and today's messages",
    description = "Lists the instances that have events and those that are configured.",
    responses((status = 200, description = "The instances", body = InstancesResponse), ListProblems),
)]
pub async fn list(request: ApiRequest) -> Result<HttpResponse, Problem> {
    let api = request.api.clone();
    let zone = &api.local_time.zone;
    let (since, until) = zone.day(api.local_time.clock.now());
    let query = request.ask(|store, scope| async move { store.list_instances(&scope, since, until).await });
    let mut instances: BTreeMap<InstanceId, Instance> =
        query.await?.into_iter().map(|report| (report.instance_id.clone(), report.into())).collect();
    let configured = api.configured_instances.iter().filter(|it| request.caller.scope.allows(&it.id));
    for config::ConfiguredInstance { id, name, .. } in configured {
        let without_events = || Instance { instance_id: id.as_str().to_owned(), ..Instance::default() };
        instances.entry(id.clone()).or_insert_with(without_events).name = name.clone();
    }
    let mut data: Vec<Instance> = instances.into_values().collect();
    let sizes: Vec<usize> = data.iter().map(encoded_len).collect();
    let fitting = fitting(PAGE_BYTES, sizes.iter());
    let truncated = fitting < data.len();
    data.truncate(fitting);
    request.response.json(&InstancesResponse { data, truncated, time_zone: zone.name().to_owned() })
}

impl From<InstanceReport> for Instance {
    fn from(report: InstanceReport) -> Self {
        Self {
            instance_id: report.instance_id.as_str().to_owned(),
            name: None,
            first_event: Some(report.first_event.into()),
            last_event: Some(report.last_event.into()),
            last_message_at: report.last_message_at.map(rfc3339),
            today: Today { incoming: report.incoming, outgoing: report.outgoing },
            quarantined: report.quarantined,
        }
    }
}

impl From<Occurrence> for EventOccurrence {
    fn from(occurrence: Occurrence) -> Self {
        Self {
            id: occurrence.id.to_string(),
            timestamp: occurrence.received_at.seconds(),
            received_at: rfc3339(occurrence.received_at),
        }
    }
}
