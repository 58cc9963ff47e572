//! A process that is killed.

use std::collections::BTreeMap;

use serde_json::json;

use super::{caught_up, settings_file};
use crate::support::database::world::on_both;
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::program::process::Buzon;
use crate::support::receiver::{EventReceiver, ReceiverAnswer};

#[test(flavor = "multi_thread")]
async fn whatever_is_killed_every_event_arrives_in_the_order_of_its_conversation() {
    const KILLS: usize = 3;
    const EVENTS: usize = 400;
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        // A fifth of the first attempts fail.
        receiver.answer(|event| match (event.id().parse::<usize>(), event.header("x-buzon-attempt")) {
            (Ok(number), Some("1")) if number.is_multiple_of(5) => ReceiverAnswer::Closed,
            _ => ReceiverAnswer::Status(200),
        });
        settings_file(&world, &receiver.settings(""));
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET)];
        let mut sent = 0;
        for round in 0..=KILLS {
            let buzon = Buzon::serve(&world, &settings).await;
            for _ in 0..EVENTS / (KILLS + 1) {
                let chat = format!("{}@c.us", sent % 41);
                buzon.deliver(received(&format!("{sent:04}"), json!({"chat_id": chat, "from": chat}))).await.accepted();
                sent += 1;
            }
            if round < KILLS {
                eventually("some are sent", async || receiver.count() > sent / 2).await;
                buzon.kill().await;
                // Otherwise the next process would wait for the end of the lease.
                world.execute("UPDATE forwards SET lease_until = NULL").await;
            } else {
                caught_up(&world, "bot").await;
                buzon.kill().await;
            }
        }
        let mut taken = BTreeMap::<String, usize>::new();
        let mut last = BTreeMap::<usize, usize>::new();
        for event in receiver.received() {
            let number: usize = event.id().parse().expect("it is a number");
            let is_failed = number.is_multiple_of(5) && event.header("x-buzon-attempt") == Some("1");
            if !is_failed && *taken.entry(event.id()).and_modify(|count| *count += 1).or_insert(1) == 1 {
                let before = last.insert(number % 41, number);
                assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
            }
        }
        assert_eq!(taken.len(), sent, "every event arrives");
        let twice = taken.values().filter(|count| **count > 1).count();
        println!("{twice} of {sent} events were taken more than once after {KILLS} kills");
        assert_eq!(world.value("SELECT given_up FROM forwards").await, "0");
        assert_eq!(world.value("SELECT count(*) FROM forward_failures").await, "0");
    })
    .await;
}
