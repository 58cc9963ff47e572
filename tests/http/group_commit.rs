//! While a batch is being committed, the events that arrive become the next batch.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use buzon::domain::event::Event;
use buzon::domain::event::batch::Receipt;
use buzon::ingest::{CommitListeners, Ingest, IngestError, IngestWriter};
use buzon::platform::disk::Disk;
use buzon::store::{EventStore, Store, StoreError};
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, ack, event, received};
use crate::support::eventually;
use crate::support::program::service::Service;

/// A real store behind a gate, which counts its batches.
struct Watched {
    store: Arc<dyn Store>,
    batches: AtomicUsize,
    gate: Semaphore,
}

impl Watched {
    async fn new(world: &World) -> Arc<Self> {
        Arc::new(Self { store: world.open().await, batches: AtomicUsize::new(0), gate: Semaphore::new(0) })
    }

    /// A closed semaphore lets everyone pass.
    fn open_gate(&self) {
        self.gate.close();
    }
}

/// The default of `max_body`.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// A writer, the way into its queue, and the token that stops it.
fn start(store: Arc<dyn EventStore>) -> (Ingest, IngestWriter, CancellationToken) {
    let stop = CancellationToken::new();
    let (ingest, writer) =
        buzon::ingest::start(store, CommitListeners::default(), Disk::default(), MAX_BODY, stop.clone());
    (ingest, writer, stop)
}

#[async_trait]
impl EventStore for Watched {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        let _ = self.gate.acquire().await;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.store.record_batch(events).await
    }
}

#[test]
async fn a_closed_queue_is_finished_even_if_every_client_has_gone() {
    on_both(async |world| {
        let store = Watched::new(&world).await;
        let (ingest, mut writer, stop) = start(store.clone());
        for n in 0..600 {
            let mut waiting = pin!(ingest.submit(event("7", received(&format!("A{n}"), json!({})), ARRIVAL)));
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        stop.cancel();
        store.open_gate();
        writer.ended().await.expect("the writer ends without an error");
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "600");
        assert_eq!(store.batches.load(Ordering::Relaxed), 3, "256, 256 and 88 events");
        let late = ingest.submit(event("7", received("late", json!({})), ARRIVAL)).await;
        assert_eq!(late, Err(IngestError::ShuttingDown));
    })
    .await;
}

#[test]
async fn events_beyond_the_limit_are_refused_at_once_and_accepted_ones_are_stored() {
    on_both(async |world| {
        let store = Watched::new(&world).await;
        let (ingest, mut writer, stop) = start(store.clone());
        let mut waiting = Vec::new();
        let refused = loop {
            let body = received(&waiting.len().to_string(), json!({"body": "x".repeat(4_000_000)}));
            let mut submit = Box::pin(ingest.submit(event("7", body, ARRIVAL)));
            match futures_util::poll!(&mut submit) {
                Poll::Pending => waiting.push(submit),
                Poll::Ready(refused) => break refused,
            }
        };
        assert_eq!(refused, Err(IngestError::QueueFull));
        assert_eq!(waiting.len(), 16, "of 4 MB, 16 fit into 64 MiB");
        drop(waiting);
        stop.cancel();
        store.open_gate();
        writer.ended().await.expect("the writer ends without an error");
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "16");
    })
    .await;
}

/// Such an event would be stored after its client has gone, in place of one whose client waits.
#[test]
async fn an_event_that_would_wait_too_long_is_refused_although_there_is_space() {
    let world = World::new(Backend::Sqlite).await;
    let store = Watched::new(&world).await;
    let (ingest, mut writer, stop) = start(store.clone());
    for n in 0..3_400 {
        let mut waiting = pin!(ingest.submit(event("7", received(&format!("A{n}"), json!({})), ARRIVAL)));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    }
    assert_eq!(ingest.admit(), Ok(()), "the time of a batch is not known yet");
    let begun = Instant::now();
    eventually("a batch takes a second", async || begun.elapsed() > Duration::from_secs(1)).await;
    store.gate.add_permits(1);
    eventually("the queue refuses because batches are slow", async || ingest.admit() == Err(IngestError::QueueFull))
        .await;
    store.open_gate();
    eventually("the queue is almost empty", async || ingest.admit() == Ok(())).await;
    stop.cancel();
    writer.ended().await.expect("the writer ends without an error");
    assert_eq!(world.value("SELECT count(*) FROM messages").await, "3400");
}

