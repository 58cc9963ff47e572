//! `/health/live` and `/health/ready`, for monitoring.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use crate::ingest::Ingest;
use crate::media::MediaCapacity;

/// The time for which a result is used again.
const FRESH: Duration = Duration::from_secs(1);
/// The maximum time that the database may take for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Tells whether events can be accepted now.
pub struct Readiness {
    store: StoreHandle,
    ingest: Ingest,
    /// The capacity of the media worker, if there is one.
    media: Option<Arc<MediaCapacity>>,
    stop: CancellationToken,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Is not ready any more from the moment when `stop` is cancelled.
    pub fn new(store: StoreHandle, ingest: Ingest, media: Option<Arc<MediaCapacity>>, stop: CancellationToken) -> Self {
        Self { store, ingest, media, stop, last: Mutex::new(None) }
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

    /// Returns true if the database answers, or did within the last second.
    pub async fn store_answers(&self) -> bool {
        let mut last = self.last.lock().await;
        match *last {
            Some((at, answers)) if at.elapsed() < FRESH => answers,
            _ => {
                let answers = self.ping().await;
                *last = Some((Instant::now(), answers));
                answers
            }
        }
    }

    /// Returns whether files are downloaded: `ok`, `off`, or the code of what stops it. Events are accepted in any case.
    fn media_state(&self) -> &'static str {
        let state = |media: &Arc<MediaCapacity>| media.shortage().map_or("ok", |shortage| shortage.code());
        self.media.as_ref().map_or("off", state)
    }

    async fn ping(&self) -> bool {
        let ping = self.store.spawn(|store| async move { timeout(ANSWER_WAIT, store.ping()).await });
        matches!(ping.await, Ok(Ok(Ok(()))))
    }
}

/// `GET /health/live`: the process runs. Never asks the database.
pub async fn live() -> HttpResponse {
    json(&mut HttpResponse::Ok(), &serde_json::json!({"status": "live"}))
}

/// `GET /health/ready`: events can be accepted.
pub async fn ready(readiness: Data<Readiness>) -> Result<HttpResponse, Problem> {
    readiness.check().await?;
    Ok(json(&mut HttpResponse::Ok(), &serde_json::json!({"status": "ready", "media": readiness.media_state()})))
}
