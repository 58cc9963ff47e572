//! Batches that time out, which event is at fault, and who waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use buzon::domain::event::batch::Receipt;
use buzon::domain::event::{Event, EventState};
use buzon::ingest::{CommitListeners, Ingest, IngestError};
use buzon::platform::disk::Disk;
use buzon::store::{EventStore, StoreError};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::support::clock::ARRIVAL;
use crate::support::events::{event, received};
use crate::support::eventually;

/// The number of events of this kind that is too much for one batch.
const HEAVY: (&str, usize) = ("HEAVY", 4);

/// A store that never finishes a batch with a marked event, until it is told to finish no batch at all.
struct Stuck {
    /// The text in the bodies of the events that the store never commits.
    at: &'static str,
    down: AtomicBool,
    /// The committed events: the body, and the reason if it was quarantined.
    committed: Mutex<Vec<(Vec<u8>, Option<String>)>>,
    /// Stops the writer.
    stop: CancellationToken,
}

impl Stuck {
    fn start(at: &'static str) -> (Arc<Self>, Ingest, buzon::ingest::IngestWriter) {
        let stop = CancellationToken::new();
        let (down, committed) = (AtomicBool::new(false), Mutex::default());
        let store = Arc::new(Self { at, down, committed, stop: stop.clone() });
        let (ingest, writer) =
            buzon::ingest::start(store.clone(), CommitListeners::default(), Disk::default(), 4 << 20, stop);
        (store, ingest, writer)
    }

    fn is_too_much(events: &[Event]) -> bool {
        let (kind, most) = HEAVY;
        events.iter().filter(|event| String::from_utf8_lossy(&event.body).contains(kind)).count() > most
    }

    fn is_stuck_at(&self, event: &Event) -> bool {
        let body = String::from_utf8_lossy(&event.body);
        event.interpretation.state != EventState::Quarantined && body.contains(self.at)
    }

    fn reasons(&self) -> BTreeSet<(String, Option<String>)> {
        let committed = self.committed.lock().expect("the lock is not poisoned");
        committed.iter().map(|(body, reason)| (String::from_utf8_lossy(body).into_owned(), reason.clone())).collect()
    }

    fn committed(&self) -> usize {
        self.reasons().len()
    }
}

#[async_trait]
impl EventStore for Stuck {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        if self.down.load(Ordering::Relaxed) || events.iter().any(|event| self.is_stuck_at(event)) {
            std::future::pending::<()>().await;
        }
        if Self::is_too_much(events) {
            return Err(StoreError::TooMuch);
        }
        let mut committed = self.committed.lock().expect("the lock is not poisoned");
        committed.extend(events.iter().map(|event| {
            let quarantined = event.interpretation.state == EventState::Quarantined;
            (event.body.clone(), event.interpretation.reason.clone().filter(|_| quarantined))
        }));
        Ok(vec![Receipt { duplicate: false, quarantined: false }; events.len()])
    }
}

fn message(id: &str) -> Event {
    event("7", received(id, json!({})), ARRIVAL)
}

async fn submit_all(ingest: &Ingest, ids: impl Iterator<Item = String>) -> Vec<Result<Receipt, IngestError>> {
    join_all(ids.map(|id| ingest.submit(message(&id)))).await
}

fn body(id: &str) -> String {
    String::from_utf8(received(id, json!({}))).expect("the value is text")
}

#[test(start_paused = true)]
async fn an_event_that_takes_too_long_is_quarantined_the_second_time_and_other_events_are_stored() {
    let (store, ingest, _writer) = Stuck::start("POISON");
    let ids = (0..256).map(|n| if n == 77 { "POISON".to_owned() } else { format!("A{n}") });
    let answers = submit_all(&ingest, ids).await;
    assert!(answers[77].is_err());
    assert!(answers[128..].iter().all(Result::is_ok), "the other half was stored while its clients waited");
    eventually("all others are stored", async || store.committed() == 255).await;
    assert!(store.reasons().iter().all(|(_, reason)| reason.is_none()));

    // By then, the event itself was tried alone.
    sleep(Duration::from_secs(30)).await;
    ingest.submit(message("B")).await.expect("the event is stored");
    assert_eq!(store.committed(), 256);
    ingest.submit(message("POISON")).await.expect("the event is quarantined while its client waits");
    assert!(store.reasons().contains(&(body("POISON"), Some("took_too_long".to_owned()))));
    assert_eq!(store.committed(), 257);
}

