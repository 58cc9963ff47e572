//! Copies that change a message: its text, its time, or whether it is still there.

use std::sync::Arc;

use buzon::domain::event::Event;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::Store;
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, received, sent};

const SECOND: i64 = 1_724_716_800;

fn at(second: i64) -> Value {
    json!({"timestamp": SECOND + second})
}

/// Returns the time of a second as it is stored.
fn time(second: i64) -> String {
    Timestamp::from_seconds(SECOND + second).to_rfc3339()
}

fn with(mut fields: Value, name: &str, value: &str) -> Value {
    fields[name] = json!(value);
    fields
}

/// Records events one after the other, a second apart, each as a batch of its own.
async fn say(store: &Arc<dyn Store>, bodies: &[Vec<u8>]) {
    for (body, n) in bodies.iter().zip(0..) {
        record(store, &[event("7", body, later(1_000 * n))]).await;
    }
}

const MESSAGES: &str = "SELECT id, body, occurred_at, edited_at, revoked_at FROM messages ORDER BY occurred_at, id";
const WAITING: &str = "SELECT waiting_id, waiting_since FROM chats ORDER BY chat_id";
const RESPONSES: &str = "SELECT incoming_id, outgoing_id, seconds FROM responses ORDER BY waiting_since";

async fn search_finds(world: &World, word: &str) -> bool {
    let found = match world.backend {
        Backend::Sqlite => format!("words LIKE '%{word}%'"),
        Backend::Postgres => format!("words @@ '{word}'"),
    };
    world.value(&format!("SELECT count(*) FROM message_search WHERE {found}")).await == "1"
}

#[test]
async fn an_edit_within_the_same_second_is_the_text_that_is_shown_and_found() {
    on_both(async |world| {
        let store = world.open().await;
        for n in 0..8 {
            let text = |word: &str| with(at(n), "body", &format!("{word}{n} en el parque"));
            let copies = [text("antes"), text("luego")].map(|fields| received(&format!("E{n}"), fields));
            say(&store, &copies).await;
            assert!(search_finds(&world, &format!("luego{n}")).await);
            assert!(!search_finds(&world, &format!("antes{n}")).await);
        }
        let arrival = later(1_000).to_rfc3339();
        let expected: Vec<String> =
            (0..8).map(|n| format!("E{n}|luego{n} en el parque|{}|{arrival}|NULL", time(n))).collect();
        assert_eq!(world.rows(MESSAGES).await, expected);
    })
    .await;
}

#[test]
async fn an_edit_leaves_a_message_and_its_question_where_they_were() {
    on_both(async |world| {
        let store = world.open().await;
        let first = received("1", with(at(0), "body", "Dos pizas"));
        let second = received("2", with(at(60), "body", "¿Cuánto es?"));
        let edit = received("1", with(at(600), "body", "Dos pizzas"));
        say(&store, &[first, second, edit]).await;
        let rows =
            [format!("1|Dos pizzas|{}|{}|NULL", time(0), time(600)), format!("2|¿Cuánto es?|{}|NULL|NULL", time(60))];
        assert_eq!(world.rows(MESSAGES).await, rows);
        assert_eq!(world.rows(WAITING).await, [format!("1|{}", time(0))]);
        assert_eq!(world.value("SELECT last_message_id FROM chats").await, "2");
    })
    .await;
}

#[test]
async fn an_edit_of_a_question_or_of_its_answer_is_no_other_one() {
    on_both(async |world| {
        let store = world.open().await;
        let copies = [
            received("q", with(at(0), "body", "¿Tienen pna?")),
            sent("a", with(at(60), "body", "Si")),
            received("q", with(at(300), "body", "¿Tienen pan?")),
            sent("a", with(at(900), "body", "Sí, hasta las 8")),
        ];
        say(&store, &copies).await;
        assert_eq!(world.rows(RESPONSES).await, ["q|a|60"]);
        assert_eq!(world.rows(WAITING).await, ["NULL|NULL"]);
        let bodies = world.rows("SELECT body FROM messages ORDER BY occurred_at").await;
        assert_eq!(bodies, ["¿Tienen pan?", "Sí, hasta las 8"]);
    })
    .await;
}

