//! The metrics of forwards, by their configured names.

use super::{Meters, catalog, counter, gauge};

/// The outcomes of events that alerts and dashboards name.
const OUTCOMES: [&str; 7] = ["delivered", "stale", "again", "timed_out", "refused", "misdirected", "given_up"];

/// The state of a forward for the gauges.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardGauges<'n> {
    pub name: &'n str,
    pub lag_events: i64,
    pub lag_seconds: f64,
    pub is_stopped: bool,
    pub is_paused: bool,
}

impl Meters {
    /// Starts the counters of a forward at 0.
    pub fn start_forward(&self, name: &str) {
        for outcome in OUTCOMES {
            counter(&self.recorder, &catalog::FORWARD_EVENTS, &[("forward", name), ("outcome", outcome)]).increment(0);
        }
    }

    /// Counts an answer of a forward's receiver, or the end of an event.
    pub fn forward(&self, name: &str, outcome: &'static str) {
        counter(&self.recorder, &catalog::FORWARD_EVENTS, &[("forward", name), ("outcome", outcome)]).increment(1);
    }

    /// Sets the gauges of a forward.
    pub fn show_forward(&self, forward: &ForwardGauges<'_>) {
        let labels = [("forward", forward.name)];
        gauge(&self.recorder, &catalog::FORWARD_LAG_EVENTS, &labels).set(forward.lag_events as f64);
        gauge(&self.recorder, &catalog::FORWARD_LAG_SECONDS, &labels).set(forward.lag_seconds);
        for (state, is_so) in [("stopped", forward.is_stopped), ("paused", forward.is_paused)] {
            let labels = [("forward", forward.name), ("state", state)];
            gauge(&self.recorder, &catalog::FORWARD_STATE, &labels).set(if is_so { 1.0 } else { 0.0 });
        }
    }
}
