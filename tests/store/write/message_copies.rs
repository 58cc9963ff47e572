//! A message in many copies: a copy that arrives in order costs the same however many came before, and the work for
//! others is bounded.

use std::sync::Arc;

use buzon::domain::event::Event;
use buzon::domain::event::batch::Receipt;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{self, Aim, Options, Pending, Store, StoreError};
use serde_json::{Value, json};

use crate::support::clock::later;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{ack, event, received, sent};

const SECOND: i64 = 1_724_716_800;
/// The maximum number of copies that are folded again.
const FOLDED: i64 = 1_000;

/// Returns a copy of message A, sent `second` seconds after the first, which arrives as the `n`th.
fn copy(n: i64, second: i64, fields: Value) -> Event {
    let mut all = json!({"timestamp": SECOND + second, "n": n});
    for (name, value) in fields.as_object().expect("fields are an object") {
        all[name] = value.clone();
    }
    event("7", received("A", all), arrival(n))
}

fn arrival(n: i64) -> Timestamp {
    later(n * 100)
}

async fn record_all(store: &Arc<dyn Store>, events: &[Event]) -> Vec<Receipt> {
    let mut receipts = vec![];
    for batch in events.chunks(256) {
        receipts.extend(record(store, batch).await);
    }
    receipts
}

/// Asserts that the tables are what the ledger says.
async fn check(world: &World) {
    let options = Options { pending: Pending::Refuse, ..world.options() };
    for difference in store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read") {
        assert!(difference.is_none(), "{difference:?}");
    }
}

const LAST: &str = "SELECT messages.latitude, messages.sent_at, messages.occurred_at, messages.received_at
                    FROM messages WHERE id = 'A'";
const ASIDE: &str = "SELECT count(*) FROM events WHERE state = 'quarantined' AND reason = 'too_many_copies'";

#[test]
async fn a_live_location_of_a_day_ends_at_its_last_position() {
    on_both(async |world| {
        let store = world.open().await;
        let position =
            |n: i64| copy(n, n * 28, json!({"type": "location", "latitude": n as f64 / 100.0, "longitude": 1}));
        let day: Vec<Event> = (0..3_000).map(position).collect();
        let receipts = record_all(&store, &day).await;
        assert!(receipts.iter().all(|receipt| !receipt.duplicate && !receipt.quarantined));
        let first = Timestamp::from_seconds(SECOND).to_rfc3339();
        let expected = format!("29.99|{first}|{first}|{}", arrival(0).to_rfc3339());
        assert_eq!(world.value(LAST).await, expected);
        assert!(record_all(&store, &day).await.iter().all(|receipt| receipt.duplicate), "repeats change nothing");
        assert_eq!(world.value(LAST).await, expected);
        assert_eq!(world.value("SELECT message_count FROM chats").await, "1");
        check(&world).await;
    })
    .await;
}

/// The earlier rows are removed here, which shows that they are not read.
#[test]
async fn a_copy_in_its_order_and_an_ack_read_nothing_of_what_came_before() {
    on_both(async |world| {
        let store = world.open().await;
        let stub = copy(0, 0, json!({"sender_name": "Ana", "body": "El menú", "vcard": "v", "media_url": "/x.jpg"}));
        let words = ["sent", "delivered", "Delivered", "odd", "read"];
        record(&store, &[stub, copy(1, 1, json!({"body": "", "type": "image"}))]).await;
        for (n, word) in words.iter().enumerate() {
            let ack = json!({"event_type": "ack_update", "id": "A", "ack": word});
            record(&store, &[event("7", ack.to_string(), later(1_000 + n as i64))]).await;
        }
        let events = "UPDATE events SET body = NULL, message_id = 'elsewhere' WHERE seq <> 2";
        world.execute(&format!("{events}; DELETE FROM message_acks; DELETE FROM media")).await;

        // One copy has a later time; the next has the same, and comes later; a deletion is in order at any time.
        record(&store, &[copy(2, 2, json!({"body": "", "type": "video"}))]).await;
        record(&store, &[copy(3, 2, json!({"body": "", "status": "seen"}))]).await;
        record(&store, &[copy(4, 1, json!({"body": "", "type": "revoked", "status": "gone"}))]).await;
        let played = json!({"event_type": "ack_update", "id": "A", "ack": "played"});
        record(&store, &[event("7", played.to_string(), later(9_000))]).await;
        let row = "SELECT sender_name, body, vcard, media_url, type, status, ack, delivered_at, read_at, revoked_at \
                   FROM messages";
        let (delivered, read) = (later(1_001).to_rfc3339(), later(1_004).to_rfc3339());
        let revoked = Timestamp::from_seconds(SECOND + 1).to_rfc3339();
        let expected = format!("Juan Pérez|El menú|v|/x.jpg|text|seen|played|{delivered}|{read}|{revoked}");
        assert_eq!(world.rows(row).await, [expected]);
        let found = match world.backend {
            Backend::Sqlite => "SELECT words FROM message_search",
            Backend::Postgres => {
                "SELECT 'el menu x jpg' FROM message_search WHERE words @@ 'el <-> menu <-> x <-> jpg'"
            }
        };
        assert_eq!(world.rows(found).await, ["el menu x jpg"], "the words follow the message");
    })
    .await;
}

