//! The task that writes: takes what waits, commits it as one, answers all.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, warn};

use super::pace::Pace;
use super::{IngestError, Queued, Told};
use crate::broken::{self, Fault};
use crate::domain::batch::Receipt;
use crate::domain::event::Event;
use crate::store::{EventStore, StoreError};

pub(super) const BATCH_EVENTS: usize = 256;
pub(super) const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long one batch is tried, a little less than its clients wait.
const RETRY_FOR: Duration = Duration::from_secs(4);
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(20);
const LAST_RETRY_AFTER: Duration = Duration::from_millis(640);

/// The word for the column `reason` of an event that the database would not hold.
const REFUSED: &str = "refused_by_database";

/// Commits batch after batch until the queue is closed and empty.
pub(super) async fn run(
    store: Arc<dyn EventStore>,
    mut waiting: mpsc::Receiver<Queued>,
    told: Told,
    closing: Arc<Notify>,
    pace: Arc<Pace>,
) {
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(queued) => Some(queued),
            None => next(&mut waiting, &closing).await,
        };
        let Some(first) = first else { return };
        let batch = gather(first, &mut waiting, &mut left_over);
        let started = Instant::now();
        commit(&*store, &told, batch).await;
        pace.note(started.elapsed());
    }
}

/// Waits for an event; `None` when the queue is closed and empty.
async fn next(waiting: &mut mpsc::Receiver<Queued>, closing: &Notify) -> Option<Queued> {
    tokio::select! {
        queued = waiting.recv() => return queued,
        () = closing.notified() => waiting.close(),
    }
    waiting.recv().await
}

/// Takes what waits without waiting for more. An event that would exceed the batch's bytes is left over for the next.
fn gather(first: Queued, waiting: &mut mpsc::Receiver<Queued>, left_over: &mut Option<Queued>) -> Vec<Queued> {
    let mut bytes = first.event.body.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_EVENTS {
        let Ok(queued) = waiting.try_recv() else { break };
        bytes += queued.event.body.len();
        if bytes > BATCH_BYTES {
            *left_over = Some(queued);
            break;
        }
        batch.push(queued);
    }
    batch
}

/// Commits the batch and answers its clients, each as soon as its event is safe. Where the database refuses the data,
/// the batch is halved until the culprit stands alone, and that one is kept as quarantined: no event harms its
/// neighbours.
async fn commit(store: &dyn EventStore, told: &Told, batch: Vec<Queued>) {
    let mut whole = Part::new(batch);
    if broken::is(Fault::EarlyAnswer) {
        whole.answer(vec![Receipt { duplicate: false }; whole.events.len()]);
    }
    let mut parts = vec![whole];
    while let Some(mut part) = parts.pop() {
        let started = Instant::now();
        match record(store, &part.events).await {
            Ok(receipts) => {
                told.meters.events.commit(&part.events, &receipts, started.elapsed());
                told.committed.notify_one();
                told.outage.store();
                if part.events.iter().any(Event::asks_for_media) {
                    told.media.notify_one();
                }
                // The next batch does not wait for the answers.
                tokio::spawn(async move { part.answer(receipts) });
            }
            Err(StoreError::Refused { .. }) if part.events.len() > 1 => {
                let second = part.halve();
                parts.extend([second, part]);
            }
            Err(StoreError::Refused { code }) if !part.set_aside => {
                error!(code, "the database refuses an event; it is kept as quarantined");
                parts.push(part.quarantined());
            }
            Err(error @ StoreError::Refused { .. }) => part.fail(&error),
            Err(error) => {
                parts.push(part);
                parts.drain(..).for_each(|part| part.fail(&error));
            }
        }
    }
}

/// Events of a batch, and in the same order those who wait for them.
struct Part {
    events: Vec<Event>,
    clients: Vec<Client>,
    /// Whether the events were quarantined because the database refused them.
    set_aside: bool,
}

struct Client {
    answer: oneshot::Sender<Result<Receipt, IngestError>>,
    /// Returned to the bytes that may wait when the client has its answer.
    _share: OwnedSemaphorePermit,
}

impl Part {
    fn new(batch: Vec<Queued>) -> Self {
        let split = |Queued { event, answer, share }| (event, Client { answer, _share: share });
        let (events, clients) = batch.into_iter().map(split).unzip();
        Self { events, clients, set_aside: false }
    }

    /// Keeps the first half, and returns the second.
    fn halve(&mut self) -> Self {
        let half = self.events.len() / 2;
        Self { events: self.events.split_off(half), clients: self.clients.split_off(half), set_aside: self.set_aside }
    }

    fn quarantined(self) -> Self {
        let events = self.events.into_iter().map(|event| event.quarantined(REFUSED)).collect();
        Self { events, set_aside: true, ..self }
    }

    fn answer(&mut self, receipts: Vec<Receipt>) {
        for (client, receipt) in self.clients.drain(..).zip(receipts) {
            // A client that has gone needs no answer; its event is stored all the same.
            let _ = client.answer.send(Ok(receipt));
        }
    }

    fn fail(self, error: &StoreError) {
        // The store has said so, once: nothing else will be said until somebody has mended it.
        if !matches!(error, StoreError::Damaged(_)) {
            error!(events = self.events.len(), %error, "events were not stored; the gateway will send them again");
        }
        for client in self.clients {
            let _ = client.answer.send(Err(IngestError::StoreUnavailable));
        }
    }
}

/// Records events, trying again for a while when another transaction was in the way or the connection was lost.
async fn record(store: &dyn EventStore, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
    let deadline = Instant::now() + RETRY_FOR;
    let mut pause = FIRST_RETRY_AFTER;
    loop {
        match attempt(store, events, deadline).await {
            ControlFlow::Break(outcome) => return outcome,
            ControlFlow::Continue(error) if Instant::now() + pause >= deadline => return Err(error),
            ControlFlow::Continue(error) => {
                warn!(events = events.len(), %error, "a batch failed and is tried again");
                sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY_AFTER);
            }
        }
    }
}

/// One try: broken off with an outcome, or to be continued after an error that may pass.
async fn attempt(
    store: &dyn EventStore,
    events: &[Event],
    deadline: Instant,
) -> ControlFlow<Result<Vec<Receipt>, StoreError>, StoreError> {
    match timeout_at(deadline, store.record_batch(events)).await {
        Ok(Err(error @ (StoreError::Contended { .. } | StoreError::Unavailable(_) | StoreError::TooSlow))) => {
            ControlFlow::Continue(error)
        }
        Ok(outcome) => ControlFlow::Break(outcome),
        Err(_) => ControlFlow::Break(Err(StoreError::Unavailable("it gave no answer".to_owned()))),
    }
}