#[test]
async fn a_deleted_message_keeps_its_text_and_asks_nothing_any_more() {
    on_both(async |world| {
        let store = world.open().await;
        let other = |second: i64| with(at(second), "chat_id", "573004445566@c.us");
        let event_of_its_own = json!({
            "event_type": "message_revoked", "id": "2", "chat_id": "573004445566@c.us", "timestamp": SECOND + 50,
        });
        let copies = [
            received("1", with(at(0), "body", "Mi clave es 1234")),
            received("1", with(with(at(30), "body", ""), "type", "revoked")),
            received("2", with(other(40), "body", "otra cosa")),
            event_of_its_own.to_string().into_bytes(),
        ];
        say(&store, &copies).await;
        let rows = [
            format!("1|Mi clave es 1234|{}|NULL|{}", time(0), time(30)),
            format!("2|otra cosa|{}|NULL|{}", time(40), time(50)),
        ];
        assert_eq!(world.rows(MESSAGES).await, rows);
        assert_eq!(
            world.rows("SELECT type, is_service, revoked_seq FROM messages ORDER BY id").await,
            ["text|0|2", "text|0|4"]
        );
        assert_eq!(world.rows(WAITING).await, ["NULL|NULL"; 2]);
        let last = world.rows("SELECT last_message_id, message_count FROM chats ORDER BY chat_id").await;
        assert_eq!(last, ["1|1", "2|1"], "it is still the last message");
        assert!(search_finds(&world, "clave").await);
    })
    .await;
}

/// The next question waits instead; and a deleted answer was an answer.
#[test]
async fn whoever_deletes_a_question_waits_since_the_next_one_and_a_deleted_answer_answers() {
    on_both(async |world| {
        let store = world.open().await;
        let deleted = |second: i64| with(with(at(second), "body", ""), "type", "revoked");
        let copies = [received("1", at(0)), received("2", at(60)), received("1", deleted(90))];
        say(&store, &copies).await;
        assert_eq!(world.rows(WAITING).await, [format!("2|{}", time(60))]);
        say(&store, &[sent("a", at(120)), sent("a", deleted(150))]).await;
        assert_eq!(world.rows(RESPONSES).await, ["2|a|60"]);
        say(&store, &[received("2", deleted(180))]).await;
        assert_eq!(world.rows(RESPONSES).await, [""; 0], "nobody asked, so nobody was answered");
        assert_eq!(world.rows(WAITING).await, ["NULL|NULL"]);
    })
    .await;
}

#[test]
async fn a_deletion_is_known_whenever_it_comes() {
    on_both(async |world| {
        let store = world.open().await;
        let copies = [
            received("A", with(at(0), "body", "a")),
            received("A", with(at(10), "body", "b")),
            received("A", with(with(at(30), "body", "c"), "type", "revoked")),
        ];
        for (instance, order) in [("1", [2, 0, 1]), ("2", [0, 2, 1]), ("3", [1, 2, 0])] {
            for (number, copy) in order.into_iter().zip(1..) {
                world.execute(&format!("UPDATE ledger_clock SET seq = {instance} * 100 + {copy}")).await;
                record(&store, &[event(instance, &copies[number], later(number as i64))]).await;
            }
        }
        let rows = world.rows("SELECT body, type, occurred_at, edited_at, revoked_at FROM messages").await;
        assert_eq!(rows, vec![format!("b|text|{}|{}|{}", time(0), time(10), time(30)); 3]);
    })
    .await;
}

/// A phone whose clock is ahead sends its messages from the future.
#[test]
async fn a_message_from_the_future_stands_where_it_arrived() {
    on_both(async |world| {
        let store = world.open().await;
        let arrival = |second: i64| later(1_000 * second);
        let day_ahead = json!({"timestamp": ARRIVAL.seconds() + 100_000});
        let now = |second: i64| json!({"timestamp": ARRIVAL.seconds() + second});
        let events: Vec<Event> = vec![
            event("7", received("future", day_ahead.clone()), arrival(1)),
            event("7", received("now", now(9)), arrival(10)),
            event("7", sent("answer", now(20)), arrival(21)),
            event("7", sent("future answer", with(day_ahead.clone(), "chat_id", "5@c.us")), arrival(30)),
            event("7", received("next", with(now(39), "chat_id", "5@c.us")), arrival(40)),
        ];
        for event in events {
            record(&store, &[event]).await;
        }
        let ids = world.rows("SELECT id FROM messages ORDER BY occurred_at").await;
        assert_eq!(ids, ["future", "now", "answer", "future answer", "next"]);
        assert_eq!(world.rows("SELECT waiting_id FROM chats ORDER BY chat_id").await, ["NULL", "next"]);
        assert_eq!(world.rows(RESPONSES).await, ["future|answer|19"]);
        let place = world.value("SELECT sent_at > occurred_at, occurred_at FROM messages WHERE id = 'future'").await;
        assert_eq!(place, "1|2024-08-27T00:06:41.000Z", "it is the second of its arrival");
    })
    .await;
}