#[test]
async fn beyond_the_bound_a_copy_out_of_order_is_kept_and_changes_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        let in_order = (0..FOLDED - 1).map(|n| copy(n, n, json!({"body": format!("menú {n}")})));
        record_all(&store, &in_order.collect::<Vec<_>>()).await;
        let before = copy(FOLDED, -1, json!({"body": "before all others", "vcard": "the only one"}));
        assert!(!record(&store, &[before]).await[0].quarantined, "up to the bound, all copies are folded");
        assert_eq!(world.value("SELECT vcard FROM messages").await, "the only one");

        let mut tables = world.dump().await;
        tables.retain(|row| !row.starts_with("events"));
        let fields = json!({"ack": "read", "media_url": "/late.jpg", "status": "late", "chat_id": "elsewhere@c.us"});
        let late = copy(FOLDED + 1, -2, fields);
        let receipt = Receipt { duplicate: false, quarantined: true };
        assert_eq!(record(&store, std::slice::from_ref(&late)).await, [receipt]);
        assert!(record(&store, std::slice::from_ref(&late)).await[0].duplicate);
        let row =
            "SELECT event_type, message_id, deliveries, body IS NULL FROM events WHERE reason = 'too_many_copies'";
        assert_eq!(world.rows(row).await, ["message_received|A|2|0"]);
        let mut now = world.dump().await;
        now.retain(|row| !row.starts_with("events"));
        assert_eq!(now, tables, "nothing of it is applied");

        // The copies of a batch that are in order are applied, and the others are not.
        let batch = [
            copy(FOLDED + 2, FOLDED + 1, json!({"type": "image"})),
            copy(FOLDED + 3, -3, json!({"type": "video", "ack": "played"})),
            copy(FOLDED + 4, FOLDED, json!({"status": "seen", "body": "last words"})),
            event("7", received("B", json!({})), arrival(1)),
        ];
        let aside: Vec<bool> = record(&store, &batch).await.iter().map(|receipt| receipt.quarantined).collect();
        assert_eq!(aside, [false, true, false, false]);
        let row = "SELECT type, status, body, ack FROM messages WHERE id = 'A'";
        assert_eq!(world.rows(row).await, ["image|received|Hola|pending"]);
        assert_eq!(world.value(ASIDE).await, "2");
        check(&world).await;
    })
    .await;
}

#[test]
async fn copies_of_many_bytes_are_folded_anew_while_they_are_few() {
    on_both(async |world| {
        let store = world.open().await;
        let large = |n, second| copy(n, second, json!({"body": "menú ".repeat(780_000), "status": n.to_string()}));
        for (n, second, aside) in [(0, 10, false), (1, 5, false), (2, 11, false), (3, 4, true), (4, 12, false)] {
            assert_eq!(record(&store, &[large(n, second)]).await[0].quarantined, aside, "copy {n}");
        }
        assert_eq!(world.value("SELECT status FROM messages").await, "4");
        check(&world).await;
    })
    .await;
}

#[test]
async fn the_files_inside_copies_count_for_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        let file = format!("data:image/png;base64,{}", "A".repeat(3_000_000));
        let with_file = |n, second| copy(n, second, json!({"media_url": file, "status": n.to_string()}));
        for (n, second) in [(0, 10), (1, 5), (2, 11), (3, 4), (4, 12)] {
            assert!(!record(&store, &[with_file(n, second)]).await[0].quarantined, "copy {n}");
        }
        assert_eq!(world.value("SELECT status FROM messages").await, "4");
        assert_eq!(world.rows("SELECT DISTINCT file_bytes FROM events").await, ["3000022"]);
        check(&world).await;
    })
    .await;
}

