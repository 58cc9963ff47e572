//! A moving average of how long the writer takes for a batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The recent latency of batches, from which the wait of a new event is estimated.
#[derive(Default)]
pub(super) struct BatchLatency {
    microseconds: AtomicU64,
}

/// The last batch has a weight of one in so many in the average, and those before it have the rest.
const WEIGHT: u64 = 4;

impl BatchLatency {
    /// Records a batch. Only the one writer may call this.
    pub(super) fn record(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX) / WEIGHT;
        let before = self.microseconds.load(Ordering::Relaxed);
        self.microseconds.store(before - before / WEIGHT + took, Ordering::Relaxed);
    }

    /// Estimates how long so many batches will take.
    pub(super) fn estimate(&self, batches: usize) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed).saturating_mul(batches as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_batches_and_forgets_the_old_ones() {
        let latency = BatchLatency::default();
        assert_eq!(latency.estimate(16), Duration::ZERO);
        for seconds in [1, 10] {
            (0..30).for_each(|_| latency.record(Duration::from_secs(seconds)));
            let expected = Duration::from_secs(2 * seconds);
            assert!(latency.estimate(2).abs_diff(expected) < expected / 100, "{:?}", latency.estimate(2));
        }
        latency.record(Duration::ZERO);
        assert!(latency.estimate(1) < Duration::from_secs(8), "a quick batch counts at once");
    }
}
