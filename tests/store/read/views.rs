//! The views that users build on.

use std::collections::BTreeMap;

use buzon::domain::time::zone::Zone;
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{World, on_both, record};
use crate::support::events::{event, reaction, received, sent};

fn at(seconds: i64) -> Value {
    json!({"timestamp": 1_724_716_800 + seconds})
}

/// Returns an ack of instance 7.
fn ack(id: &str, ack: &str) -> Vec<u8> {
    json!({"event_type": "ack_update", "instance_id": "7", "id": id, "ack": ack}).to_string().into_bytes()
}

#[test]
async fn a_message_is_shown_with_all_that_is_known_of_it() {
    on_both(async |world| {
        let store = world.open().await;
        store.set_time_zone(&Zone::parse("America/Bogota").expect("it is a zone")).await.expect("it is set");
        let answer = json!({"timestamp": 1_724_716_890, "quoted_message_id": "in-1", "status": "sent"});
        let events = [
            event("7", received("in-1", at(0)), ARRIVAL),
            event("7", sent("out-1", answer), ARRIVAL),
            event("7", ack("out-1", "delivered"), later(1_000)),
            event("7", ack("out-1", "read"), later(61_000)),
            event("7", reaction("out-1", "2@c.us", json!("👍"), json!(1_724_717_000)), ARRIVAL),
            event("7", reaction("out-1", "1@c.us", json!("❤️"), json!(1_724_717_001)), ARRIVAL),
        ];
        record(&store, &events).await;
        let columns = "instance_id, id, chat_id, contact, contact_name, is_group, direction, from_me, author, sender_name, \
                       occurred_at, sent_at, received_at, local_time, local_day, local_hour, local_weekday, type, body, \
                       quoted_message_id, quoted_body, reactions, media_state, media_key, content_type, size, file_name, \
                       delivery, delivered_at, read_at, seconds_to_delivered, seconds_to_read, status, vcard, latitude, \
                       longitude, is_service, edited_at, revoked_at";
        let rows = world.rows(&format!("SELECT {columns} FROM v_messages ORDER BY occurred_at")).await;
        assert_eq!(
            rows,
            [
                "7|in-1|573001112233@c.us|573001112233|Juan Pérez|0|incoming|0|573001112233@c.us|Juan Pérez|\
                 2024-08-27T00:00:00.000Z|2024-08-27T00:00:00.000Z|2024-08-27T00:06:40.004Z|\
                 2024-08-26T19:00:00.000|2024-08-26|19|1|text|Hola|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|\
                 NULL|NULL|NULL|NULL|NULL|received|NULL|NULL|NULL|0|NULL|NULL",
                "7|out-1|573001112233@c.us|573001112233|Juan Pérez|0|outgoing|1|573009998877@c.us|NULL|\
                 2024-08-27T00:01:30.000Z|2024-08-27T00:01:30.000Z|2024-08-27T00:06:40.004Z|\
                 2024-08-26T19:01:30.000|2024-08-26|19|1|text|¡Hola!|in-1|Hola|👍 ❤️|NULL|NULL|NULL|NULL|NULL|\
                 read|2024-08-27T00:06:41.004Z|2024-08-27T00:07:41.004Z|311|371|sent|NULL|NULL|NULL|0|NULL|NULL",
            ]
        );
    })
    .await;
}

#[test]
async fn no_time_to_delivery_is_negative_and_none_is_known_of_incoming_messages() {
    on_both(async |world| {
        let store = world.open().await;
        // The sender's clock is ahead of ours.
        let events = [
            event("7", sent("ahead", at(3_600)), ARRIVAL),
            event("7", received("in", at(0)), ARRIVAL),
            event("7", ack("ahead", "read"), later(1)),
            event("7", ack("in", "read"), later(1)),
        ];
        record(&store, &events).await;
        let query = "SELECT delivery, seconds_to_delivered, seconds_to_read FROM v_messages ORDER BY id";
        assert_eq!(world.rows(query).await, ["read|0|0", "NULL|NULL|NULL"]);
    })
    .await;
}

#[test]
async fn of_several_files_of_a_message_the_stored_one_is_shown() {
    on_both(async |world| {
        let store = world.open().await;
        let with = |url: &str, seconds| received("A", json!({"media_url": url, "timestamp": 1_724_716_800 + seconds}));
        let copies = [event("7", with("/1.jpg", 0), ARRIVAL), event("7", with("/2.jpg", 1), ARRIVAL)];
        record(&store, &copies).await;
        assert_eq!(world.value("SELECT media_state FROM v_messages").await, "pending");
        world
            .execute(
                "UPDATE media SET state = 'stored', object_key = 'k', content_type = 'image/jpeg', size = 9, \
                 file_name = '1.jpg', stored_at = '2024-08-27T00:10:00.000Z' WHERE source_url = '/1.jpg'",
            )
            .await;
        let query = "SELECT media_state, media_key, content_type, size, file_name FROM v_messages";
        assert_eq!(world.value(query).await, "stored|k|image/jpeg|9|1.jpg");
        let query =
            "SELECT media_state, media_key, direction, contact_name, source_url FROM v_media ORDER BY source_url";
        assert_eq!(
            world.rows(query).await,
            ["stored|k|incoming|Juan Pérez|/1.jpg", "pending|NULL|incoming|Juan Pérez|/2.jpg"]
        );
    })
    .await;
}

