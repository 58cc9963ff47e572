//! Instances: `GET /api/v1/instances`.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config;
use crate::http::api::answer::shown;
use crate::http::api::parameters;
use crate::http::api::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::{Answer, encoded_len};
use crate::http::openapi::problem_docs::ListProblems;
use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::page::{PAGE_BYTES, fitting};
use domain::time::zone::Zone;
use platform::clock::Clock;
use store::{InstanceReport, Occurrence};

/// What is known without the database.
pub struct ConfiguredInstances {
    configured: Vec<config::ConfiguredInstance>,
    /// Whose days are counted.
    zone: Zone,
    clock: Arc<dyn Clock>,
}

/// All instances that the token sees: there are no pages.
#[derive(Serialize, ToSchema)]
pub struct InstancesAnswer {
    pub data: Vec<Instance>,
    /// True if there are more instances: the answer ends at 4 MiB.
    #[schema(example = false)]
    pub truncated: bool,
    /// The zone of `today`.
    #[schema(example = "America/Bogota")]
    pub time_zone: String,
}

/// A WhatsApp number at the gateway.
#[derive(Serialize, ToSchema)]
pub struct Instance {
    /// `-` for what came without an instance.
    #[schema(example = "123")]
    pub instance_id: String,
    /// What it is called in the configuration.
    #[schema(example = "Sales")]
    pub name: Option<String>,
    /// Its first event; null where there was none yet.
    pub first_event: Option<InstancePlace>,
    pub last_event: Option<InstancePlace>,
    /// When its latest message was.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub last_message_at: Option<String>,
    pub today: Today,
    /// Its quarantined events, counted up to 1000: `GET /api/v1/events?state=quarantined` shows them.
    #[schema(example = 0, maximum = 1000)]
    pub quarantined: i64,
}

/// Where an event stands in the ledger.
#[derive(Serialize, ToSchema)]
#[schema(as = LedgerPlace)]
pub struct InstancePlace {
    #[schema(example = 4711)]
    pub seq: i64,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716801)]
    pub timestamp: i64,
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
}

/// Messages since midnight.
#[derive(Default, Serialize, ToSchema)]
pub struct Today {
    #[schema(example = 120)]
    pub incoming: i64,
    #[schema(example = 80)]
    pub outgoing: i64,
}

impl ConfiguredInstances {
    pub fn new(configured: Vec<config::ConfiguredInstance>, zone: Zone, clock: Arc<dyn Clock>) -> Self {
        Self { configured, zone, clock }
    }
}

/// `GET /api/v1/instances`
#[utoipa::path(
    operation_id = "list_instances",
    get, path = "/api/v1/instances", tag = "Ledger", security(("token" = [])),
    summary = "The instances, and what is known of each",
    description = "Those of which there is an event, and those that are configured.",
    responses((status = 200, description = "The instances", body = InstancesAnswer), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    roster: Data<ConfiguredInstances>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    parameters::none(&request)?;
    let (since, until) = roster.zone.day(roster.clock.now());
    let scope = reader.scope.clone();
    let known = archive.ask(|store| async move { store.list_instances(&scope, since, until).await }).await?;
    let configured = roster.configured.iter().filter(|instance| reader.scope.allows(&instance.id));
    let mut instances: BTreeMap<InstanceId, Instance> =
        known.into_iter().map(|report| (report.instance_id.clone(), report.into())).collect();
    for config::ConfiguredInstance { id, name, .. } in configured {
        instances.entry(id.clone()).or_insert_with(|| Instance::silent(id)).name = name.clone();
    }
    let mut data: Vec<Instance> = instances.into_values().collect();
    let sizes: Vec<usize> = data.iter().map(encoded_len).collect();
    let fitting = fitting(PAGE_BYTES, sizes.iter());
    let truncated = fitting < data.len();
    data.truncate(fitting);
    answer.json(&InstancesAnswer { data, truncated, time_zone: roster.zone.name().to_owned() })
}

impl Instance {
    /// One of which nothing was heard yet.
    fn silent(id: &InstanceId) -> Self {
        Self {
            instance_id: id.as_str().to_owned(),
            name: None,
            first_event: None,
            last_event: None,
            last_message_at: None,
            today: Today::default(),
            quarantined: 0,
        }
    }
}

impl From<InstanceReport> for Instance {
    fn from(report: InstanceReport) -> Self {
        Self {
            first_event: Some(report.first_event.into()),
            last_event: Some(report.last_event.into()),
            last_message_at: report.last_message_at.map(shown),
            today: Today { incoming: report.incoming, outgoing: report.outgoing },
            quarantined: report.quarantined,
            ..Self::silent(&report.instance_id)
        }
    }
}

impl From<Occurrence> for InstancePlace {
    fn from(occurrence: Occurrence) -> Self {
        Self {
            seq: occurrence.seq,
            timestamp: occurrence.received_at.seconds(),
            received_at: shown(occurrence.received_at),
        }
    }
}
