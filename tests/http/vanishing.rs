//! A client that disconnects does no harm to others, and an event that it sent completely is stored.

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::clients::raw_http::{request, send_and_reset};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::received;
use crate::support::eventually;
use crate::support::program::service::Service;

#[test]
async fn a_request_that_breaks_off_stores_nothing_and_the_next_one_is_served() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let request = request(&received("broken", json!({})));
        for sent in [1, 30, request.len() - 200, request.len() - 1] {
            send_and_reset(service.address, &request[..sent]).await;
        }
        assert!(!service.deliver("/webhook/7", received("A", json!({}))).await.accepted());
        assert_eq!(world.rows("SELECT id FROM messages").await, ["A"]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_reset_after_the_last_byte_does_not_stop_the_commit() {
    let world = World::new(Backend::Postgres).await;
    let service = Service::start(&world).await;
    let mut blocker = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
    blocker.execute("BEGIN; UPDATE ledger_clock SET seq = seq").await.expect("the stream begins");
    send_and_reset(service.address, &request(&received("A", json!({})))).await;
    // The writer waits for the blocker: it has the event, and the client has gone.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually("the writer waits", async || world.value(waits).await == "1").await;
    blocker.close().await.expect("the connection can be closed");
    eventually("the event is stored", async || world.rows("SELECT id FROM messages").await == ["A"]).await;
    service.stop().await;
}
