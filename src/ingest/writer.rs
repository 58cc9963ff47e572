//! The task that writes: it takes the events that wait, commits them as one batch, and answers them.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::batch_latency::BatchLatency;
use super::suspects::Suspects;
use super::{CommitListeners, IngestError, Queued, time_for_bytes};
use domain::event::Event;
use domain::event::batch::Receipt;
use domain::instance::InstanceId;
use store::{EventStore, StoreError};

pub(super) const BATCH_EVENTS: usize = 256;
pub(super) const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The time for which a batch, or one event alone, is retried. It is a little less than their clients wait.
const RETRY_FOR: Duration = Duration::from_secs(4);
/// The time for which a part of a batch that ran out of time is retried. It is short, so that the other half is stored
/// while its clients still wait.
const RETRY_PART_FOR: Duration = Duration::from_millis(500);
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(20);
const LAST_RETRY_AFTER: Duration = Duration::from_millis(640);

/// The number of parts in succession that run out of time if the database is slow and no event is at fault.
const SLOW_DATABASE: u32 = 5;
/// The maximum number of parts of batches that wait to be tried again.
const DELAYED_PARTS: usize = 64;

/// The value of the column `reason` for an event that the database refused, or that changes a row which cannot be read.
const REFUSED: &str = "refused_by_database";
/// The value for an event that the database did not commit in time, although it committed others.
const TOOK_TOO_LONG: &str = "took_too_long";

/// Commits batch after batch. Closes the queue when `stop` is cancelled, and returns when it is empty.
pub(super) async fn run(
    store: Arc<dyn EventStore>,
    mut waiting: mpsc::Receiver<Queued>,
    listeners: CommitListeners,
    stop: CancellationToken,
    batch_latency: Arc<BatchLatency>,
) {
    let mut committer = Committer::new(store, listeners);
    let (mut left_over, mut waited) = (None, false);
    loop {
        let first = match left_over.take() {
            Some(queued) => Some(queued),
            None if committer.delayed.is_empty() => match next(&mut waiting, &stop).await {
                Some(queued) => Some(queued),
                None => return,
            },
            None => waiting.try_recv().ok(),
        };
        let delayed = committer.delayed.len();
        if let Some(first) = first {
            let batch = gather(first, &mut waiting, &mut left_over);
            let started = Instant::now();
            committer.commit(BatchPart::new(batch)).await;
            batch_latency.record(started.elapsed());
        }
        // After a batch that ran out of time, the next batch goes first, because its clients have waited all that time.
        waited = !waited && committer.delayed.len() > delayed;
        if !waited {
            committer.commit_delayed().await;
        }
    }
}

/// Waits for an event. Returns `None` when the queue is closed and empty.
async fn next(waiting: &mut mpsc::Receiver<Queued>, stop: &CancellationToken) -> Option<Queued> {
    tokio::select! {
        queued = waiting.recv() => return queued,
        () = stop.cancelled() => waiting.close(),
    }
    waiting.recv().await
}

/// Takes the events that wait, without waiting for more. An event that would exceed the bytes of a batch is left over
/// for the next one.
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

/// Commits parts of batches, and answers each client as soon as its event is safe.
struct Committer {
    store: Arc<dyn EventStore>,
    listeners: CommitListeners,
    /// Halves of batches that took too long or were too large. One of their events may be at fault.
    delayed: VecDeque<BatchPart>,
    /// Events that ran out of time alone.
    suspects: Suspects,
    /// Parts that ran out of time since the last commit.
    slow: u32,
}

impl Committer {
    fn new(store: Arc<dyn EventStore>, listeners: CommitListeners) -> Self {
        Self { store, listeners, delayed: VecDeque::new(), suspects: Suspects::default(), slow: 0 }
    }

    /// Commits a batch. If the database refuses the data, the batch is halved until the offending event stands alone,
    /// and that event is stored as quarantined, so that it does not harm the others. An event of which the database
    /// swallows a row is found in the same way, and is not acknowledged.
    async fn commit(&mut self, whole: BatchPart) {
        self.commit_within(whole, RETRY_FOR).await;
    }