/// A batch lays its copies over the message in their order. A rebuild that meets them in two pieces must fold the
/// message again, however many copies it has.
#[test]
async fn a_rebuild_has_no_bound() {
    on_both(async |world| {
        let store = world.open().await;
        let early =
            (0..1_999).map(|n| copy(n, n, json!({"vcard": format!("v{n}"), "body": "", "pad": "x".repeat(8_000)})));
        record_all(&store, &early.collect::<Vec<_>>()).await;
        let swapped = [copy(2_000, 3_000, json!({"body": "last"})), copy(2_001, 2_500, json!({"status": "before it"}))];
        assert!(record(&store, &swapped).await.iter().all(|receipt| !receipt.quarantined));
        assert_eq!(world.rows("SELECT vcard, body FROM messages").await, ["v1998|last"]);
        check(&world).await;
        store.close().await;
        let options = Options { pending: Pending::Refuse, ..world.options() };
        let before = world.dump().await;
        world.execute("DELETE FROM messages").await;
        store::rebuild(&options, Aim::Rebuild, &|_| ()).await.expect("the ledger can be read");
        assert_eq!(world.dump().await, before);
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn two_processes_that_record_copies_of_one_message_make_the_same_of_it() {
    let world = World::new(Backend::Postgres).await;
    let (one, other) = (world.open().await, world.open().await);
    let one_of = |n: i64| {
        let ack = ["sent", "read"][n as usize % 2];
        let fields = json!({"body": format!("menú {n}"), "from_me": n % 7 == 0, "ack": ack});
        copy(n, if n % 3 == 0 { -n } else { n }, fields)
    };
    let (even, odd): (Vec<Event>, Vec<Event>) = (0..100).map(|n| (one_of(2 * n), one_of(2 * n + 1))).unzip();
    let send = async |store: &Arc<dyn Store>, events: &[Event]| {
        for batch in events.chunks(3) {
            record(store, batch).await;
        }
    };
    tokio::join!(send(&one, &even), send(&other, &odd));
    assert_eq!(world.value("SELECT body FROM messages").await, "menú 199");
    check(&world).await;
}

/// Acks without an instance are claimed when a message becomes outgoing, whichever copy makes it so.
#[test]
async fn a_copy_that_makes_a_message_outgoing_claims_its_acks() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", ack("A", "read"), later(5)), copy(0, 0, json!({}))]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "pending");
        record(&store, &[event("7", sent("A", json!({"timestamp": SECOND + 1})), later(6))]).await;
        assert_eq!(world.rows("SELECT ack, read_at FROM messages").await, [format!("read|{}", later(5).to_rfc3339())]);
        check(&world).await;
    })
    .await;
}

#[test]
async fn the_last_message_of_a_chat_that_moves_back_or_to_another_is_where_it_belongs() {
    on_both(async |world| {
        let store = world.open().await;
        let other = event("7", received("B", json!({"timestamp": SECOND + 5, "sender_name": "Eva"})), arrival(0));
        record(&store, &[other, copy(1, 9, json!({"sender_name": "Ana"}))]).await;
        let chat = "SELECT chat_id, message_count, last_message_id, last_message_at, name FROM chats ORDER BY chat_id";
        let at = |second| Timestamp::from_seconds(SECOND + second).to_rfc3339();
        record(&store, &[copy(2, 30, json!({"sender_name": "Ana"}))]).await;
        assert_eq!(world.rows(chat).await, [format!("573001112233@c.us|2|A|{}|Ana", at(9))]);
        record(&store, &[copy(3, 2, json!({"sender_name": "Ana"}))]).await;
        assert_eq!(world.rows(chat).await, [format!("573001112233@c.us|2|B|{}|Eva", at(5))]);
        record(&store, &[copy(4, 31, json!({"sender_name": "Ana", "chat_id": "1@c.us"}))]).await;
        let [first, second] = [format!("1@c.us|1|A|{}|Ana", at(2)), format!("573001112233@c.us|1|B|{}|Eva", at(5))];
        assert_eq!(world.rows(chat).await, [first, second]);
        check(&world).await;
    })
    .await;
}

/// A batch must not fail everybody's events because one instance's copies need many of its earlier ones.
#[test]
async fn a_batch_that_needs_too_much_of_what_was_before_is_to_be_halved() {
    on_both(async |world| {
        let store = world.open().await;
        let message = |id: String, second: i64, fields: Value| {
            let mut all = json!({"timestamp": SECOND + second});
            fields
                .as_object()
                .expect("fields are an object")
                .iter()
                .for_each(|(name, value)| all[name] = value.clone());
            event("7", received(&id, all), later(second))
        };
        let text = "menú ".repeat(780_000);
        for n in 0..8 {
            record(&store, &[message(format!("A{n}"), 10, json!({"body": text}))]).await;
        }
        let late: Vec<Event> = (0..8).map(|n| message(format!("A{n}"), 5, json!({"status": "late"}))).collect();
        assert!(matches!(store.record_batch(&late).await, Err(StoreError::TooMuch)));
        assert_eq!(world.value("SELECT count(*) FROM events").await, "8", "nothing of it was kept");
        for part in late.chunks(1) {
            assert!(record(&store, part).await.iter().all(|receipt| !receipt.quarantined));
        }
        let moved: Vec<Event> = (0..8).map(|n| message(format!("A{n}"), 20, json!({"body": ""}))).collect();
        record(&store, &moved).await;
        check(&world).await;
    })
    .await;
}
