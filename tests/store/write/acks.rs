use buzon::store::{self, Aim, Difference, Options, Pending};
use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{ack, event, received, sent};

/// An ack of message A whose body no other number has.
fn numbered(word: &str, number: i64) -> String {
    json!({"event_type": "ack_update", "id": "A", "ack": word, "number": number}).to_string()
}

#[test]
async fn an_ack_moves_forward_and_back_only_from_sent_to_failed_or_the_reverse() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        let words = [
            ("pending", "pending"),
            ("sent", "sent"),
            ("failed", "failed"),
            ("pending", "failed"),
            ("sent", "sent"),
            ("error", "error"),
            ("delivered", "delivered"),
            ("sent", "delivered"),
            ("error", "delivered"),
            ("read", "read"),
            ("delivered", "read"),
            ("played", "played"),
            ("pending", "played"),
            ("whatever", "played"),
        ];
        for ((word, stands), at) in words.into_iter().zip(1..) {
            record(&store, &[event("7", numbered(word, at), later(at))]).await;
            assert_eq!(world.value("SELECT ack FROM messages").await, stands, "after {word}");
        }
        assert_eq!(world.value("SELECT count(*) FROM message_acks").await, "8");
    })
    .await;
}

#[test]
async fn of_sent_and_failed_the_word_that_was_stated_later_counts_in_any_order_of_recording() {
    on_both(async |world| {
        let store = world.open().await;
        // The instance of an ack, its word, and the order of its arrival.
        type Stated = (&'static str, &'static str, i64);
        let cases: [(&str, &[Stated], &str); 7] = [
            ("sent again", &[("7", "error", 1), ("7", "sent", 2)], "sent"),
            ("failed after all", &[("7", "sent", 1), ("7", "failed", 2)], "failed"),
            ("three times", &[("7", "sent", 1), ("7", "error", 2), ("7", "sent", 3)], "sent"),
            ("without an instance", &[("7", "sent", 1), ("-", "error", 2), ("7", "pending", 3)], "error"),
            ("all without an instance", &[("-", "error", 1), ("-", "Sent", 2), ("-", "failed", 1)], "Sent"),
            ("delivered before", &[("7", "delivered", 1), ("7", "error", 2)], "delivered"),
            ("read later", &[("7", "error", 1), ("7", "sent", 2), ("-", "read", 3)], "read"),
        ];
        let ack = |id: &str, (instance, word, at): &Stated| {
            let body = json!({"event_type": "ack_update", "id": id, "ack": word, "number": at}).to_string();
            event(instance, body, later(10 + at))
        };
        for (name, acks, stands) in cases {
            // The message comes before its acks, between them and after them; they come in their order and reversed.
            for place in 0..=acks.len() {
                for reversed in [false, true] {
                    let id = format!("{name} {place} {reversed}");
                    let mut events: Vec<_> = acks.iter().map(|it| ack(&id, it)).collect();
                    if reversed {
                        events.reverse();
                    }
                    events.insert(place, event("7", sent(&id, json!({"ack": "pending"})), later(place as i64)));
                    for alone in events {
                        record(&store, &[alone]).await;
                    }
                    let together = format!("{id} together");
                    let message = event("7", sent(&together, json!({})), later(place as i64));
                    let events: Vec<_> = acks.iter().map(|it| ack(&together, it)).chain([message]).collect();
                    record(&store, &events).await;
                    for id in [&id, &together] {
                        let found = world.value(&format!("SELECT ack FROM messages WHERE id = '{id}'")).await;
                        assert_eq!(found, stands, "{id}");
                    }
                }
            }
        }
        let wrong = "SELECT count(*) FROM messages WHERE ack_rank <> (SELECT message_acks.ack_rank FROM message_acks \
                     WHERE message_acks.instance_id = messages.instance_id AND message_id = id \
                     AND message_acks.ack = messages.ack)";
        assert_eq!(world.value(wrong).await, "0");
        let options = Options { pending: Pending::Refuse, ..world.options() };
        let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
        assert!(differences.iter().all(Difference::is_none), "{differences:?}");
    })
    .await;
}

