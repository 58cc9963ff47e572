//! `/health/live` and `/health/ready`: for whatever watches the service.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::api::answer;
use crate::http::problem::Problem;
use crate::ingest::Ingest;
use crate::media::MediaCapacity;
use store::Store;

/// How long an answer of the database is good for.
const FRESH: Duration = Duration::from_secs(1);
/// How long the database may take for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Whether events can be taken now.
pub struct Readiness {
    store: Arc<dyn Store>,
    ingest: Ingest,
    /// Of the media worker, if there is one.
    room: Option<Arc<MediaCapacity>>,
    /// Where the store's connections live: the request's own runtime may end before them.
    runtime: Handle,
    stop: CancellationToken,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Asks in the runtime that this is called in. Says no from the moment when `stop` is cancelled.
    pub fn new(
        store: Arc<dyn Store>,
        ingest: Ingest,
        room: Option<Arc<MediaCapacity>>,
        stop: CancellationToken,
    ) -> Self {
        Self { store, ingest, room, runtime: Handle::current(), stop, last: Mutex::new(None) }
    }

    async fn check(&self) -> Result<(), Problem> {
        if self.stop.is_cancelled() {
            return Err(Problem::NotReady("it is shutting down"));
        }
        if self.ingest.has_room().is_err() {
            return Err(Problem::NotReady("the disk has no more room than min_free keeps free"));
        }
        if self.store_answers().await { Ok(()) } else { Err(Problem::NotReady("the database does not answer")) }
    }

    /// Whether the database answers, or did within the last second.
    pub async fn store_answers(&self) -> bool {
        let mut last = self.last.lock().await;
        match *last {
            Some((at, answers)) if at.elapsed() < FRESH => answers,
            _ => {
                let answers = self.ask().await;
                *last = Some((Instant::now(), answers));
                answers
            }
        }
    }

    /// Whether files are downloaded: `ok`, `off`, or the word for what stops it. Events are taken in any case.
    fn media(&self) -> &'static str {
        let shortage = |room: &Arc<MediaCapacity>| room.shortage().map_or("ok", |shortage| shortage.code());
        self.room.as_ref().map_or("off", shortage)
    }

    async fn ask(&self) -> bool {
        let store = self.store.clone();
        let answer = self.runtime.spawn(async move { timeout(ANSWER_WAIT, store.ping()).await });
        matches!(answer.await, Ok(Ok(Ok(()))))
    }
}

/// The process is there. Never asks the database.
pub async fn live() -> HttpResponse {
    answer::json(&mut HttpResponse::Ok(), &json!({"status": "live"}))
}

/// Events can be taken.
pub async fn ready(readiness: Data<Readiness>) -> Result<HttpResponse, Problem> {
    readiness.check().await?;
    Ok(answer::json(&mut HttpResponse::Ok(), &json!({"status": "ready", "media": readiness.media()})))
}
