//! A panic in one request does not affect other requests.

use std::sync::Arc;

use serde_json::json;

use crate::support::clock::PanickingClock;
use crate::support::database::world::on_both;
use crate::support::events::{SECRET, received};
use crate::support::program::service::Service;

#[test(flavor = "multi_thread")]
async fn a_handler_that_panics_answers_500_and_the_next_event_is_stored() {
    on_both(async |world| {
        let clock = Arc::new(PanickingClock::default());
        let service = Service::start_clocked(&world, clock.clone(), &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        clock.arm(true);
        for _ in 0..3 {
            let failed = service.deliver("/webhook/7", received("A", json!({}))).await;
            assert_eq!((failed.status.as_u16(), failed.code()), (500, "internal_error"));
            assert!(!failed.header("x-request-id").is_empty());
        }
        clock.arm(false);
        assert!(!service.deliver("/webhook/7", received("A", json!({}))).await.accepted());
        assert_eq!(world.rows("SELECT id FROM messages").await, ["A"]);
        service.stop().await;
    })
    .await;
}
