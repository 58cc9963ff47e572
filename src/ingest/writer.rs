//! The task that writes: takes what waits, commits it as one, answers all.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, warn};

use super::{IngestError, Queued};
use crate::domain::batch::Receipt;
use crate::domain::event::Event;
use crate::store::{Store, StoreError};

const BATCH_EVENTS: usize = 256;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long one batch is tried, a little less than its clients wait.
const RETRY_FOR: Duration = Duration::from_secs(4);
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(20);
const LAST_RETRY_AFTER: Duration = Duration::from_millis(640);

/// The word for the column `reason` of an event that the database would not hold.
const REFUSED: &str = "refused_by_database";

/// Commits batch after batch until the queue is closed and empty.
pub(super) async fn run(store: Arc<dyn Store>, mut waiting: mpsc::Receiver<Queued>, closing: Arc<Notify>) {
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(queued) => Some(queued),
            None => next(&mut waiting, &closing).await,
        };
        let Some(first) = first else { return };
        let batch = gather(first, &mut waiting, &mut left_over);
        commit(&*store, batch).await;
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

/// Commits the batch and answers its clients. Where the database refuses the data, the batch is halved until the
/// culprit stands alone, and that one is kept as quarantined: no event harms its neighbours.
async fn commit(store: &dyn Store, batch: Vec<Queued>) {
    let (events, clients): (Vec<Event>, Vec<_>) =
        batch.into_iter().map(|queued| (queued.event, (queued.answer, queued.share))).unzip();
    let outcomes = outcomes(store, events).await;
    for ((answer, _share), outcome) in clients.into_iter().zip(outcomes) {
        // A client that has gone needs no answer; its event is stored all the same.
        let _ = answer.send(outcome);
    }
}

/// An outcome for each event, in their order.
async fn outcomes(store: &dyn Store, events: Vec<Event>) -> Vec<Result<Receipt, IngestError>> {
    let mut outcomes = Vec::with_capacity(events.len());
    let mut parts = vec![events];
    while let Some(mut part) = parts.pop() {
        match record(store, &part).await {
            Ok(receipts) => outcomes.extend(receipts.into_iter().map(Ok)),
            Err(StoreError::Refused { .. }) if part.len() > 1 => {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            }
            Err(StoreError::Refused { code }) => {
                error!(code, "the database refuses an event; it is kept as quarantined");
                let quarantined: Vec<Event> = part.into_iter().map(|event| event.quarantined(REFUSED)).collect();
                match record(store, &quarantined).await {
                    Ok(receipts) => outcomes.extend(receipts.into_iter().map(Ok)),
                    Err(error) => outcomes.push(Err(unstored(&error, 1))),
                }
            }
            Err(error) => {
                let left = part.len() + parts.drain(..).map(|part| part.len()).sum::<usize>();
                outcomes.extend(std::iter::repeat_n(Err(unstored(&error, left)), left));
            }
        }
    }
    outcomes
}

fn unstored(error: &StoreError, events: usize) -> IngestError {
    error!(events, %error, "events were not stored; the gateway will send them again");
    IngestError::StoreUnavailable
}

/// Records events, trying again for a while when another transaction was in the way or the connection was lost.
async fn record(store: &dyn Store, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
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
    store: &dyn Store,
    events: &[Event],
    deadline: Instant,
) -> ControlFlow<Result<Vec<Receipt>, StoreError>, StoreError> {
    match timeout_at(deadline, store.record_batch(events)).await {
        Ok(Err(error @ (StoreError::Contended { .. } | StoreError::Unavailable(_)))) => ControlFlow::Continue(error),
        Ok(outcome) => ControlFlow::Break(outcome),
        Err(_) => ControlFlow::Break(Err(StoreError::Unavailable("it gave no answer".to_owned()))),
    }
}