#[test]
async fn reactions_are_the_current_ones_whatever_the_order_and_the_ties() {
    on_both(async |world| {
        let store = world.open().await;
        let emojis = ["👍", "❤️", "", "😂"];
        let reactions = (0..50_i64).map(|n| {
            let (message, person) = (format!("M{}", n % 5), format!("{}@c.us", n % 3));
            // There are few different times, so that many are equal.
            let body = reaction(&message, &person, json!(emojis[(n * 7 % 4) as usize]), json!(1_724_716_800 + n % 9));
            event("7", body, later(n))
        });
        record(&store, &reactions.collect::<Vec<_>>()).await;
        record(&store, &[event("7", received("M1", at(0)), ARRIVAL)]).await;
        let columns = "instance_id, message_id, from_number, reaction, reacted_at";
        let current = world.rows(&format!("SELECT {columns} FROM v_current_reactions ORDER BY 2, 3")).await;
        assert!(current.len() > 5 && current.len() < 15, "{current:?}");
        assert_eq!(world.rows(&format!("SELECT {columns} FROM v_reactions ORDER BY 2, 3")).await, current);
        let of_message = "SELECT reaction FROM v_reactions WHERE message_id = 'M1' ORDER BY reacted_at, from_number";
        let expected = world.rows(of_message).await.join(" ");
        assert_eq!(world.value("SELECT reactions FROM v_messages").await, expected);
        let known = "SELECT DISTINCT chat_id, direction, body FROM v_reactions WHERE chat_id IS NOT NULL";
        assert_eq!(world.rows(known).await, ["573001112233@c.us|incoming|Hola"]);
    })
    .await;
}

#[test]
async fn who_waits_and_who_was_answered_is_shown_with_names_and_words() {
    on_both(async |world| {
        let store = world.open().await;
        let from = |id: &str, person: &str, body: &str, seconds: i64| {
            let chat = format!("{person}@c.us");
            let fields = json!({"chat_id": chat, "from": chat, "sender_name": person, "body": body,
                                "timestamp": 1_724_716_800 + seconds});
            event("7", received(id, fields), ARRIVAL)
        };
        let to = |id: &str, person: &str, seconds: i64| {
            let fields = json!({"chat_id": format!("{person}@c.us"), "timestamp": 1_724_716_800 + seconds});
            event("7", sent(id, fields), ARRIVAL)
        };
        let group = json!({"chat_id": "1203@g.us", "is_group": 1});
        let events = [
            from("1", "57301", "¿Abren hoy?", 0),
            from("2", "57301", "¿Hola?", 60),
            to("3", "57301", 90),
            from("4", "57301", "Gracias", 100),
            from("5", "57302", "¿Precio?", 10),
            to("6", "57302", 20),
            event("7", received("7", group), ARRIVAL),
        ];
        record(&store, &events).await;
        let waiting = "SELECT contact, contact_name, waiting_since, local_time, message_id, type, body FROM v_unanswered";
        let rows = world.rows(waiting).await;
        assert_eq!(rows, ["57301|57301|2024-08-27T00:01:40.000Z|2024-08-27T00:01:40.000|4|text|Gracias"]);
        let seconds = world.value("SELECT seconds_waiting FROM v_unanswered").await;
        assert!(seconds.parse::<i64>().expect("it is a number") > 50_000_000, "{seconds}");
        let answered = "SELECT contact, waiting_since, answered_at, seconds, incoming_id, outgoing_id, local_hour \
                        FROM v_response_times ORDER BY contact";
        assert_eq!(
            world.rows(answered).await,
            [
                "57301|2024-08-27T00:00:00.000Z|2024-08-27T00:01:30.000Z|90|1|3|0",
                "57302|2024-08-27T00:00:10.000Z|2024-08-27T00:00:20.000Z|10|5|6|0",
            ]
        );
        let chats = "SELECT contact, message_count, first_message_at, last_direction, last_body, is_group, waiting_since \
                     FROM v_chats ORDER BY chat_id";
        assert_eq!(
            world.rows(chats).await,
            [
                "NULL|1|2024-08-27T00:00:00.000Z|incoming|Hola|1|NULL",
                "57301|4|2024-08-27T00:00:00.000Z|incoming|Gracias|0|2024-08-27T00:01:40.000Z",
                "57302|2|2024-08-27T00:00:10.000Z|outgoing|¡Hola!|0|NULL",
            ]
        );
    })
    .await;
}