    /// Tries one of the delayed parts, if there is one.
    async fn commit_delayed(&mut self) {
        if let Some(part) = self.delayed.pop_front() {
            let time = if part.events.len() > 1 { RETRY_PART_FOR } else { RETRY_FOR };
            self.commit_within(part, time).await;
        }
    }

    async fn commit_within(&mut self, whole: BatchPart, time: Duration) {
        let time = time + time_for_bytes(whole.events.iter().map(|event| event.body.len()).sum());
        let mut parts = vec![whole];
        while let Some(mut part) = parts.pop() {
            let started = Instant::now();
            match record(&*self.store, &part.events, started + time).await {
                Ok(receipts) => self.committed(part, receipts, started.elapsed()),
                Err(StoreError::Refused { .. } | StoreError::Unreadable { .. } | StoreError::Swallowed { .. })
                    if part.events.len() > 1 =>
                {
                    let second = part.halve();
                    parts.extend([second, part]);
                }
                Err(StoreError::TooMuch) if part.is_of_several_instances() => {
                    let second = part.halve();
                    parts.extend([second, part]);
                }
                Err(error @ StoreError::TooMuch) => self.delay(part, &error),
                Err(StoreError::Refused { code }) if !part.set_aside => {
                    error!(code, "the database refuses an event; it is kept as quarantined");
                    parts.push(part.quarantined(REFUSED));
                }
                Err(StoreError::TooSlow) => parts.extend(self.ran_out_of_time(part)),
                // The event is at no fault, but it would meet the row again whenever the gateway sends it.
                Err(error @ StoreError::Unreadable { .. }) if !part.set_aside => {
                    error!(%error, "an event cannot be applied; it is kept as quarantined");
                    parts.push(part.quarantined(REFUSED));
                }
                Err(
                    error @ (StoreError::Refused { .. } | StoreError::Unreadable { .. } | StoreError::Swallowed { .. }),
                ) => part.fail(&error),
                Err(error) => {
                    parts.push(part);
                    parts.drain(..).chain(self.delayed.drain(..)).for_each(|part| part.fail(&error));
                }
            }
        }
    }

    fn committed(&mut self, mut part: BatchPart, receipts: Vec<Receipt>, took: Duration) {
        self.slow = 0;
        self.suspects.note_commit();
        self.listeners.meters.events.commit(&part.events, &receipts, took);
        self.listeners.summary.count(&part.events, &receipts);
        self.listeners.committed.notify_one();
        self.listeners.commits.send_modify(|count| *count += 1);
        self.listeners.outage.store();
        if part.events.iter().any(Event::asks_for_media) {
            self.listeners.media.notify_one();
        }
        // The next batch does not wait for the answers.
        tokio::spawn(async move { part.answer(receipts) });
    }

    /// Delays the halves of a part that ran out of time. An event that ran out of time alone is refused, because the
    /// gateway sends it again. The second time, if others were committed in between, it is returned as quarantined, to
    /// be stored at once.
    fn ran_out_of_time(&mut self, part: BatchPart) -> Option<BatchPart> {
        self.slow += 1;
        match part.events.as_slice() {
            _ if self.slow >= SLOW_DATABASE => {
                self.delayed.drain(..).for_each(|part| part.fail(&StoreError::TooSlow));
            }
            [event] if !part.set_aside && self.suspects.suspect(event) => {
                error!("an event took too long twice, and others did not; it is kept as quarantined");
                return Some(part.quarantined(TOOK_TOO_LONG));
            }
            [_] => {}
            _ => {
                self.delay(part, &StoreError::TooSlow);
                return None;
            }
        }
        part.fail(&StoreError::TooSlow);
        None
    }

    /// Queues the halves of a part to be tried in their turn, or fails the part if there is no room for them.
    fn delay(&mut self, mut part: BatchPart, error: &StoreError) {
        if part.events.len() < 2 || self.delayed.len() >= DELAYED_PARTS {
            return part.fail(error);
        }
        warn!(events = part.events.len(), %error, "a batch is tried again in halves");
        let second = part.halve();
        self.delayed.extend([part, second]);
    }
}

