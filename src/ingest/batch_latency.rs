//! How fast the writer is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a batch took lately, for whoever asks how long its event will wait.
#[derive(Default)]
pub(super) struct BatchLatency {
    microseconds: AtomicU64,
}

/// A batch counts for one in so many, and those before it for the rest.
const WEIGHT: u64 = 4;

impl BatchLatency {
    /// Notes a batch. There is one writer.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX) / WEIGHT;
        let before = self.microseconds.load(Ordering::Relaxed);
        self.microseconds.store(before - before / WEIGHT + took, Ordering::Relaxed);
    }

    /// How long so many batches will take.
    pub(super) fn of(&self, batches: usize) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed).saturating_mul(batches as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_batches_and_forgets_the_old_ones() {
        let pace = BatchLatency::default();
        assert_eq!(pace.of(16), Duration::ZERO);
        for seconds in [1, 10] {
            (0..30).for_each(|_| pace.note(Duration::from_secs(seconds)));
            let expected = Duration::from_secs(2 * seconds);
            assert!(pace.of(2).abs_diff(expected) < expected / 100, "{:?}", pace.of(2));
        }
        pace.note(Duration::ZERO);
        assert!(pace.of(1) < Duration::from_secs(8), "one that was quick counts at once");
    }
}
