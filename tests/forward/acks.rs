//! Acks without an instance.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{caught_up, start_clocked};
use crate::support::clock::MovedClock;
use crate::support::database::world::on_both;
use crate::support::events::{ack, sent};
use crate::support::receiver::{EventReceiver, forward_settings};

#[test(flavor = "multi_thread")]
async fn an_ack_without_an_instance_goes_to_the_forward_of_its_message_whichever_comes_first() {
    on_both(async |world| {
        let (seven, eight) = (EventReceiver::start().await, EventReceiver::start().await);
        let clock = Arc::new(MovedClock::default());
        let forwards = seven.settings("instances = [\"7\"]\n")
            + &forward_settings("eight", eight.address, "instances = [\"8\"]\n");
        let service = start_clocked(&world, clock.clone(), &forwards).await;
        service.deliver("/webhook/7", sent("A", json!({}))).await.accepted();
        service.deliver("/webhook", ack("A", "delivered")).await.accepted();
        service.deliver("/webhook", ack("B", "read")).await.accepted();
        service.deliver("/webhook/8", sent("B", json!({}))).await.accepted();
        service.deliver("/webhook", ack("nobody's", "read")).await.accepted();
        crate::support::eventually("the acks arrive", async || (seven.count(), eight.count()) == (2, 2)).await;
        clock.forward(Duration::from_secs(60));
        caught_up(&world, "bot").await;
        caught_up(&world, "eight").await;
        assert_eq!(seven.ids(), ["A", "A"]);
        assert_eq!(eight.ids(), ["B", "B"]);
        service.stop().await;
    })
    .await;
}
