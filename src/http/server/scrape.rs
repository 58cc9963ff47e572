//! `GET /metrics`: counters and gauges for Prometheus.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::health::Readiness;
use crate::http::ApiState;
use crate::http::api::parameters::{NoParameters, read};
use crate::http::auth::access::Access;
use crate::http::auth::credentials::AcceptedCredentials;
use crate::http::peer;
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use crate::ingest::Ingest;
use crate::media::MediaCapacity;
use domain::access::scope::Scope;
use domain::forward::ForwardName;
use domain::instance::InstanceId;
use platform::clock::Clock;
use platform::meters::{ForwardGauges, Meters};
use store::{ErasureStage, Store, StoreError};

/// The maximum time that a response waits for the database. Gauges that are not updated by then keep their values.
const STORE_WAIT: Duration = Duration::from_secs(2);
/// After an update, the next one is due after this many times as long as the update took: so the database is busy with
/// updates for at most a twentieth of the time, however often the metrics are requested.
const PAUSE_FACTOR: u32 = 20;
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The sources of the metrics.
pub struct Scrape {
    pub meters: Arc<Meters>,
    pub readiness: Arc<Readiness>,
    pub ingest: Ingest,
    /// The capacity of the media worker, if there is one.
    pub media: Option<Arc<MediaCapacity>>,
    pub gauges: Arc<StoreGauges>,
    /// True if the listener is bound to loopback: then a program on this machine needs no token.
    pub is_local: bool,
}

/// The gauges of what the database holds.
pub struct StoreGauges {
    store: StoreHandle,
    meters: Arc<Meters>,
    clock: Arc<dyn Clock>,
    /// The instances that are exported first, if there are too many.
    configured: HashSet<InstanceId>,
    /// The names of the configured forwards.
    forwards: Vec<ForwardName>,
    next_update: Mutex<Instant>,
}

/// `GET /metrics`
pub async fn metrics(api: Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let scrape = &api.scrape;
    scrape.authenticate(&api.access, &request).await?;
    read::<NoParameters>(&request)?;
    scrape.update().await;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(scrape.meters.text()))
}

impl Scrape {
    /// Accepts tokens that can see all instances. To other tokens this endpoint does not exist.
    async fn authenticate(&self, access: &Access, request: &HttpRequest) -> Result<(), Problem> {
        if self.is_local && peer::is_local(request) {
            return Ok(());
        }
        match access.authenticate(request, AcceptedCredentials::Tokens).await?.scope {
            Scope::All => Ok(()),
            Scope::Instances(_) => Err(Problem::NotFound("there is nothing here".to_owned())),
        }
    }

    /// Updates the gauges.
    async fn update(&self) {
        let is_up = self.readiness.store_answers().await;
        self.meters.show_store(is_up);
        if is_up {
            self.gauges.update().await;
        }
        let (events, bytes) = self.ingest.waiting();
        self.meters.show_queue(events, bytes);
        let disks = [Some(("database", self.ingest.disk())), self.media.as_ref().map(|media| ("media", media.disks()))];
        for (name, disk) in disks.into_iter().flatten() {
            if let Some(free) = disk.free() {
                self.meters.show_disk(name, free, disk.min_free());
            }
        }
    }
}

impl StoreGauges {
    pub fn new(
        store: StoreHandle,
        meters: Arc<Meters>,
        clock: Arc<dyn Clock>,
        configured: impl Iterator<Item = InstanceId>,
        forwards: Vec<ForwardName>,
    ) -> Self {
        let next_update = Mutex::new(Instant::now());
        Self { store, meters, clock, configured: configured.collect(), forwards, next_update }
    }

    /// Updates the gauges, unless that was done a short time ago. An update that takes too long goes on in the background.
    async fn update(self: &Arc<Self>) {
        let gauges = self.clone();
        let update = self.store.spawn(|store| async move { gauges.update_if_due(&*store).await });
        // After an update that is late or has panicked, the gauges keep their values.
        let _ = timeout(STORE_WAIT, update).await;
    }

    async fn update_if_due(&self, store: &dyn Store) {
        let mut next_update = self.next_update.lock().await;
        let started = Instant::now();
        if started < *next_update {
            return;
        }
        if let Err(error) = self.query(store).await {
            warn!(%error, "the gauges of the database for /metrics could not be updated");
        }
        *next_update = Instant::now() + (started.elapsed() * PAUSE_FACTOR).min(MAX_PAUSE);
    }

    async fn query(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut last = store.last_events().await?;
        last.sort_by_key(|(instance, _)| !self.configured.contains(instance));
        self.meters.show_last_events(&last);
        let jobs = store.count_media().await?;
        self.meters.show_media(&jobs, self.clock.now());
        let erasures = store.erasures().await?;
        self.meters.show_erasures(erasures.iter().filter(|it| it.stage != ErasureStage::Ended).count());
        self.show_forwards(store).await
    }

    /// Shows the forwards that are configured. One that was removed would keep an alert.
    async fn show_forwards(&self, store: &dyn Store) -> Result<(), StoreError> {
        if self.forwards.is_empty() {
            return Ok(());
        }
        let (reports, now) = (store.forwards().await?, self.clock.now());
        for report in reports.iter().filter(|it| self.forwards.iter().any(|name| name.as_str() == it.name)) {
            self.meters.show_forward(&ForwardGauges {
                name: &report.name,
                lag_events: report.lag_events,
                lag_seconds: report.lag_seconds(now),
                is_stopped: report.stopped_since.is_some(),
                is_paused: report.paused,
            });
        }
        Ok(())
    }
}
