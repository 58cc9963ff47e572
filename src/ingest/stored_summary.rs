//! A line a minute in the log with the counts of stored events, and none if nothing came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{info, warn};

use domain::event::batch::Receipt;
use domain::event::{Effect, Event, EventState};
use domain::time::timestamp::Timestamp;
use platform::clock::Clock;

/// The wait before a line, so that events that come together are counted in one line. It is short, so that people who
/// try buzon out soon see a line.
const GATHER_FOR: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_secs(59);
/// The number of stated times from which the clock is judged.
const ENOUGH_TIMES: u64 = 3;

/// Counts of what was committed since the last line of the log.
#[derive(Debug, Default)]
pub struct StoredSummary {
    counts: Mutex<Counts>,
    counted: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    stored: Stored,
    times: Times,
}

/// Counts of events since the last line.
#[derive(Debug, Default, PartialEq)]
struct Stored {
    messages: u64,
    acks: u64,
    reactions: u64,
    /// Test webhooks, and events of types that buzon does not know.
    others: u64,
    quarantined: u64,
    repeats: u64,
}

/// Counts of the times that senders state, since the clock was last judged.
#[derive(Debug, Default, PartialEq)]
struct Times {
    stated: u64,
    unusable: u64,
}

impl StoredSummary {
    /// Counts events that were committed together, each with its receipt.
    pub(super) fn count(&self, events: &[Event], receipts: &[Receipt]) {
        let mut counts = self.lock();
        for (event, receipt) in events.iter().zip(receipts) {
            *counts.stored.counter(event, receipt) += 1;
            let usable = event.interpretation.has_usable_time().filter(|_| !receipt.duplicate);
            counts.times.stated += u64::from(usable.is_some());
            counts.times.unusable += u64::from(usable == Some(false));
        }
        drop(counts);
        self.counted.notify_one();
    }

    /// Logs what was counted since the last line, and a warning if the clock looks wrong.
    fn log(&self, now: Timestamp) {
        let (stored, times) = {
            let mut counts = self.lock();
            let is_enough = counts.times.stated >= ENOUGH_TIMES;
            let times = if is_enough { std::mem::take(&mut counts.times) } else { Times::default() };
            (std::mem::take(&mut counts.stored), times)
        };
        stored.log();
        if times.are_mostly_unusable() {
            warn!(
                times.stated,
                times.unusable,
                clock = %now.to_rfc3339(),
                "most events state a time that is impossible by this server's clock, and are ordered by their arrival \
                 instead: set the clock (timedatectl shows it); buzon doctor compares it with the gateway's"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn counter(&mut self, event: &Event, receipt: &Receipt) -> &mut u64 {
        match (&event.interpretation.effect, event.interpretation.state) {
            _ if receipt.duplicate => &mut self.repeats,
            _ if receipt.quarantined => &mut self.quarantined,
            (_, EventState::Quarantined) => &mut self.quarantined,
            (Effect::Message(_), _) => &mut self.messages,
            (Effect::Ack(_), _) => &mut self.acks,
            (Effect::Reaction(_), _) => &mut self.reactions,
            (Effect::Nothing, _) => &mut self.others,
        }
    }

    fn log(self) {
        if self == Self::default() {
            return;
        }
        let some = |count: u64| (count > 0).then_some(count);
        info!(
            messages = some(self.messages),
            acks = some(self.acks),
            reactions = some(self.reactions),
            others = some(self.others),
            quarantined = some(self.quarantined),
            repeats = some(self.repeats),
            "events were stored"
        );
    }
}

impl Times {
    fn are_mostly_unusable(&self) -> bool {
        self.unusable > self.stated / 2
    }
}

/// Logs a summary whenever something was counted, until it is dropped.
pub async fn log_summaries(summary: Arc<StoredSummary>, clock: Arc<dyn Clock>) {
    loop {
        summary.counted.notified().await;
        sleep(GATHER_FOR).await;
        summary.log(clock.now());
        sleep(REST).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::instance::InstanceId;

    const NEW: Receipt = Receipt { duplicate: false, quarantined: false };
    const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_716_801_204);

    fn event(body: &str) -> Event {
        let instance = InstanceId::new("7").unwrap();
        Event::of_ledger(instance, body.as_bytes().to_vec(), ARRIVAL, true)
    }

    fn message(timestamp: &str) -> Event {
        event(&format!(r#"{{"event_type":"message_received","id":"A","timestamp":{timestamp}}}"#))
    }

    #[test]
    fn each_event_is_counted_by_what_it_is() {
        let summary = StoredSummary::default();
        let events = [
            message("1724716800"),
            message("1724716800"),
            event(r#"{"event_type":"ack_update","id":"A","ack":"read"}"#),
            event(r#"{"event_type":"message_reaction","message_id":"A","from_number":"B","reaction":"+"}"#),
            event(r#"{"event_type":"test_webhook"}"#),
            event(r#"{"event_type":"of another world"}"#),
            event("no event"),
        ];
        let receipts = [&[NEW, Receipt { duplicate: true, quarantined: false }], [NEW; 5].as_slice()].concat();
        summary.count(&events, &receipts);
        let counts = summary.lock();
        let expected = Stored { messages: 1, acks: 1, reactions: 1, others: 2, quarantined: 1, repeats: 1 };
        assert_eq!((&counts.stored, &counts.times), (&expected, &Times { stated: 1, unusable: 0 }));
    }

    #[test]
    fn a_clock_is_suspected_when_most_of_the_times_cannot_be_used() {
        let suspected = |timestamps: &[&str]| {
            let summary = StoredSummary::default();
            let events: Vec<Event> = timestamps.iter().map(|timestamp| message(timestamp)).collect();
            summary.count(&events, &vec![NEW; events.len()]);
            let times = std::mem::take(&mut summary.lock().times);
            times.are_mostly_unusable()
        };
        let (good, from_the_future) = ("1724716800", "1924716800");
        assert!(suspected(&[from_the_future, from_the_future, good]));
        assert!(!suspected(&[from_the_future, good]) && !suspected(&[good]) && !suspected(&[]));
        assert!(!suspected(&["null", "\"\"", good]));
    }
}
