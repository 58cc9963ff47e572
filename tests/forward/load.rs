//! Many events. `BUZON_TEST_LOAD=1` makes it as many as after a bad day.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use buzon::domain::event::Event;
use serde_json::json;

use super::{register, start};
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{World, on_both, record};
use crate::support::events::{event, received};
use crate::support::eventually_within;
use crate::support::receiver::{EventReceiver, ReceiverAnswer};

/// The most that a test waits.
pub const WAIT: Duration = Duration::from_secs(280);

pub fn is_large() -> bool {
    std::env::var("BUZON_TEST_LOAD").is_ok_and(|load| load == "1")
}

/// Stores messages of many conversations, after the forward was registered.
async fn store_messages(world: &World, count: usize, chats: usize) {
    let store = world.open().await;
    let message = |number: usize| {
        let chat = format!("{}@c.us", number % chats);
        event("7", received(&format!("{number:06}"), json!({"chat_id": chat, "from": chat})), ARRIVAL)
    };
    let events: Vec<Event> = (0..count).map(message).collect();
    for batch in events.chunks(256) {
        record(&store, batch).await;
    }
    store.close().await;
}

#[test(flavor = "multi_thread")]
async fn many_events_arrive_once_and_in_order_within_each_conversation() {
    let count = if is_large() { 10_000 } else { 2_000 };
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let settings = receiver.settings("");
        register(&world, &settings).await;
        store_messages(&world, count, 50).await;
        let begun = Instant::now();
        let service = start(&world, &settings).await;
        eventually_within(WAIT, "all arrive", async || receiver.count() >= count).await;
        println!("{count} events in {:?}", begun.elapsed());
        service.stop().await;
        let mut last = BTreeMap::<usize, usize>::new();
        for id in receiver.ids() {
            let number: usize = id.parse().expect("it is a number");
            let before = last.insert(number % 50, number);
            assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
        }
        assert_eq!(receiver.count(), count);
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn of_a_receiver_that_fails_often_nothing_is_lost_and_the_order_is_kept() {
    let count = if is_large() { 100_000 } else { 1_000 };
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        // A fifth of the first attempts fail, in no order.
        receiver.answer(|event| match (event.id().parse::<usize>(), event.header("x-buzon-attempt")) {
            (Ok(number), Some("1")) if (number * 7_919) % 101 < 20 => ReceiverAnswer::Status(503),
            _ => ReceiverAnswer::Status(200),
        });
        let settings = receiver.settings("");
        register(&world, &settings).await;
        store_messages(&world, count, 500).await;
        let service = start(&world, &settings).await;
        let delivered = async || world.value("SELECT delivered FROM forwards").await == count.to_string();
        eventually_within(WAIT, "all are delivered", delivered).await;
        service.stop().await;
        let mut last = BTreeMap::<usize, usize>::new();
        let mut taken = 0;
        for event in receiver.received() {
            let number: usize = event.id().parse().expect("it is a number");
            let before = last.insert(number % 500, number);
            assert!(before.is_none_or(|before| before <= number), "{number} came after {before:?}");
            let failed = (number * 7_919) % 101 < 20 && event.header("x-buzon-attempt") == Some("1");
            taken += usize::from(!failed);
        }
        assert_eq!(taken, count, "each is taken once");
        assert_eq!(world.value("SELECT given_up, skipped_stale FROM forwards").await, "0|0");
    })
    .await;
}
