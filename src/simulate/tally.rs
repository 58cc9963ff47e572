use std::collections::BTreeMap;
use std::time::Duration;

use super::sender::SendAnswer;
use super::traffic::{EventKind, SimulatedDelivery};

/// What became of the events that were sent.
#[derive(Clone, Debug, Default)]
pub struct SendTally {
    pub kinds: BTreeMap<EventKind, u64>,
    /// How many of them name a file.
    pub files: u64,
    pub accepted: u64,
    pub duplicates: u64,
    /// By status and code.
    pub refused: BTreeMap<String, u64>,
    /// By what was there instead of an answer.
    pub unanswered: BTreeMap<String, u64>,
    latency: Latency,
}

impl SendTally {
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

    /// How many were answered with anything but a 200, or not at all.
    pub fn not_taken(&self) -> u64 {
        self.refused.values().chain(self.unanswered.values()).sum()
    }

    /// How long this share of the events that were taken waited for their answers at most.
    pub fn latency(&self, share: f64) -> Duration {
        self.latency.percentile(share)
    }
}

/// Counts by how long it took, each class a fiftieth longer than the one before: exact to two percent in little memory.
#[derive(Clone, Debug, Default)]
struct Latency(BTreeMap<i32, u64>);

const STEP: f64 = 1.02;

impl Latency {
    fn note(&mut self, took: Duration) {
        let class = (took.as_secs_f64() * 1e6).max(1.0).log(STEP).ceil() as i32;
        *self.0.entry(class).or_default() += 1;
    }

    /// Zero where nothing was counted.
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
