//! Counts of refused and of stored events, from which the replayer sees when an outage begins and ends.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts since the start of the service.
#[derive(Debug, Default)]
pub struct Outage {
    refused: AtomicU64,
    stored: AtomicU64,
    begun: Notify,
}

impl Outage {
    /// Counts an event that was answered 503, so that its sender will repeat it.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
    }

    /// Counts a commit.
    pub fn store(&self) {
        self.stored.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how many events were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Returns how many commits there were.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::SeqCst)
    }

    /// Waits until more than `than` events have been refused. Only one task may wait.
    pub async fn more_refused(&self, than: u64) {
        while self.refused() <= than {
            self.begun.notified().await;
        }
    }
}
