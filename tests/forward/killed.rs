//! A process that is killed.

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::future::join_all;
use serde_json::json;

use super::commands::forward;
use super::load::{WAIT, is_large};
use super::{caught_up, settings_file};
use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::program::process::Buzon;
use crate::support::receiver::{EventReceiver, ReceivedEvent, ReceiverAnswer};
use crate::support::{eventually, eventually_within};

/// The conversations, each of which keeps its order.
const LANES: usize = 41;

/// Delivers these events: those of a conversation one after the other.
async fn deliver(buzon: &Buzon, events: Range<usize>) {
    let lanes = (0..LANES).map(|lane| {
        let events = events.clone().filter(move |number| number % LANES == lane);
        async move {
            for number in events {
                let chat = format!("{lane}@c.us");
                let message = received(&format!("{number:06}"), json!({"chat_id": chat, "from": chat}));
                buzon.deliver(message).await.accepted();
            }
        }
    });
    join_all(lanes).await;
}

/// Kills the process, and ends its lease: otherwise the next one would wait for that.
async fn kill(world: &World, buzon: Buzon) {
    buzon.kill().await;
    world.execute("UPDATE forwards SET lease_until = NULL").await;
}

/// Checks that the receiver has taken all of these events, and that the first time of each was in the order of its
/// conversation. Returns how many it has taken more than once.
fn taken_more_than_once(events: usize, taken: impl IntoIterator<Item = usize>) -> usize {
    let (mut times, mut last) = (BTreeMap::<usize, usize>::new(), BTreeMap::<usize, usize>::new());
    for number in taken {
        let count = times.entry(number).or_default();
        *count += 1;
        if *count == 1 {
            let before = last.insert(number % LANES, number);
            assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
        }
    }
    assert_eq!(times.len(), events, "every event arrives");
    times.values().filter(|count| **count > 1).count()
}

fn number(event: &ReceivedEvent) -> usize {
    event.id().parse().expect("it is a number")
}

#[test(flavor = "multi_thread")]
async fn whatever_is_killed_every_event_arrives_in_the_order_of_its_conversation() {
    const KILLS: usize = 3;
    let count = if is_large() { 100_000 } else { 400 };
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        // A fifth of the first attempts fail.
        let fails =
            |event: &ReceivedEvent| number(event).is_multiple_of(5) && event.header("x-buzon-attempt") == Some("1");
        receiver.answer(move |event| match fails(event) {
            true => ReceiverAnswer::Closed,
            false => ReceiverAnswer::Status(200),
        });
        settings_file(&world, &receiver.settings(""));
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET)];
        let each = count / (KILLS + 1);
        for round in 0..=KILLS {
            let buzon = Buzon::serve(&world, &settings).await;
            deliver(&buzon, round * each..(round + 1) * each).await;
            if round < KILLS {
                let wanted = (round + 1) * each / 2;
                eventually_within(WAIT, "some are sent", async || receiver.count() > wanted).await;
                kill(&world, buzon).await;
            } else {
                let behind = "SELECT (SELECT seq FROM ledger_clock) - position FROM forwards";
                eventually_within(WAIT, "all are sent", async || world.value(behind).await == "0").await;
                buzon.kill().await;
            }
        }
        let taken = receiver.received().into_iter().filter(|event| !fails(event)).map(|event| number(&event));
        let twice = taken_more_than_once(count, taken);
        println!("{twice} of {count} events were taken more than once after {KILLS} kills");
        assert_eq!(world.value("SELECT given_up FROM forwards").await, "0");
        assert_eq!(world.value("SELECT count(*) FROM forward_failures").await, "0");
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_process_that_is_killed_at_any_step_of_a_delivery_is_followed_by_one_that_goes_on() {
    /// The events of a step: two for each conversation.
    const EVENTS: usize = 2 * LANES;
    /// The name of each step, the answer of the receiver, and the state of the database in which the process is killed.
    const STEPS: [(&str, ReceiverAnswer, &str, &str); 4] = [
        ("requests are under way", ReceiverAnswer::Silence, "SELECT lease_until IS NOT NULL FROM forwards", "1"),
        ("the position moves", ReceiverAnswer::Status(200), "SELECT position > 0 FROM forwards", "1"),
        ("a failure is noted", ReceiverAnswer::Status(503), "SELECT count(*) > 0 FROM forward_failures", "1"),
        ("the forward has stopped", ReceiverAnswer::Status(401), "SELECT stopped_since IS NOT NULL FROM forwards", "1"),
    ];
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        settings_file(&world, &receiver.settings(""));
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET)];
        for (place, (step, answer, query, wanted)) in STEPS.into_iter().enumerate() {
            let (before, asked) = (place * EVENTS, receiver.count());
            receiver.answer(move |event| match number(event) < before {
                true => ReceiverAnswer::Status(200),
                false => answer.clone(),
            });
            let buzon = Buzon::serve(&world, &settings).await;
            deliver(&buzon, before..before + EVENTS).await;
            eventually(step, async || receiver.count() > asked && world.value(query).await == wanted).await;
            kill(&world, buzon).await;
            receiver.answer(|_| ReceiverAnswer::Status(200));
            let buzon = Buzon::serve(&world, &settings).await;
            caught_up(&world, "bot").await;
            kill(&world, buzon).await;
        }
        let twice = taken_more_than_once(STEPS.len() * EVENTS, receiver.received().iter().map(number));
        println!("{twice} events were sent more than once");

        let from = world.value("SELECT min(received_at) FROM events").await;
        let replay = forward(&world, &["replay", "bot", "--from", &from, "--yes"]).await;
        assert!(replay.status.success(), "{replay:?}");
        let asked = receiver.count();
        receiver.answer(|_| ReceiverAnswer::Silence);
        let buzon = Buzon::serve(&world, &settings).await;
        eventually("the replay is under way", async || receiver.count() > asked).await;
        kill(&world, buzon).await;
        receiver.answer(|_| ReceiverAnswer::Status(200));
        let asked = receiver.count();
        let buzon = Buzon::serve(&world, &settings).await;
        caught_up(&world, "bot").await;
        buzon.kill().await;
        taken_more_than_once(STEPS.len() * EVENTS, receiver.received()[asked..].iter().map(number));
        assert_eq!(world.value("SELECT given_up FROM forwards").await, "0");
        assert_eq!(world.value("SELECT count(*) FROM forward_failures").await, "0");
    })
    .await;
}