/// Some events of a batch, with their clients in the same order.
struct BatchPart {
    events: Vec<Event>,
    clients: Vec<Client>,
    /// True if the events were quarantined because the database refused them, or did not commit them in time.
    set_aside: bool,
}

struct Client {
    answer: oneshot::Sender<Result<Receipt, IngestError>>,
    /// The event's share of the bytes that may wait, given back when this is dropped.
    _share: OwnedSemaphorePermit,
}

impl BatchPart {
    fn new(batch: Vec<Queued>) -> Self {
        let split = |Queued { event, answer, share }| (event, Client { answer, _share: share });
        let (events, clients) = batch.into_iter().map(split).unzip();
        Self { events, clients, set_aside: false }
    }

    fn is_of_several_instances(&self) -> bool {
        self.events.windows(2).any(|two| two[0].instance_id != two[1].instance_id)
    }

    /// Keeps one half and returns the other. If there are several instances, these are divided, so that no instance
    /// holds up the others for long; otherwise the events are.
    fn halve(&mut self) -> Self {
        let instances: BTreeSet<InstanceId> = self.events.iter().map(|event| event.instance_id.clone()).collect();
        let is_first = |index: usize, event: &Event| match instances.iter().nth(instances.len() / 2) {
            Some(middle) if instances.len() > 1 => event.instance_id < *middle,
            _ => index < self.clients.len() / 2,
        };
        let first: Vec<bool> = self.events.iter().enumerate().map(|(index, event)| is_first(index, event)).collect();
        let (mut kept, mut other) = (Self::empty(self.set_aside), Self::empty(self.set_aside));
        for ((event, client), is_first) in self.events.drain(..).zip(self.clients.drain(..)).zip(first) {
            let half = if is_first { &mut kept } else { &mut other };
            half.events.push(event);
            half.clients.push(client);
        }
        *self = kept;
        other
    }

    fn empty(set_aside: bool) -> Self {
        Self { events: vec![], clients: vec![], set_aside }
    }

    fn quarantined(self, reason: &str) -> Self {
        let events = self.events.into_iter().map(|event| event.quarantined(reason)).collect();
        Self { events, set_aside: true, ..self }
    }

    fn answer(&mut self, receipts: Vec<Receipt>) {
        for (client, receipt) in self.clients.drain(..).zip(receipts) {
            // A client that has gone away gets no answer, but its event is stored.
            let _ = client.answer.send(Ok(receipt));
        }
    }

    fn fail(self, error: &StoreError) {
        // The store has logged the damage once. Until it is repaired, further lines would say nothing new.
        if !matches!(error, StoreError::Damaged(_)) {
            error!(events = self.events.len(), %error, "events were not stored; the gateway will send them again");
        }
        for client in self.clients {
            let _ = client.answer.send(Err(IngestError::StoreUnavailable));
        }
    }
}

/// Records events. Retries until the deadline if another transaction was in the way or the connection was lost.
async fn record(store: &dyn EventStore, events: &[Event], deadline: Instant) -> Result<Vec<Receipt>, StoreError> {
    let (mut pause, mut last_error) = (FIRST_RETRY_AFTER, None);
    loop {
        match attempt(store, events, deadline).await {
            // An earlier error used up the time, and not the events.
            ControlFlow::Break(Err(StoreError::TooSlow)) => return Err(last_error.unwrap_or(StoreError::TooSlow)),
            ControlFlow::Break(outcome) => return outcome,
            ControlFlow::Continue(error) if Instant::now() + pause >= deadline => return Err(error),
            ControlFlow::Continue(error) => {
                warn!(events = events.len(), %error, "a batch failed and is tried again");
                last_error = Some(error).filter(|error| !matches!(error, StoreError::TooSlow)).or(last_error);
                sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY_AFTER);
            }
        }
    }
}

/// Tries once. Breaks with the outcome, or continues with an error that may pass.
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
        Err(_) => ControlFlow::Break(Err(StoreError::TooSlow)),
    }
}
