//! The meters of the path of an event, with a counter at hand for each.

use std::time::Duration;

use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{catalog, counter, histogram};
use domain::access::signature::SecretUsed;
use domain::event::batch::Receipt;
use domain::event::{EVENT_TYPES, Event, EventState};

/// The label of every type that is unknown or unreadable. Senders could make up any number of types.
const OTHER: &str = "other";
const TYPES: usize = EVENT_TYPES.len() + 1;
/// The labels of what became of an event.
const OUTCOMES: [&str; 4] = ["applied", "ignored", "quarantined", "duplicate"];
const QUARANTINED: usize = 2;
const DUPLICATE: usize = OUTCOMES.len() - 1;

/// The meters of the path of an event.
pub struct Events {
    committed: [[Counter; OUTCOMES.len()]; TYPES],
    verified: [Counter; SecretUsed::ALL.len()],
    batch: Histogram,
    commit: Histogram,
    receive_to_commit: Histogram,
}

impl Events {
    pub(crate) fn new(recorder: &PrometheusRecorder) -> Self {
        let committed = |index: usize| {
            let event_type = EVENT_TYPES.get(index).copied().unwrap_or(OTHER);
            OUTCOMES.map(|outcome| counter(recorder, &catalog::EVENTS, &[("type", event_type), ("outcome", outcome)]))
        };
        let verified = |used: SecretUsed| counter(recorder, &catalog::SIGNATURES, &[("secret", used.as_str())]);
        Self {
            committed: std::array::from_fn(committed),
            verified: SecretUsed::ALL.map(verified),
            batch: histogram(recorder, &catalog::BATCH, &[]),
            commit: histogram(recorder, &catalog::COMMIT, &[]),
            receive_to_commit: histogram(recorder, &catalog::RECEIVE_TO_COMMIT, &[]),
        }
    }

    /// Counts an event that was let in, by the secret that verified it.
    pub fn verify(&self, used: SecretUsed) {
        self.verified[used as usize].increment(1);
    }

    /// Counts events that were committed together, each with its receipt, and records how long the commit took with all
    /// attempts.
    pub fn commit(&self, events: &[Event], receipts: &[Receipt], took: Duration) {
        self.batch.record(events.len() as f64);
        self.commit.record(took);
        for (event, receipt) in events.iter().zip(receipts) {
            self.committed[type_index(event)][outcome_index(event, receipt)].increment(1);
        }
    }

    /// Records how long it took from an event's last byte to its commit.
    pub fn answer(&self, took: Duration) {
        self.receive_to_commit.record(took);
    }
}

fn type_index(event: &Event) -> usize {
    let stated = event.interpretation.subject.event_type.as_deref();
    EVENT_TYPES.iter().position(|known| Some(*known) == stated).unwrap_or(EVENT_TYPES.len())
}

fn outcome_index(event: &Event, receipt: &Receipt) -> usize {
    match event.interpretation.state {
        _ if receipt.duplicate => DUPLICATE,
        _ if receipt.quarantined => QUARANTINED,
        EventState::Applied => 0,
        EventState::Ignored | EventState::Erased | EventState::Expired => 1,
        EventState::Quarantined => QUARANTINED,
    }
}