#[test(flavor = "multi_thread")]
async fn when_the_queue_is_almost_full_an_event_is_refused_before_its_body_is_read() {
    let world = World::new(Backend::Sqlite).await;
    let store = Watched::new(&world).await;
    let service = Service::start_on(&world, store.clone(), store.store.clone(), &[("BUZON_WEBHOOK_SECRET", SECRET)]);
    let service = &service;
    let waiting = (0..15).map(|n| async move {
        let body = received(&format!("A{n}"), json!({"body": "x".repeat(4_000_000)}));
        service.deliver("/webhook/7", body).await
    });
    let waiting = futures_util::future::join_all(waiting);
    let refused = eventually("an event is refused", async || {
        let unproven = format!("x-whapi-signature: {}", "0".repeat(64));
        let head = format!("POST /webhook/7 HTTP/1.1\r\nhost: x\r\n{unproven}\r\ncontent-length: 100\r\n\r\n");
        let mut client = TcpStream::connect(service.address).await.expect("the server listens");
        client.write_all(head.as_bytes()).await.expect("the server reads");
        let mut answer = [0; 12];
        let answered = timeout(Duration::from_millis(300), client.read_exact(&mut answer)).await;
        answered.is_ok_and(|read| read.is_ok()) && answer == *b"HTTP/1.1 503"
    });
    let all = async {
        refused.await;
        store.open_gate();
    };
    futures_util::join!(waiting, all);
    let stored = async || world.value("SELECT count(*) FROM messages").await == "15";
    eventually("all accepted events are stored", stored).await;
}

#[test]
async fn the_queue_has_a_maximum_number_of_events() {
    let world = World::new(Backend::Sqlite).await;
    let store = Watched::new(&world).await;
    let (ingest, _writer, _stop) = start(store.clone());
    let mut refused = 0;
    for n in 0..4_100 {
        let mut submit = Box::pin(ingest.submit(event("7", received(&n.to_string(), json!({})), ARRIVAL)));
        refused += usize::from(futures_util::poll!(&mut submit) == Poll::Ready(Err(IngestError::QueueFull)));
    }
    assert_eq!(refused, 4);
}

#[test(flavor = "multi_thread")]
async fn a_thousand_events_over_64_connections_need_far_fewer_transactions() {
    on_both(async |world| {
        let store = Watched::new(&world).await;
        store.open_gate();
        let service =
            Service::start_on(&world, store.clone(), store.store.clone(), &[("BUZON_WEBHOOK_SECRET", SECRET)]);
        let service = &service;
        let deliveries = stream::iter(0..1_000).map(|n| async move {
            service.deliver("/webhook/7", received(&format!("A{n}"), json!({}))).await.accepted()
        });
        let repeats = deliveries.buffer_unordered(64).filter(|duplicate| std::future::ready(*duplicate)).count().await;
        assert_eq!(repeats, 0);
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "1000");
        assert_eq!(world.value("SELECT message_count FROM chats").await, "1000");
        let batches = store.batches.load(Ordering::Relaxed);
        assert!(batches < 1_000, "1,000 events took {batches} transactions");
    })
    .await;
}

/// The media worker is woken only when there is a file to fetch, and does not wait for its next look.
#[test]
async fn only_a_commit_with_a_file_to_fetch_wakes_the_media_worker() {
    on_both(async |world| {
        let media = Arc::new(Notify::new());
        let (ingest, _writer) = buzon::ingest::start(
            world.open().await,
            CommitListeners { media: media.clone(), ..CommitListeners::default() },
            Disk::default(),
            MAX_BODY,
            CancellationToken::new(),
        );
        let woken = || media.notified().now_or_never().is_some();
        let with_file = received("A", json!({"media_url": "/a.jpg"}));
        for (body, wakes) in
            [(received("T", json!({})), false), (with_file.clone(), true), (ack("A", "read"), false), (with_file, true)]
        {
            ingest.submit(event("7", body, ARRIVAL)).await.expect("the event is stored");
            assert_eq!(woken(), wakes);
        }
    })
    .await;
}
