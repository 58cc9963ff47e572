//! Counts of what became of the events that were sent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sender::SendAnswer;
use super::traffic::{DeliveryKind, SimulatedDelivery};

/// Counts of what became of the events that were sent.
#[derive(Clone, Debug, Default)]
pub struct SendTally {
    pub kinds: BTreeMap<DeliveryKind, u64>,
    /// The number of events that name a file.
    pub files: u64,
    pub accepted: u64,
    pub duplicates: u64,
    /// Counts by status and code.
    pub refused: BTreeMap<String, u64>,
    /// Counts by the reason why there was no answer.
    pub unanswered: BTreeMap<String, u64>,
    latency: Latency,
}

impl SendTally {
    /// Counts an event and its outcome.
    pub fn note(&mut self, delivery: &SimulatedDelivery, outcome: Result<SendAnswer, String>) {
        *self.kinds.entry(delivery.kind).or_default() += 1;
        self.files += u64::from(delivery.has_file);
        match outcome {
            Ok(answer) if answer.status == 200 => {
                self.latency.note(answer.took);
                let count = if answer.is_duplicate() { &mut self.duplicates } else { &mut self.accepted };
                *count += 1;
            }
            Ok(answer) => *self.refused.entry(answer.summary()).or_default() += 1,
            Err(why) => *self.unanswered.entry(why).or_default() += 1,
        }
    }

    pub fn sent(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Returns how many events got another answer than 200, or none.
    pub fn not_taken(&self) -> u64 {
        self.refused.values().chain(self.unanswered.values()).sum()
    }

    /// Returns the latency that this share of the accepted events did not exceed.
    pub fn latency(&self, share: f64) -> Duration {
        self.latency.percentile(share)
    }
}

/// A histogram of latencies. Each class is 2 % longer than the one before, so the result is exact to 2 % in little
/// memory.
#[derive(Clone, Debug, Default)]
struct Latency(BTreeMap<i32, u64>);

const STEP: f64 = 1.02;

impl Latency {
    fn note(&mut self, took: Duration) {
        let class = (took.as_secs_f64() * 1e6).max(1.0).log(STEP).ceil() as i32;
        *self.0.entry(class).or_default() += 1;
    }

    /// Returns the percentile, or zero if nothing was counted.
    fn percentile(&self, share: f64) -> Duration {
        let mut rank = (self.0.values().sum::<u64>() as f64 * share).ceil() as u64;
        let class = self.0.iter().find(|(_, count)| {
            let is_here = rank <= **count;
            rank = rank.saturating_sub(**count);
            is_here
        });
        class.map_or(Duration::ZERO, |(class, _)| Duration::from_secs_f64(STEP.powi(*class) / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_two_percent() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(0.5), Duration::ZERO);
        (1..=1_000).for_each(|millis| latency.note(Duration::from_millis(millis)));
        for (share, millis) in [(0.001, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = latency.percentile(share).as_secs_f64() * 1e3;
            assert!(found >= millis - 1e-6 && found <= millis * 1.021, "{share} {found}");
        }
    }
}
