//! Chats that wait for an answer and responses that were given, compared with the definition.

use std::cell::Cell;
use std::collections::BTreeMap;

use buzon::domain::event::Event;
use buzon::domain::time::timestamp::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, received, sent};

/// A message as a row: its time, its id, and whether it is outgoing.
type Row = (String, String, bool);

/// Returns the second of a time as text.
fn second(time: &str) -> &str {
    &time[..19]
}

fn seconds(time: &str) -> i64 {
    Timestamp::from_rfc3339(time).expect("it is a time").millis().div_euclid(1_000)
}

/// Returns the rows of `responses` and the waiting columns of one chat, computed from all of its messages in order.
fn defined(messages: &[Row]) -> (Vec<String>, String) {
    let first = |outgoing: bool, after: Option<&str>, until: Option<&str>| {
        messages.iter().find(|(at, _, from_me)| {
            let at = second(at);
            *from_me == outgoing && after.is_none_or(|after| at > after) && until.is_none_or(|until| at <= until)
        })
    };
    let last = |after: Option<&str>, until: Option<&str>| {
        let asked = messages.iter().rfind(|(at, _, from_me)| {
            let at = second(at);
            !from_me && after.is_none_or(|after| at > after) && until.is_none_or(|until| at <= until)
        });
        &asked.expect("there is a first one").0
    };
    let mut before = None;
    let mut responses = Vec::new();
    while let Some((answered_at, outgoing_id, _)) = first(true, before, None) {
        let until = Some(second(answered_at));
        if let Some((since, incoming_id, _)) = first(false, before, until) {
            let asked = last(before, until);
            let (took, took_from_last) = (seconds(answered_at) - seconds(since), seconds(answered_at) - seconds(asked));
            responses
                .push(format!("{since}|{incoming_id}|{asked}|{answered_at}|{outgoing_id}|{took}|{took_from_last}"));
        }
        before = until;
    }
    let waiting = first(false, before, None);
    let waiting = waiting.map(|(since, id, _)| format!("{since}|{id}|{}", last(before, None)));
    (responses, waiting.unwrap_or_else(|| "NULL|NULL|NULL".to_owned()))
}

/// Asserts that the chats that a condition selects are as defined.
pub async fn assert_as_defined(world: &World, condition: &str) {
    let mut chats = BTreeMap::<String, Vec<Row>>::new();
    let messages = format!(
        "SELECT instance_id, chat_id, occurred_at, id, from_me, NOT is_service AND (from_me OR revoked_at IS NULL)
         FROM messages WHERE chat_id IS NOT NULL AND {condition} ORDER BY occurred_at, seq"
    );
    let responses = format!(
        "SELECT instance_id, chat_id, waiting_since, incoming_id, last_asked_at, answered_at, outgoing_id, seconds,
             seconds_from_last
         FROM responses WHERE {condition}"
    );
    let waiters =
        format!("SELECT instance_id, chat_id, waiting_since, waiting_id, last_asked_at FROM chats WHERE {condition}");
    let mut found = world.rows_of_each(&[messages, responses, waiters]).await.into_iter();
    let mut found = || found.next().expect("each query is answered");
    for row in found() {
        let columns: Vec<&str> = row.split('|').collect();
        let [instance_id, chat_id, occurred_at, id, from_me, counts] = columns[..] else { panic!("{row}") };
        let message = (occurred_at.to_owned(), id.to_owned(), from_me == "1");
        chats.entry(format!("{instance_id}|{chat_id}")).or_default().extend((counts == "1").then_some(message));
    }
    let (mut responses, mut waiting) = (Vec::new(), Vec::new());
    for (chat, messages) in chats {
        let nobody = ["@g.us", "@broadcast", "@newsletter"].iter().any(|kind| chat.ends_with(kind));
        let (answered, waits) = defined(if nobody { &[] } else { &messages });
        responses.extend(answered.into_iter().map(|row| format!("{chat}|{row}")));
        waiting.push(format!("{chat}|{waits}"));
    }
    responses.sort();
    let (mut stored_responses, mut stored_waiting) = (found(), found());
    stored_responses.sort();
    assert_eq!(stored_responses, responses);
    stored_waiting.sort();
    waiting.sort();
    assert_eq!(stored_waiting, waiting);
}

