use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, received, sent};

#[test]
async fn every_field_of_the_guide_has_its_column() {
    on_both(async |world| {
        let store = world.open().await;
        let fields = json!({
            "quoted_message_id": "Q", "reaction": "👍", "media_url": "/uploads/whatsapp/x.jpg", "latitude": 4.711,
            "longitude": -74.0721, "vcard": "BEGIN:VCARD", "group_sender": "573005556677@c.us", "is_group": "1",
            "chat_id": "1203@g.us", "type": "image",
        });
        record(&store, &[event("7", received("A", fields), ARRIVAL)]).await;
        let row = world
            .value(
                "SELECT instance_id, id, chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, is_group, \
                 quoted_message_id, reaction, media_url, latitude, longitude, vcard, status, ack, group_sender, \
                 received_at, occurred_at FROM messages",
            )
            .await;
        assert_eq!(
            row,
            "7|A|1203@g.us|573001112233@c.us|573009998877@c.us|0|Juan Pérez|Hola|image|2024-08-27T00:00:00.000Z|1|Q|👍|\
             /uploads/whatsapp/x.jpg|4.711|-74.0721|BEGIN:VCARD|received|pending|573005556677@c.us|\
             2024-08-27T00:06:40.004Z|2024-08-27T00:00:00.000Z"
        );
    })
    .await;
}

#[test]
async fn copies_that_disagree_are_folded_whatever_their_order() {
    on_both(async |world| {
        let stub = json!({"event_type": "message_received", "id": "A", "sender_name": "Juan"}).to_string();
        let real = received("A", json!({"sender_name": "", "body": "Hola", "timestamp": 1724716800}));
        let late =
            received("A", json!({"sender_name": null, "body": "", "media_url": "/x.jpg", "timestamp": 1724716801}));
        let copies = [stub.into_bytes(), real, late];
        let store = world.open().await;
        for (instance, order) in [("1", [0, 1, 2]), ("2", [2, 1, 0]), ("3", [1, 0, 2])] {
            for copy in order {
                record(&store, &[event(instance, &copies[copy], later(copy as i64))]).await;
            }
        }
        let batch: Vec<_> = [2, 0, 1].map(|copy| event("4", &copies[copy], later(copy as i64))).into();
        record(&store, &batch).await;
        let rows = world
            .rows("SELECT sender_name, body, media_url, sent_at, received_at FROM messages ORDER BY instance_id")
            .await;
        let folded = "Juan|Hola|/x.jpg|2024-08-27T00:00:00.000Z|2024-08-27T00:06:40.004Z";
        assert_eq!(rows, [folded; 4]);
    })
    .await;
}

#[test]
async fn a_second_copy_does_not_lower_the_ack() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({"ack": "delivered"})), ARRIVAL)]).await;
        record(&store, &[event("7", sent("A", json!({"ack": "sent", "body": "again"})), later(1))]).await;
        assert_eq!(world.value("SELECT ack, body FROM messages").await.split('|').next(), Some("delivered"));
    })
    .await;
}

#[test]
async fn two_instances_hold_the_same_message_id_each_for_itself() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL), event("8", received("A", json!({})), ARRIVAL)])
            .await;
        record(&store, &[event("8", received("A", json!({"body": "changed", "timestamp": 1724716999})), later(1))])
            .await;
        let rows = world.rows("SELECT instance_id, from_me, body FROM messages ORDER BY instance_id").await;
        assert_eq!(rows, ["7|1|¡Hola!", "8|0|changed"]);
    })
    .await;
}

#[test]
async fn the_number_of_the_copy_that_is_last_in_their_order_stands_with_a_message() {
    on_both(async |world| {
        let store = world.open().await;
        let sent_at = |second: i64| event("7", received("A", json!({"timestamp": 1_724_716_800 + second})), ARRIVAL);
        for (second, number) in [(5, "1"), (7, "2"), (6, "2"), (8, "4")] {
            record(&store, &[sent_at(second)]).await;
            assert_eq!(world.value("SELECT event_seq FROM messages").await, number);
        }
        record(&store, &[sent_at(12), sent_at(11), event("7", received("B", json!({})), ARRIVAL)]).await;
        assert_eq!(world.rows("SELECT id, event_seq FROM messages ORDER BY id").await, ["A|5", "B|7"]);
    })
    .await;
}

#[test]
async fn a_time_in_any_form_and_each_of_several_contacts_reach_their_columns() {
    on_both(async |world| {
        let store = world.open().await;
        let midnight = 1_724_716_800_i64;
        let times = [
            json!(midnight),
            json!(midnight * 1_000),
            json!(midnight * 1_000_000),
            json!(midnight * 1_000_000_000),
            json!("2024-08-27T00:00:00Z"),
            json!("2024-08-27 00:00:00"),
            json!({"low": midnight, "high": 0, "unsigned": true}),
            json!({"low": -1_860_052_992, "high": 401}),
        ];
        let of_time =
            |(n, time): (usize, &Value)| event("7", received(&n.to_string(), json!({"timestamp": time})), ARRIVAL);
        record(&store, &times.iter().enumerate().map(of_time).collect::<Vec<_>>()).await;
        let rows = world.rows("SELECT sent_at FROM messages").await;
        assert_eq!(rows, vec!["2024-08-27T00:00:00.000Z"; times.len()]);
        let card = |name: &str| format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nEND:VCARD");
        let (luis, eva) = (card("Luis Mora"), card("Eva Paz"));
        let several = [
            json!({"vcard": [luis, eva]}),
            json!({"vcard": [{"displayName": "Luis", "vcard": luis}, {"vcard": eva}]}),
            json!({"vcard": null, "vCards": [luis, eva]}),
        ];
        let of_cards = |fields: &Value| event("8", received(&fields.to_string()[..20], fields.clone()), ARRIVAL);
        record(&store, &several.iter().map(of_cards).collect::<Vec<_>>()).await;
        let rows = world.rows("SELECT vcard FROM messages WHERE instance_id = '8'").await;
        assert_eq!(rows, vec![format!("{luis}\n{eva}"); several.len()]);
        assert_eq!(world.value("SELECT count(*) FROM events WHERE reason IS NOT NULL").await, "0");
    })
    .await;
}
