//! When the store is unavailable or slow, events are answered 503, and the gateway sends them again.

use std::sync::Arc;

use async_trait::async_trait;
use buzon::domain::event::Event;
use buzon::domain::event::batch::Receipt;
use buzon::store::{EventStore, StoreError};
use serde_json::json;

use crate::support::database::blocker::Blocker;
use crate::support::database::proxy::Proxy;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{reaction, received, sent};
use crate::support::eventually;
use crate::support::program::service::{Service, answer};

#[test(flavor = "multi_thread")]
async fn a_commit_that_takes_too_long_is_503_and_the_repeat_is_stored() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let blocker = Blocker::new(&world, "ledger_clock").await;
        let body = received("A", json!({}));
        let refused = service.deliver("/webhook/7", &body).await;
        assert_eq!(refused.status.as_u16(), 503);
        assert!(["store_unavailable", "commit_timeout"].contains(&refused.code()), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "5");
        blocker.release().await;
        // The repeat may be a duplicate or not, because the first delivery may have been stored.
        service.deliver("/webhook/7", &body).await.accepted();
        assert_eq!(world.rows("SELECT id FROM messages").await, ["A"]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn after_an_outage_of_the_database_server_the_service_recovers_by_itself() {
    let mut world = World::new(Backend::Postgres).await;
    let direct = world.url.clone();
    let proxy = Proxy::start(&mut world.url).await;
    let service = Service::start(&world).await;
    let readiness = async |status: u16| answer(service.get("/health/ready")).await.status.as_u16() == status;
    assert!(!service.deliver("/webhook/7", sent("A", json!({}))).await.accepted());
    assert!(readiness(200).await);

    // Every connection is cut once, and the next batch opens a new one.
    proxy.cut();
    assert!(!service.deliver("/webhook/7", sent("B", json!({}))).await.accepted());

    proxy.stop();
    let refused = service.deliver("/webhook/7", sent("C", json!({}))).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "store_unavailable"));
    assert_eq!(refused.header("retry-after"), "5");
    eventually("the service is not ready", async || readiness(503).await).await;
    assert_eq!(answer(service.get("/health/live")).await.status.as_u16(), 200);

    proxy.resume();
    assert!(!service.deliver("/webhook/7", sent("C", json!({}))).await.accepted());
    eventually("the service is ready", async || readiness(200).await).await;
    service.stop().await;
    world.url = direct;
    assert_eq!(world.rows("SELECT id FROM messages ORDER BY id").await, ["A", "B", "C"]);
}

/// Other events are stored meanwhile, and yet this one is not to blame.
#[test(flavor = "multi_thread")]
async fn an_event_whose_table_is_locked_is_refused_and_never_quarantined() {
    let world = World::new(Backend::Postgres).await;
    let service = Service::start(&world).await;
    let blocker = Blocker::new(&world, "messages").await;
    for second in 0..3 {
        let refused = service.deliver("/webhook/7", received("A", json!({}))).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "store_unavailable"));
        let other = reaction("B", "573001112233@c.us", json!("👍"), json!(1_724_717_000 + second));
        service.deliver("/webhook/7", other).await.accepted();
    }
    blocker.release().await;
    service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
    assert_eq!(world.rows("SELECT state FROM events WHERE message_id = 'A'").await, ["applied"]);
    assert_eq!(world.rows("SELECT id FROM messages").await, ["A"]);
    service.stop().await;
}

/// A store that makes the writer panic at its next batch.
struct Deadly;

#[async_trait]
impl EventStore for Deadly {
    async fn record_batch(&self, _: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        panic!("a defect");
    }
}

/// A service that cannot store anything should stop, so that its supervisor starts it again.
#[test(flavor = "multi_thread")]
async fn a_panic_of_the_writer_ends_the_service() {
    let world = World::new(Backend::Sqlite).await;
    let settings = [("BUZON_WEBHOOK_SECRET", crate::support::events::SECRET)];
    let service = Service::start_on(&world, Arc::new(Deadly), world.open().await, &settings);
    let refused = service.deliver("/webhook/7", received("A", json!({}))).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "store_unavailable"));
    let ended = service.ended().await.expect_err("it ends with an error").to_string();
    assert!(ended.contains("the writer died"), "{ended}");
}
