//! While one batch is being committed, what arrives becomes the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use buzon::domain::batch::Receipt;
use buzon::domain::event::Event;
use buzon::store::{Availability, EventStore, Store, StoreError};
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;

use crate::support::events::{SECRET, received};
use crate::support::service::Service;
use crate::support::world::on_both;

/// Counts the batches of a real store.
struct Counted {
    store: Arc<dyn Store>,
    batches: AtomicUsize,
}

#[async_trait]
impl EventStore for Counted {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.store.record_batch(events).await
    }
}

#[async_trait]
impl Availability for Counted {
    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_over_64_connections_take_far_fewer_transactions() {
    on_both(async |world| {
        let counted = Arc::new(Counted { store: world.open().await, batches: AtomicUsize::new(0) });
        let service = Service::start_on(&world, counted.clone(), &[("BUZON_WEBHOOK_SECRET", SECRET)]);
        let service = &service;
        let deliveries = stream::iter(0..1_000).map(|n| async move {
            service.deliver("/webhook/7", received(&format!("A{n}"), json!({}))).await.accepted()
        });
        let repeats = deliveries.buffer_unordered(64).filter(|duplicate| std::future::ready(*duplicate)).count().await;
        assert_eq!(repeats, 0);
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "1000");
        assert_eq!(world.value("SELECT message_count FROM chats").await, "1000");
        let batches = counted.batches.load(Ordering::Relaxed);
        assert!(batches < 400, "1,000 events took {batches} transactions");
    })
    .await;
}
