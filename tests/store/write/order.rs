//! Order and repetition do not matter: every table is a function of the set of events with their numbers, in whatever
//! order and batches they are applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use buzon::domain::event::Event;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::Store;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::store::read::waiting;
use crate::support::clock::later;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::event;

/// An event as it arrived: its instance, body and arrival.
type Fixed = (String, String, Timestamp);

/// Events that are applied together, with the number of the first of them. The others have those after it.
type Batch = (usize, Vec<Fixed>);

/// Generates bodies with few values, so that events collide: the same ids in several instances, the same times, the
/// same words.
fn body() -> impl Strategy<Value = Value> {
    let id = || prop_oneof![Just("A"), Just("B")];
    let time = || prop_oneof![Just(json!(null)), (0..4).prop_map(|second| json!(1_724_716_800 + second))];
    let text = || prop_oneof![Just(json!(null)), Just(json!("")), Just(json!("x")), Just(json!("y"))];
    let person = || {
        prop_oneof![
            4 => Just(json!("573001112233@c.us")), 3 => Just(json!("1763@lid")), 1 => Just(json!("525512345678@c.us")),
            1 => Just(json!("5215512345678@c.us")),
        ]
    };
    let chat = prop_oneof![1 => Just(json!(null)), 1 => Just(json!("g@g.us")), 4 => person()];
    let sender = prop_oneof![2 => Just(json!("5")), 1 => person()];
    let number = prop_oneof![4 => Just(json!(null)), 1 => person()];
    let quoted = prop_oneof![3 => Just(""), 1 => Just("A"), 1 => Just("B")];
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
    let event_type = prop_oneof![
        5 => Just("message_received"), 4 => Just("message_sent"), 1 => Just("message_revoked"),
        1 => Just("message_deleted"),
    ];
    let kind = prop_oneof![
        4 => Just(json!("text")), 1 => Just(json!(null)), 1 => Just(json!("unknown")), 1 => Just(json!("ciphertext")),
        1 => Just(json!("reaction")), 1 => Just(json!("revoked")),
    ];
    let persons = (chat, sender, number, quoted, group);
    let message = (id(), (event_type, kind), any::<bool>(), persons, time(), texts, stated).prop_map(
        |(id, (event_type, kind), from_me, persons, time, (name, body, media, file, vcard), ack)| {
            let (chat, sender, number, quoted, group) = persons;
            json!({
                "event_type": event_type, "id": id, "from_me": from_me, "type": kind, "from": sender, "sender_pn": number,
                "chat_id": chat,
                "timestamp": time, "sender_name": name, "body": body, "media_url": media, "vcard": vcard,
                "filename": file, "is_group": group, "ack": ack, "quoted_message_id": if kind == "reaction" { "A" } else { quoted },
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

/// Generates a set of events. The same body of the same instance arrives at one time only.
fn events() -> impl Strategy<Value = Vec<Fixed>> {
    let one = (prop_oneof![Just("7"), Just("8"), Just("-")], body(), 0..20_i64);
    prop::collection::vec(one, 1..14).prop_map(|events| {
        let arrivals: BTreeMap<(String, String), Timestamp> = events
            .into_iter()
            .map(|(instance, body, millis)| ((instance.to_owned(), body.to_string()), later(millis)))
            .collect();
        arrivals.into_iter().map(|((instance, body), arrival)| (instance, body, arrival)).collect()
    })
}

/// Generates events, and batches in any order in which they are applied. Events that were applied before may come again.
fn deliveries() -> impl Strategy<Value = (Vec<Fixed>, Vec<Batch>)> {
    let batches = (events(), prop::collection::vec(1..5_usize, 14)).prop_flat_map(|(events, sizes)| {
        let batches = in_batches(&events, &sizes);
        (Just(events), Just(batches).prop_shuffle())
    });
    (batches, prop::collection::vec(any::<Option<Index>>(), 14)).prop_map(|((events, mut batches), repeats)| {
        let mut applied = Vec::new();
        for ((_, batch), repeat) in batches.iter_mut().zip(repeats) {
            applied.extend(batch.clone());
            batch.extend(repeat.map(|repeat| repeat.get(&applied).clone()));
        }
        (events, batches)
    })
}

fn in_batches(events: &[Fixed], sizes: &[usize]) -> Vec<Batch> {
    let (mut rest, mut number, mut batches) = (events, 1, Vec::new());
    for size in sizes {
        let (batch, others) = rest.split_at((*size).min(rest.len()));
        batches.extend((!batch.is_empty()).then(|| (number, batch.to_vec())));
        (rest, number) = (others, number + batch.len());
    }
    batches
}

/// Returns the rows after the batches were applied, and the numbers in them.
async fn rows_after(world: &World, store: &Arc<dyn Store>, batches: &[Batch]) -> Vec<String> {
    const TABLES: [&str; 11] = [
        "events",
        "messages",
        "message_acks",
        "message_reactions",
        "chats",
        "media",
        "responses",
        "message_search",
        "chat_links",
        "chat_aliases",
        "chat_moves",
    ];
    let clear: Vec<String> = TABLES.iter().map(|table| format!("DELETE FROM {table}")).collect();
    world.execute(&clear.join("; ")).await;
    if world.backend == Backend::Sqlite {
        world.execute("INSERT INTO message_words (message_words) VALUES ('delete-all')").await;
    }
    for (number, batch) in batches {
        world.execute(&format!("UPDATE ledger_clock SET seq = {number} - 1")).await;
        let events: Vec<Event> =
            batch.iter().map(|(instance, body, arrival)| event(instance, body, *arrival)).collect();
        record(store, &events).await;
    }
    while store.move_messages(2).await.expect("messages can be moved") {}
    let numbers = "SELECT instance_id, id, event_seq, revoked_seq FROM messages ORDER BY instance_id, id";
    // The store gives numbers in the order in which it applies events. In another order, the number of a pair of copies can be
    // that of a later copy that states the same chat.
    let links = "SELECT instance_id, a, b, source, CASE WHEN source <> 'same message' THEN seq END FROM chat_links \
                 ORDER BY 1, 2, 3, 4";
    [world.dump().await, world.rows(numbers).await, world.rows(links).await].concat()
}

#[test]
fn numbered_events_in_any_order_with_repeats_in_any_batches_give_the_same_rows_on_both_databases() {
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let stores = runtime.block_on(async { [worlds[0].open().await, worlds[1].open().await] });
    let mut runner =
        TestRunner::new(Config { cases: 60, max_shrink_iters: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&deliveries(), |(events, batches)| {
        let mut dumps = Vec::new();
        for (world, store) in worlds.iter().zip(&stores) {
            let together = [(1, events.clone())];
            let one_by_one = in_batches(&events, &vec![1; events.len()]);
            for batches in [together.as_slice(), &one_by_one, &batches] {
                dumps.push(runtime.block_on(rows_after(world, store, batches)));
            }
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

/// A copy of a service type names the first chat. The message itself has none, because its other copy states none.
#[test]
async fn a_chat_that_only_a_service_copy_named_is_evidence_in_any_batches() {
    let copies = [
        json!({"event_type": "message_received", "type": "ciphertext", "chat_id": "573001112233@c.us"}),
        json!({"event_type": "message_sent", "type": "text", "from": "5", "from_me": true}),
        json!({"event_type": "message_revoked", "type": "text", "chat_id": "1763@lid"}),
    ];
    let copies: Vec<Fixed> = copies
        .into_iter()
        .zip(1..)
        .map(|(mut body, place)| {
            body["id"] = json!("A");
            ("7".to_owned(), body.to_string(), later(place))
        })
        .collect();
    on_both(async |world| {
        let store = world.open().await;
        let together = rows_after(&world, &store, &[(1, copies.clone())]).await;
        assert!(
            together.iter().any(|row| row.ends_with("|1763@lid|573001112233@c.us|same message|NULL")),
            "{together:?}"
        );
        assert_eq!(rows_after(&world, &store, &in_batches(&copies, &[1, 1, 1])).await, together);
    })
    .await;
}
