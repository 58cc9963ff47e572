//! When events are refused and when they are stored again, for whoever has something to do after that.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct Outage {
    refused: AtomicU64,
    stored: AtomicU64,
    begun: Notify,
}

impl Outage {
    /// An event was answered 503: its sender is to come again.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
    }

    /// Events were committed.
    pub fn store(&self) {
        self.stored.fetch_add(1, Ordering::SeqCst);
    }

    /// How many events were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// How many times events were committed.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::SeqCst)
    }

    /// Waits until more events are refused than these. For one waiter.
    pub async fn more_refused(&self, than: u64) {
        while self.refused() <= than {
            self.begun.notified().await;
        }
    }
}
