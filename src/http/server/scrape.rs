//! `GET /metrics`: what is counted and how things stand, for Prometheus.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::health::Readiness;
use crate::http::api::parameters;
use crate::http::auth::access::Access;
use crate::http::limits::peer;
use crate::http::problem::Problem;
use crate::ingest::Ingest;
use crate::media::MediaCapacity;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use platform::clock::Clock;
use platform::meters::Meters;
use store::{Store, StoreError};

/// How long an answer waits for the database. What it has not said by then is shown as it was before.
const STOCK_WAIT: Duration = Duration::from_secs(2);
/// After the database was asked, it rests for so many times as long as it took: it is busy with this for a twentieth of
/// the time at most, however often somebody asks.
const REST: u32 = 20;
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// What an answer is put together from.
pub struct Scrape {
    pub meters: Arc<Meters>,
    pub readiness: Arc<Readiness>,
    pub ingest: Ingest,
    /// Of the media worker, if there is one.
    pub room: Option<Arc<MediaCapacity>>,
    pub stock: Arc<StoreGauges>,
    /// Whether the listener is bound to loopback: then a program on this machine needs no token.
    pub is_local: bool,
}

/// What the database counts.
pub struct StoreGauges {
    store: Arc<dyn Store>,
    meters: Arc<Meters>,
    clock: Arc<dyn Clock>,
    /// The instances that come first, if there are more than are exported.
    configured: HashSet<InstanceId>,
    /// Where the store's connections live.
    runtime: Handle,
    rests_until: Mutex<Instant>,
}

/// `GET /metrics`
pub async fn metrics(
    scrape: Data<Scrape>,
    access: Data<Access>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    scrape.admit(&access, &request).await?;
    parameters::none(&request)?;
    scrape.look().await;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(scrape.meters.text()))
}

impl Scrape {
    /// A token that sees some instances alone is told nothing of the others: to it, this is not there.
    async fn admit(&self, access: &Access, request: &HttpRequest) -> Result<(), Problem> {
        if self.is_local && peer::is_local(request) {
            return Ok(());
        }
        match access.admit(request).await?.scope {
            Scope::All => Ok(()),
            Scope::Instances(_) => Err(Problem::NotFound("there is nothing here".to_owned())),
        }
    }

    /// Sees how things stand.
    async fn look(&self) {
        let is_up = self.readiness.store_answers().await;
        self.meters.show_store(is_up);
        if is_up {
            self.stock.take().await;
        }
        let (events, bytes) = self.ingest.waiting();
        self.meters.show_queue(events, bytes);
        let disks = [Some(("database", self.ingest.disk())), self.room.as_ref().map(|room| ("media", room.watched()))];
        for (what, disk) in disks.into_iter().flatten() {
            if let Some(free) = disk.free() {
                self.meters.show_disk(what, free, disk.min_free());
            }
        }
    }
}

impl StoreGauges {
    /// Asks in the runtime that this is called in.
    pub fn new(
        store: Arc<dyn Store>,
        meters: Arc<Meters>,
        clock: Arc<dyn Clock>,
        configured: impl Iterator<Item = InstanceId>,
    ) -> Self {
        let (runtime, rests_until) = (Handle::current(), Mutex::new(Instant::now()));
        Self { store, meters, clock, configured: configured.collect(), runtime, rests_until }
    }

    /// Has it counted, unless it was a short time ago. What takes too long is not waited for, and goes on.
    async fn take(self: &Arc<Self>) {
        let stock = self.clone();
        // One that is late or has panicked has said nothing new.
        let _ = timeout(STOCK_WAIT, self.runtime.spawn(async move { stock.count().await })).await;
    }

    async fn count(&self) {
        let mut rests_until = self.rests_until.lock().await;
        let started = Instant::now();
        if started < *rests_until {
            return;
        }
        if let Err(error) = self.ask().await {
            warn!(%error, "what the database counts for /metrics is not known anew");
        }
        *rests_until = Instant::now() + (started.elapsed() * REST).min(LONGEST_REST);
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let mut last = self.store.last_events().await?;
        last.sort_by_key(|(instance, _)| !self.configured.contains(instance));
        self.meters.show_last_events(&last);
        let jobs = self.store.count_media().await?;
        self.meters.show_media(&jobs, self.clock.now());
        Ok(())
    }
}