#[test(start_paused = true)]
async fn no_event_is_quarantined_because_the_database_is_slow_however_often() {
    let (store, ingest, _writer) = Stuck::start("nothing is like this");
    let ids = || (0..600).map(|n| format!("A{n}"));
    for outage in 1..4 {
        store.down.store(true, Ordering::Relaxed);
        assert!(submit_all(&ingest, ids()).await.iter().all(Result::is_err));
        // An event that is alone in its batch fails, too.
        assert!(ingest.submit(message("A0")).await.is_err());
        sleep(Duration::from_secs(60)).await;
        store.down.store(false, Ordering::Relaxed);
        ingest.submit(message(&format!("between {outage}"))).await.expect("the event is stored");
        assert_eq!(store.committed(), outage, "failed events are not stored later");
    }
    assert!(submit_all(&ingest, ids()).await.iter().all(Result::is_ok));
    assert!(store.reasons().iter().all(|(_, reason)| reason.is_none()), "no event was quarantined");
}

#[test(start_paused = true)]
async fn while_a_batch_is_tried_in_parts_later_events_are_stored_in_time() {
    let (store, ingest, _writer) = Stuck::start("POISON");
    let ids = (0..256).map(|n| if n == 200 { "POISON".to_owned() } else { format!("A{n}") });
    let first = submit_all(&ingest, ids);
    let later = join_all((0..120_u64).map(|n| {
        let ingest = &ingest;
        async move {
            sleep(Duration::from_millis(100 + n * 250)).await;
            ingest.submit(message(&format!("B{n}"))).await
        }
    }));
    let (_, later) = tokio::join!(first, later);
    let refused = later.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 0, "each event is answered while its client waits");
    eventually("all others are stored", async || store.committed() == 255 + 120).await;
}

#[test(start_paused = true)]
async fn events_that_are_still_to_be_tried_are_finished_when_the_queue_is_closed() {
    let (store, ingest, mut writer) = Stuck::start("POISON");
    let ids = (0..16).map(|n| if n == 5 { "POISON".to_owned() } else { format!("A{n}") });
    let answers = submit_all(&ingest, ids);
    let closing = async {
        sleep(Duration::from_secs(1)).await;
        store.stop.cancel();
        writer.ended().await.expect("the writer ends without an error");
    };
    let (answers, ()) = tokio::join!(answers, closing);
    assert!(answers[5].is_err());
    assert_eq!(store.committed(), 15);
}

#[test(start_paused = true)]
async fn a_batch_that_is_too_heavy_is_stored_in_parts_after_later_events() {
    let (store, ingest, _writer) = Stuck::start("nothing is like this");
    let heavy = join_all((0..100).map(|n| ingest.submit(message(&format!("HEAVY{n}")))));
    let others = join_all((0..100).map(|n| {
        let body = received(&format!("A{n}"), json!({}));
        ingest.submit(event(["6", "8", "9"][n % 3], body, ARRIVAL))
    }));
    let (heavy, others) = tokio::join!(heavy, others);
    assert!(heavy.iter().chain(&others).all(Result::is_ok));
    assert_eq!(store.committed(), 200);
    let committed = store.committed.lock().expect("the lock is not poisoned");
    let is_heavy = |body: &[u8]| String::from_utf8_lossy(body).contains(HEAVY.0);
    assert!(
        committed[..100].iter().all(|(body, _)| !is_heavy(body)),
        "the other events did not wait for the heavy ones"
    );
}
