//! The events that were refused, and whether one was stored since. From these, the replayer sees when an outage begins and
//! when it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// The refusals since the start of the service.
#[derive(Debug, Default)]
pub struct Outage {
    refused: AtomicU64,
    stored_since: AtomicBool,
    begun: Notify,
}

impl Outage {
    /// Counts an event that was answered 503, so that its sender will repeat it.
    pub fn refuse(&self) {
        self.stored_since.store(false, Ordering::SeqCst);
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
    }

    /// Notes a commit.
    pub fn store(&self) {
        self.stored_since.store(true, Ordering::SeqCst);
    }

    /// Returns how many events were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Returns whether there was a commit since the last refusal, or since the start if there was none.
    pub fn has_stored_since(&self) -> bool {
        self.stored_since.load(Ordering::SeqCst)
    }

    /// Waits until more than `than` events have been refused. Only one task may wait.
    pub async fn more_refused(&self, than: u64) {
        while self.refused() <= than {
            self.begun.notified().await;
        }
    }
}
