//! Order and repetition do not matter: every table but the ledger's numbers is a function of the set of events.

use std::collections::BTreeMap;
use std::sync::Arc;

use buzon::domain::event::Event;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::store::read::waiting;
use crate::support::clock::later;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::event;

/// An event as it arrived: its instance, body and arrival.
type Fixed = (String, String, Timestamp);

/// Generates bodies with few values, so that events collide: the same ids in several instances, the same times of copies
/// of one message, the same words. Two messages of a chat have different times: within one time, the order of arrival
/// decides, which is what the numbers of the ledger say.
fn body() -> impl Strategy<Value = Value> {
    let id = || prop_oneof![Just("A"), Just("B")];
    let second = || prop_oneof![Just(None), (0..4_i64).prop_map(Some)];
    let time = || second().prop_map(|second| json!(second.map(|second| 1_724_716_800 + second)));
    let text = || prop_oneof![Just(json!(null)), Just(json!("")), Just(json!("x")), Just(json!("y"))];
    let chat = prop_oneof![Just(json!(null)), Just(json!("p@c.us")), Just(json!("q@c.us")), Just(json!("g@g.us"))];
    let ack = || {
        prop_oneof![
            Just("pending"),
            Just("sent"),
            Just("SENT"),
            Just("delivered"),
            Just("read"),
            Just("error"),
            Just("Failed"),
            Just("odd")
        ]
    };
    let stated = prop_oneof![Just(json!(null)), ack().prop_map(|ack| json!(ack))];
    let group = prop_oneof![Just(json!(null)), Just(json!(true)), Just(json!(0))];
    let texts = (text(), text(), text(), text(), text());
    let message = (id(), any::<bool>(), any::<bool>(), (chat, group), second(), texts, stated).prop_map(
        |(id, sent, from_me, (chat, group), second, (name, body, media, file, vcard), ack)| {
            let time = second.map(|second| 1_724_716_800 + 2 * second + parity(id));
            json!({
                "event_type": if sent { "message_sent" } else { "message_received" }, "id": id, "from_me": from_me,
                "chat_id": chat, "timestamp": time, "sender_name": name, "body": body, "media_url": media, "vcard": vcard,
                "filename": file, "is_group": group, "ack": ack,
            })
        },
    );
    let ack =
        (id(), ack(), 0..2).prop_map(|(id, ack, n)| json!({"event_type": "ack_update", "id": id, "ack": ack, "n": n}));
    let reaction = (id(), text(), time(), 0..2).prop_map(|(id, emoji, time, n)| {
        json!({
            "event_type": "message_reaction", "message_id": id, "from_number": "5", "reaction": emoji,
            "timestamp": time, "n": n,
        })
    });
    let odd = prop_oneof![
        Just(json!({"event_type": "new_thing"})),
        Just(json!({"event_type": "ack_update"})),
        Just(json!(7))
    ];
    prop_oneof![6 => message, 3 => ack, 2 => reaction, 1 => odd]
}

/// Returns 0 or 1, so that the two ids never share a time.
fn parity(id: &str) -> i64 {
    i64::from(id == "B")
}

/// Generates a set of events. The same body of the same instance arrives at one time only.
fn events() -> impl Strategy<Value = Vec<Fixed>> {
    let one = (prop_oneof![Just("7"), Just("8"), Just("-")], body(), 0..20_i64);
    prop::collection::vec(one, 1..14).prop_map(|events| {
        let arrivals: BTreeMap<(String, String), Timestamp> = events
            .into_iter()
            .map(|(instance, body, millis)| {
                let arrival = later(2 * millis + parity(body["id"].as_str().unwrap_or_default()));
                ((instance.to_owned(), body.to_string()), arrival)
            })
            .collect();
        arrivals.into_iter().map(|((instance, body), arrival)| (instance, body, arrival)).collect()
    })
}

/// Generates the same events in another order, some of them repeated, and the sizes of their batches.
fn deliveries() -> impl Strategy<Value = (Vec<Fixed>, Vec<Fixed>, Vec<usize>)> {
    let shuffled = events().prop_flat_map(|events| {
        let repeated = prop::sample::subsequence(events.clone(), 0..=events.len());
        let deliveries = repeated.prop_map({
            let events = events.clone();
            move |repeated| [events.clone(), repeated].concat()
        });
        (Just(events), deliveries.prop_shuffle())
    });
    (shuffled, prop::collection::vec(1..5_usize, 30))
        .prop_map(|((events, deliveries), sizes)| (events, deliveries, sizes))
}

async fn rows_after(world: &World, store: &Arc<dyn Store>, batches: impl Iterator<Item = &[Fixed]>) -> Vec<String> {
    const TABLES: [&str; 8] =
        ["events", "messages", "message_acks", "message_reactions", "chats", "media", "responses", "message_search"];
    let clear: Vec<String> = TABLES.iter().map(|table| format!("DELETE FROM {table}")).collect();
    world.execute(&clear.join("; ")).await;
    if world.backend == Backend::Sqlite {
        world.execute("INSERT INTO message_words (message_words) VALUES ('delete-all')").await;
    }
    for batch in batches {
        let events: Vec<Event> =
            batch.iter().map(|(instance, body, arrival)| event(instance, body, *arrival)).collect();
        record(store, &events).await;
    }
    world.dump().await
}

fn in_batches<'d>(deliveries: &'d [Fixed], sizes: &[usize]) -> Vec<&'d [Fixed]> {
    let mut rest = deliveries;
    let mut batches = Vec::new();
    for size in sizes {
        let (batch, others) = rest.split_at((*size).min(rest.len()));
        batches.extend((!batch.is_empty()).then_some(batch));
        rest = others;
    }
    batches.extend((!rest.is_empty()).then_some(rest));
    batches
}

#[test]
fn any_order_with_repeats_in_any_batches_gives_the_same_rows_on_both_databases() {
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let stores = runtime.block_on(async { [worlds[0].open().await, worlds[1].open().await] });
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&deliveries(), |(events, deliveries, sizes)| {
        let mut dumps = Vec::new();
        for (world, store) in worlds.iter().zip(&stores) {
            dumps.push(runtime.block_on(rows_after(world, store, std::iter::once(events.as_slice()))));
            dumps.push(runtime.block_on(rows_after(world, store, events.chunks(1))));
            dumps.push(runtime.block_on(rows_after(world, store, in_batches(&deliveries, &sizes).into_iter())));
            runtime.block_on(waiting::assert_as_defined(world, "true"));
        }
        for dump in &dumps[1..] {
            prop_assert_eq!(&dumps[0], dump);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