/// Generates messages with few ids, in few seconds and fewer chats, so that they move and collide. Some times have
/// milliseconds. Some copies are of a service type, or say that their message was deleted.
fn message() -> impl Strategy<Value = Value> {
    let chat = prop_oneof![6 => Just("p@c.us"), 1 => Just("q@lid"), 1 => Just("g@g.us"), 1 => Just("s@broadcast")];
    let id = prop::sample::select(&["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"][..]);
    let time = (0..12_i64, prop_oneof![3 => Just(0), 1 => Just(400), 1 => Just(999)])
        .prop_map(|(second, millis)| json!(1_724_716_800_000_i64 + 1_000 * second + millis));
    let kind = prop_oneof![6 => Just("text"), 1 => Just("call_log"), 1 => Just("revoked")];
    (id, chat, time, any::<bool>(), kind).prop_map(|(id, chat, time, from_me, kind)| {
        json!({
            "event_type": "message_received", "id": id, "chat_id": chat, "timestamp": time, "from_me": from_me,
            "type": kind,
        })
    })
}

#[test]
fn in_any_order_and_any_batches_who_waits_and_who_was_answered_is_as_defined() {
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let stores = runtime.block_on(async { [worlds[0].open().await, worlds[1].open().await] });
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let in_order = |messages: Vec<Value>| {
        let mut messages = messages;
        messages.sort_by_key(|message| message["timestamp"].as_i64());
        messages
    };
    let messages = || prop::collection::vec(message(), 1..24);
    let messages = prop_oneof![2 => messages(), 1 => messages().prop_map(in_order)];
    let cases = Cell::new(0);
    let outcome = runner.run(&(messages, 1..9_usize), |(messages, size)| {
        let case = cases.replace(cases.get() + 1);
        let arrivals = messages.iter().zip(0..);
        let read = |(body, millis): (&Value, i64)| event(&format!("{case}"), body.to_string(), later(millis));
        let events: Vec<Event> = arrivals.map(read).collect();
        for (world, store) in worlds.iter().zip(&stores) {
            for batch in events.chunks(size) {
                runtime.block_on(record(store, batch));
            }
            runtime.block_on(assert_as_defined(world, &format!("instance_id = '{case}'")));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

const RESPONSES: &str = "SELECT incoming_id, outgoing_id, seconds FROM responses ORDER BY waiting_since";
const WAITING: &str = "SELECT waiting_since, waiting_id FROM chats";

fn at(seconds: i64) -> Value {
    json!({"timestamp": 1724716800 + seconds})
}

#[test]
async fn whoever_waits_is_the_first_to_ask_after_the_last_answer() {
    on_both(async |world| {
        let store = world.open().await;
        let say = async |body: Vec<u8>| drop(record(&store, &[event("7", body, ARRIVAL)]).await);
        say(received("first", at(10))).await;
        say(received("second", at(20))).await;
        assert_eq!(world.rows(WAITING).await, ["2024-08-27T00:00:10.000Z|first"]);
        say(sent("answer", at(70))).await;
        say(sent("more", at(80))).await;
        assert_eq!(world.rows(WAITING).await, ["NULL|NULL"]);
        say(received("same second", at(80))).await;
        assert_eq!(world.rows(WAITING).await, ["NULL|NULL"]);
        say(received("again", at(81))).await;
        assert_eq!(world.rows(WAITING).await, ["2024-08-27T00:01:21.000Z|again"]);
        assert_eq!(world.rows(RESPONSES).await, ["first|answer|60", "same second|more|0"]);
    })
    .await;
}

#[test]
async fn a_late_answer_is_put_where_it_belongs() {
    on_both(async |world| {
        let store = world.open().await;
        let said = [received("1", at(10)), received("2", at(30)), sent("last", at(50)), received("3", at(60))];
        let said: Vec<Event> = said.iter().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &said).await;
        assert_eq!(world.rows(RESPONSES).await, ["1|last|40"]);
        record(&store, &[event("7", sent("late", at(20)), ARRIVAL)]).await;
        assert_eq!(world.rows(RESPONSES).await, ["1|late|10", "2|last|20"]);
        record(&store, &[event("7", sent("later", at(90)), ARRIVAL)]).await;
        assert_eq!(world.rows(RESPONSES).await, ["1|late|10", "2|last|20", "3|later|30"]);
    })
    .await;
}

#[test]
async fn a_wait_knows_when_it_was_asked_last() {
    const DAYS: i64 = 4 * 24 * 60 * 60;
    on_both(async |world| {
        let store = world.open().await;
        let say = async |body: Vec<u8>| drop(record(&store, &[event("7", body, later(2_000 * DAYS))]).await);
        say(received("question", at(0))).await;
        say(sent("answer", at(300))).await;
        say(received("thanks", at(330))).await;
        let asked = "SELECT waiting_id, last_asked_at FROM chats";
        assert_eq!(world.rows(asked).await, ["thanks|2024-08-27T00:05:30.000Z"]);
        say(received("another question", at(DAYS))).await;
        assert_eq!(world.rows(asked).await, ["thanks|2024-08-31T00:00:00.000Z"]);
        say(sent("another answer", at(DAYS + 600))).await;
        let responses =
            "SELECT incoming_id, seconds, last_asked_at, seconds_from_last FROM v_response_times ORDER BY 2";
        let (first, later) = ("question|300|2024-08-27T00:00:00.000Z|300", DAYS + 600 - 330);
        assert_eq!(
            world.rows(responses).await,
            [first.to_owned(), format!("thanks|{later}|2024-08-31T00:00:00.000Z|600")]
        );
        // A message between the two that comes late may be the last question, too.
        say(received("late", at(DAYS + 60))).await;
        assert_eq!(world.value("SELECT seconds_from_last FROM responses WHERE incoming_id = 'thanks'").await, "540");
    })
    .await;
}

#[test]
async fn an_answer_that_moves_to_another_chat_answers_there() {
    on_both(async |world| {
        let store = world.open().await;
        let elsewhere = |seconds: i64| json!({"timestamp": 1724716800 + seconds, "chat_id": "5799@c.us"});
        let said = [received("1", at(10)), received("2", elsewhere(15)), sent("answer", at(20))];
        let said: Vec<Event> = said.iter().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &said).await;
        record(&store, &[event("7", sent("answer", elsewhere(25)), later(1))]).await;
        assert_eq!(world.rows(RESPONSES).await, ["2|answer|5"]);
        let waiting = world.rows("SELECT chat_id, waiting_id FROM chats ORDER BY chat_id").await;
        assert_eq!(waiting, ["573001112233@c.us|1", "5799@c.us|NULL"]);
    })
    .await;
}

#[test]
async fn nobody_waits_in_groups_broadcasts_and_newsletters() {
    on_both(async |world| {
        let store = world.open().await;
        for chat in ["1203@g.us", "status@broadcast", "1203@newsletter"] {
            let here = |seconds: i64| json!({"timestamp": 1724716800 + seconds, "chat_id": chat});
            let said = [received(&format!("{chat} 1"), here(1)), sent(&format!("{chat} 2"), here(2))];
            let late = received(&format!("{chat} 0"), here(0));
            let said: Vec<Event> = said.iter().chain([&late]).map(|body| event("7", body, ARRIVAL)).collect();
            record(&store, &said[..2]).await;
            record(&store, &said[2..]).await;
        }
        assert_eq!(world.rows(WAITING).await, ["NULL|NULL"; 3]);
        assert_eq!(world.value("SELECT count(*) FROM responses").await, "0");
    })
    .await;
}