#[test]
async fn of_the_acks_that_copies_of_a_message_state_the_later_of_sent_and_failed_counts() {
    on_both(async |world| {
        let store = world.open().await;
        let copy = |ack: &str, at: i64| event("7", sent("A", json!({"ack": ack, "timestamp": 1724716800})), later(at));
        record(&store, &[copy("error", 1)]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "error");
        record(&store, &[copy("sent", 5)]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "sent");
        record(&store, &[event("7", ack("A", "failed"), later(3))]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "sent", "stated before");
    })
    .await;
}

#[test]
async fn an_exact_repeat_of_sent_does_not_undo_a_failure() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        for (word, at) in [("sent", 1), ("error", 2), ("sent", 3)] {
            record(&store, &[event("7", ack("A", word), later(at))]).await;
        }
        assert_eq!(world.value("SELECT ack FROM messages").await, "error");
        assert_eq!(world.value("SELECT count(*) FROM message_acks WHERE received_at < last_received_at").await, "0");
    })
    .await;
}

#[test]
async fn acks_are_compared_trimmed_and_in_lower_case_and_stored_verbatim() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL), event("7", ack("A", " READ "), ARRIVAL)]).await;
        record(&store, &[event("7", ack("A", "Delivered"), ARRIVAL), event("7", ack("A", "3"), ARRIVAL)]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, " READ ");
        let acks = world.rows("SELECT ack, ack_rank FROM message_acks ORDER BY ack").await;
        assert_eq!(acks, [" READ |5", "3|0", "Delivered|4"]);
    })
    .await;
}

#[test]
async fn what_is_stated_takes_the_place_of_what_is_implied() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", json!({"ack": "Pending"})), ARRIVAL)]).await;
        record(&store, &[event("7", sent("B", json!({})), ARRIVAL)]).await;
        record(&store, &[event("7", ack("B", "PENDING"), ARRIVAL), event("7", ack("B", "zzz"), ARRIVAL)]).await;
        assert_eq!(
            world.rows("SELECT id, ack, ack_rank FROM messages ORDER BY id").await,
            ["A|Pending|1", "B|PENDING|1"]
        );
    })
    .await;
}

#[test]
async fn an_ack_keeps_its_earliest_and_its_latest_arrival_and_so_does_the_ack_that_a_message_states() {
    on_both(async |world| {
        let store = world.open().await;
        let with_more = json!({"event_type": "ack_update", "id": "A", "ack": "read", "extra": 1}).to_string();
        record(&store, &[event("7", ack("A", "read"), later(50))]).await;
        record(&store, &[event("7", with_more, later(20))]).await;
        record(&store, &[event("7", sent("A", json!({"ack": "sent"})), later(70))]).await;
        let acks = world.rows("SELECT ack, received_at, last_received_at FROM message_acks ORDER BY ack").await;
        let [first, last, own] = [".024Z", ".054Z", ".074Z"].map(|end| format!("2024-08-27T00:06:40{end}"));
        assert_eq!(acks, [format!("read|{first}|{last}"), format!("sent|{own}|{own}")]);
        assert_eq!(world.value("SELECT ack FROM messages").await, "read");
    })
    .await;
}

#[test]
async fn the_implied_ack_is_not_among_those_that_were_stated() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "pending");
        assert_eq!(world.value("SELECT count(*) FROM message_acks").await, "0");
    })
    .await;
}

