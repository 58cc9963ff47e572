use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, reaction, received, sent};

const CHATS: &str = "SELECT chat_id, name, message_count, last_message_id, last_incoming_id, last_outgoing_id \
                     FROM chats ORDER BY chat_id";

fn at(seconds: i64) -> Value {
    json!({"timestamp": 1724716800 + seconds})
}

#[test]
async fn a_chat_knows_its_latest_messages_and_how_many_there_are() {
    on_both(async |world| {
        let store = world.open().await;
        let first = [event("7", received("in-1", at(10)), ARRIVAL), event("7", sent("out-1", at(20)), ARRIVAL)];
        record(&store, &first).await;
        // A message that arrives late does not become the latest.
        record(
            &store,
            &[event("7", received("in-0", at(5)), later(1)), event("7", received("in-2", at(15)), later(1))],
        )
        .await;
        assert_eq!(world.rows(CHATS).await, ["573001112233@c.us|Juan Pérez|4|out-1|in-2|out-1"]);
        let times = world.value("SELECT last_message_at, last_incoming_at, last_outgoing_at FROM chats").await;
        assert_eq!(times, "2024-08-27T00:00:20.000Z|2024-08-27T00:00:15.000Z|2024-08-27T00:00:20.000Z");
    })
    .await;
}

#[test]
async fn a_copy_or_a_repeat_is_not_counted_again() {
    on_both(async |world| {
        let store = world.open().await;
        let body = received("A", at(10));
        record(&store, &[event("7", &body, ARRIVAL), event("7", received("A", at(11)), ARRIVAL)]).await;
        record(&store, &[event("7", &body, later(1)), event("7", received("A", at(12)), later(2))]).await;
        assert_eq!(world.value("SELECT message_count FROM chats").await, "1");
    })
    .await;
}

#[test]
async fn a_chat_has_the_name_of_its_latest_incoming_message_with_one_and_a_group_has_none() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            received("old", json!({"timestamp": 1724716800, "sender_name": "Juan"})),
            received("new", json!({"timestamp": 1724716810, "sender_name": "Juan P."})),
            received("nameless", json!({"timestamp": 1724716820, "sender_name": null})),
            sent("mine", json!({"timestamp": 1724716830, "sender_name": "The shop"})),
            received("group", json!({"chat_id": "1203@g.us", "is_group": 1, "sender_name": "Ana"})),
        ];
        let events: Vec<_> = events.iter().rev().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &events).await;
        assert_eq!(world.rows("SELECT name FROM chats ORDER BY chat_id").await, ["NULL", "Juan P."]);
    })
    .await;
}

#[test]
async fn a_message_that_moves_back_in_time_gives_up_its_place() {
    on_both(async |world| {
        let store = world.open().await;
        // A stub without a time counts by its arrival, until the complete copy says when it was sent.
        let stub = received("moves", json!({"timestamp": null, "sender_name": "Late"}));
        let events = [event("7", stub, ARRIVAL), event("7", received("stays", at(50)), ARRIVAL)];
        record(&store, &events).await;
        assert_eq!(world.rows(CHATS).await, ["573001112233@c.us|Late|2|moves|moves|NULL"]);
        record(
            &store,
            &[event("7", received("moves", json!({"timestamp": 1724716810, "sender_name": "Late"})), later(1))],
        )
        .await;
        assert_eq!(world.rows(CHATS).await, ["573001112233@c.us|Juan Pérez|2|stays|stays|NULL"]);
    })
    .await;
}

#[test]
async fn a_message_that_turns_outgoing_leaves_the_incoming_place() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("first", at(1)), ARRIVAL), event("7", received("A", at(9)), ARRIVAL)])
            .await;
        record(&store, &[event("7", received("A", json!({"timestamp": 1724716809, "from_me": 1})), later(1))]).await;
        assert_eq!(world.rows(CHATS).await, ["573001112233@c.us|Juan Pérez|2|A|first|A"]);
    })
    .await;
}

#[test]
async fn a_message_that_changes_its_chat_is_counted_there_and_an_emptied_chat_goes() {
    on_both(async |world| {
        let store = world.open().await;
        let in_chat = |chat: &str, seconds: i64| json!({"chat_id": chat, "timestamp": 1724716800 + seconds});
        let events = [
            event("7", received("A", in_chat("old@c.us", 1)), ARRIVAL),
            event("7", received("B", in_chat("both@c.us", 2)), ARRIVAL),
            event("7", received("C", in_chat("both@c.us", 3)), ARRIVAL),
            event("7", received("D", json!({"chat_id": null})), ARRIVAL),
        ];
        record(&store, &events).await;
        let moved = [
            event("7", received("A", in_chat("new@c.us", 4)), later(1)),
            event("7", received("C", in_chat("new@c.us", 5)), later(1)),
            event("7", received("D", in_chat("new@c.us", 6)), later(1)),
        ];
        record(&store, &moved).await;
        assert_eq!(world.rows(CHATS).await, ["both@c.us|Juan Pérez|1|B|B|NULL", "new@c.us|Juan Pérez|3|C|C|NULL"]);
    })
    .await;
}