#[test]
async fn each_day_counts_its_messages_once() {
    on_both(async |world| {
        let store = world.open().await;
        store.set_time_zone(&Zone::parse("America/Santiago").expect("it is a zone")).await.expect("it is set");
        let words = ["pending", "sent", "failed", "delivered", "read", "played", "error", "PENDING"];
        let events = (0..400_i64).map(|n| {
            let fields = json!({
                "chat_id": format!("{}@c.us", n % 7), "from_me": n % 3 == 0, "ack": words[(n % 8) as usize],
                // The range covers the day in April that has 25 hours.
                "timestamp": 1_712_361_600 + n * 1_201,
            });
            event(if n % 5 == 0 { "8" } else { "7" }, received(&n.to_string(), fields), ARRIVAL)
        });
        record(&store, &events.collect::<Vec<_>>()).await;
        let state = |words: &str| format!("sum(CASE WHEN delivery IN ({words}) THEN 1 ELSE 0 END)");
        let counted = format!(
            "SELECT instance_id, local_day, local_weekday, count(*), sum(CASE WHEN from_me THEN 0 ELSE 1 END), \
             sum(CASE WHEN from_me THEN 1 ELSE 0 END), count(DISTINCT chat_id), {}, {}, {}, {}, {}, {} \
             FROM v_messages GROUP BY instance_id, local_day, local_weekday ORDER BY 1, 2",
            state("'pending', 'PENDING'"),
            state("'sent'"),
            state("'failed', 'error'"),
            state("'delivered'"),
            state("'read'"),
            state("'played'"),
        );
        let daily = world.rows("SELECT * FROM v_daily ORDER BY 1, 2").await;
        assert_eq!(daily, world.rows(&counted).await);
        assert!(daily.len() >= 12, "{daily:?}");
        let longest =
            world.value("SELECT CAST(sum(messages) AS BIGINT) FROM v_daily WHERE local_day = '2024-04-06'").await;
        assert_eq!(longest, "75", "25 hours of a message each 1,201 seconds");
    })
    .await;
}

/// Returns bodies around every border of valid UTF-8.
fn bodies() -> Vec<Vec<u8>> {
    let borders = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF4, 0xFF];
    let mut bodies = vec![vec![], "Ñandú 👍🏽 – ¿qué?".into(), b"\xEF\xBB\xBFa".to_vec()];
    for lead in 0..=255_u8 {
        bodies.push(vec![lead]);
        for second in borders {
            bodies.push(vec![lead, second]);
            bodies.push(vec![b'a', lead, second, 0x80]);
            bodies.push(vec![lead, second, 0xBF, 0x80]);
            bodies.push([&[b'x'; 62], &[lead, second, 0x80][..], "é".as_bytes()].concat());
        }
    }
    // The long ones end with and without one invalid byte, and have characters across every border of the pieces.
    for end in ["ñ".as_bytes(), b"\xC3"] {
        bodies.push([b"a".repeat(100_001), end.to_vec()].concat());
        bodies.push(["mañana ".repeat(2_000).as_bytes(), end].concat());
        for (shift, character) in [(0, "👍"), (1, "👍"), (2, "👍"), (3, "👍"), (0, "€"), (1, "€"), (2, "€")]
        {
            bodies.push(["a".repeat(shift).as_bytes(), character.repeat(2_000).as_bytes(), end].concat());
        }
        for length in 2_040..2_060 {
            bodies.push([&b"a".repeat(length), end].concat());
        }
    }
    bodies
}

#[test]
async fn a_quarantined_body_is_shown_as_text_where_it_is_utf_8_and_never_makes_a_query_fail() {
    on_both(async |world| {
        let store = world.open().await;
        for some in bodies().chunks(500) {
            record(&store, &some.iter().map(|body| event("7", body, ARRIVAL)).collect::<Vec<_>>()).await;
        }
        let shown = quarantine(&world).await;
        let expected = bodies().into_iter().map(|body| {
            let text = String::from_utf8(body.clone()).ok().filter(|text| !text.contains('\0'));
            (hex::encode(body), text.unwrap_or("NULL".to_owned()))
        });
        let expected: BTreeMap<_, _> = expected.collect();
        let texts = expected.values().filter(|text| *text != "NULL").count();
        assert!(texts > 500 && texts < expected.len() / 2, "{texts}");
        assert_eq!(shown, expected);
        let reasons = world.rows("SELECT DISTINCT reason FROM v_quarantine").await;
        assert!(reasons.contains(&"not_json".to_owned()), "{reasons:?}");
    })
    .await;
}

/// Returns the bytes in hexadecimal digits and the text of each quarantined event.
async fn quarantine(world: &World) -> BTreeMap<String, String> {
    let rows = world.rows("SELECT body_hex, body FROM v_quarantine").await;
    let pair = |row: &String| row.split_once('|').map(|(hex, text)| (hex.to_owned(), text.to_owned()));
    rows.iter().map(|row| pair(row).expect("there are two columns")).collect()
}