#[test]
async fn an_ack_without_an_instance_finds_its_outgoing_message_whichever_comes_first() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", ack("before", "delivered"), later(1))]).await;
        record(&store, &[event("7", sent("before", json!({})), later(2))]).await;
        record(&store, &[event("7", sent("after", json!({})), later(3))]).await;
        record(&store, &[event("-", ack("after", "read"), later(4))]).await;
        record(&store, &[event("-", ack("with", "sent"), later(5)), event("7", sent("with", json!({})), later(5))])
            .await;
        let messages = world.rows("SELECT instance_id, id, ack FROM messages ORDER BY id").await;
        assert_eq!(messages, ["7|after|read", "7|before|delivered", "7|with|sent"]);
        let acks = world.rows("SELECT instance_id, message_id, received_at FROM message_acks ORDER BY 1, 2").await;
        assert_eq!(
            acks,
            [
                "-|after|2024-08-27T00:06:40.008Z",
                "-|before|2024-08-27T00:06:40.005Z",
                "-|with|2024-08-27T00:06:40.009Z",
                "7|after|2024-08-27T00:06:40.008Z",
                "7|before|2024-08-27T00:06:40.005Z",
                "7|with|2024-08-27T00:06:40.009Z",
            ]
        );
    })
    .await;
}

#[test]
async fn an_incoming_message_never_takes_an_ack_without_an_instance() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", ack("A", "read"), ARRIVAL), event("8", received("A", json!({})), ARRIVAL)]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "pending");
        // Another instance has an outgoing message with the same id, and the ack belongs to it.
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        assert_eq!(world.rows("SELECT instance_id, ack FROM messages ORDER BY 1").await, ["7|read", "8|pending"]);
    })
    .await;
}

#[test]
async fn a_message_that_turns_out_to_be_outgoing_takes_the_ack_that_waited() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", ack("A", "read"), ARRIVAL), event("7", received("A", json!({})), ARRIVAL)]).await;
        record(&store, &[event("7", sent("A", json!({})), later(1))]).await;
        assert_eq!(world.rows("SELECT from_me, ack FROM messages").await, ["1|read"]);
    })
    .await;
}

#[test]
async fn a_message_without_an_instance_takes_acks_without_one() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", received("A", json!({})), ARRIVAL), event("-", ack("A", "read"), ARRIVAL)]).await;
        assert_eq!(world.rows("SELECT instance_id, ack FROM messages").await, ["-|read"]);
        assert_eq!(world.value("SELECT count(*) FROM message_acks").await, "2");
    })
    .await;
}

#[test]
async fn an_ack_alone_is_kept() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", ack("nowhere", "read"), ARRIVAL)]).await;
        assert_eq!(world.rows("SELECT instance_id, message_id, ack FROM message_acks").await, ["7|nowhere|read"]);
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "0");
    })
    .await;
}

const TIMES: &str = "SELECT delivered_at, read_at FROM messages";

#[test]
async fn a_message_knows_when_it_was_first_said_to_be_delivered_and_read() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL), event("7", ack("A", "sent"), later(1))]).await;
        assert_eq!(world.rows(TIMES).await, ["NULL|NULL"]);
        record(&store, &[event("7", ack("A", "played"), later(50))]).await;
        assert_eq!(world.rows(TIMES).await, ["2024-08-27T00:06:40.054Z|2024-08-27T00:06:40.054Z"]);
        // An ack that is recorded later and does not raise the rank may state an earlier time.
        record(&store, &[event("7", ack("A", "Delivered"), later(20))]).await;
        record(&store, &[event("7", ack("A", "delivered"), later(30)), event("7", ack("A", "error"), later(2))]).await;
        assert_eq!(world.rows(TIMES).await, ["2024-08-27T00:06:40.024Z|2024-08-27T00:06:40.054Z"]);
        record(&store, &[event("7", ack("A", "read"), later(10))]).await;
        assert_eq!(world.rows(TIMES).await, ["2024-08-27T00:06:40.014Z|2024-08-27T00:06:40.014Z"]);
    })
    .await;
}

#[test]
async fn acks_that_came_before_their_message_give_it_their_times() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", ack("A", "delivered"), later(1)), event("-", ack("A", "read"), later(2))]).await;
        record(&store, &[event("7", sent("A", json!({"ack": "sent"})), later(3))]).await;
        assert_eq!(world.rows(TIMES).await, ["2024-08-27T00:06:40.005Z|2024-08-27T00:06:40.006Z"]);
    })
    .await;
}