#[test]
async fn an_id_in_any_form_is_one_chat_and_one_person() {
    on_both(async |world| {
        let store = world.open().await;
        let (theirs, ours) = ("573001112233:3@s.whatsapp.net", "573009998877:1@c.us");
        let fields = json!({"chat_id": theirs, "from": theirs, "to": ours, "timestamp": 1_724_716_880});
        let in_group = json!({"chat_id": "1203@g.us", "from": "1203@g.us", "group_sender": "1234:5@lid"});
        let events = [
            event("7", received("1:2@c.us", fields), ARRIVAL),
            event("7", sent("B", json!({})), ARRIVAL),
            event("7", received("C", in_group), ARRIVAL),
            event("7", reaction("B", theirs, json!("👍"), json!(1_724_716_900)), ARRIVAL),
            event("7", reaction("B", "573001112233@c.us", json!("❤️"), json!(1_724_716_910)), ARRIVAL),
        ];
        record(&store, &events).await;
        assert_eq!(
            world.rows(CHATS).await,
            ["1203@g.us|NULL|1|C|C|NULL", "573001112233@c.us|Juan Pérez|2|B|1:2@c.us|B"]
        );
        let ids = "SELECT id, from_id, to_id, group_sender FROM messages WHERE id <> 'B' ORDER BY id";
        let expected = ["1:2@c.us|573001112233@c.us|573009998877@c.us|NULL", "C|1203@g.us|573009998877@c.us|1234@lid"];
        assert_eq!(world.rows(ids).await, expected);
        assert_eq!(world.rows("SELECT from_number, reaction FROM v_current_reactions").await, ["573001112233@c.us|❤️"]);
        assert_eq!(world.rows("SELECT chat_id FROM events WHERE seq = 1").await, ["573001112233@c.us"]);
        assert_eq!(world.value("SELECT waiting_id FROM chats WHERE contact = '573001112233'").await, "NULL");
    })
    .await;
}

#[test]
async fn a_message_that_states_no_chat_is_in_that_of_the_other_person_or_of_the_many() {
    on_both(async |world| {
        let store = world.open().await;
        let unstated = |fields: Value| {
            let mut all = json!({"chat_id": null, "group_sender": null});
            all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            all
        };
        let events = [
            event("7", received("A", unstated(json!({}))), ARRIVAL),
            event("7", sent("B", unstated(json!({}))), ARRIVAL),
            event("7", received("C", unstated(json!({"to": "1203@g.us", "is_group": 0}))), ARRIVAL),
            event("7", received("D", unstated(json!({"from": "status@broadcast"}))), ARRIVAL),
            event("7", sent("E", unstated(json!({"to": null}))), ARRIVAL),
        ];
        record(&store, &events).await;
        let chats = "SELECT id, chat_id, is_group FROM messages ORDER BY id";
        let expected =
            ["A|573001112233@c.us|0", "B|573001112233@c.us|0", "C|1203@g.us|1", "D|status@broadcast|0", "E|NULL|0"];
        assert_eq!(world.rows(chats).await, expected);
        // Another sender moves a message whose chat no copy states, and none whose chat a copy stated.
        let stated = json!({"chat_id": "573001112233@c.us", "timestamp": 1_724_716_790});
        let elsewhere = unstated(json!({"from": "573005556677@c.us", "timestamp": 1_724_716_810}));
        let copies = [
            event("7", received("D", stated), later(1)),
            event("7", received("A", elsewhere.clone()), later(2)),
            event("7", received("D", elsewhere), later(2)),
        ];
        for copy in copies {
            record(&store, &[copy]).await;
        }
        let moved = "SELECT id, chat_id FROM messages WHERE id IN ('A', 'D') ORDER BY id";
        assert_eq!(world.rows(moved).await, ["A|573005556677@c.us", "D|573001112233@c.us"]);
    })
    .await;
}

#[test]
async fn a_chat_says_whose_number_it_is_and_is_found_by_name_and_number() {
    on_both(async |world| {
        let store = world.open().await;
        let in_chat = |chat: &str, name: Value| json!({"chat_id": chat, "sender_name": name});
        let events = [
            event("7", received("A", in_chat("573001112233@c.us", json!("José Núñez"))), ARRIVAL),
            event("7", received("B", json!({"chat_id": "1203@g.us", "is_group": 1, "sender_name": "Ana"})), ARRIVAL),
            event(
                "7",
                received("C", json!({"chat_id": "12345@lid", "from": "12345@lid", "sender_name": null})),
                ARRIVAL,
            ),
            event("7", received("D", in_chat("5799:3@s.whatsapp.net", json!("é".repeat(300)))), ARRIVAL),
        ];
        record(&store, &events).await;
        let chats = world.rows("SELECT chat_id, contact, kind, search FROM chats ORDER BY chat_id").await;
        assert_eq!(
            chats,
            [
                "1203@g.us|NULL|group|1203".to_owned(),
                "12345@lid|NULL|person|12345".to_owned(),
                "573001112233@c.us|573001112233|person|jose nunez 573001112233".to_owned(),
                format!("5799@c.us|5799|person|{} 5799", "e".repeat(256)),
            ]
        );
        let renamed = received("E", json!({"sender_name": "JOSÉ", "timestamp": 1724716999}));
        record(&store, &[event("7", renamed, ARRIVAL)]).await;
        let search = world.value("SELECT search FROM chats WHERE contact = '573001112233'").await;
        assert_eq!(search, "jose 573001112233");
    })
    .await;
}
