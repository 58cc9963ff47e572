use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{ack, event, received, sent};

#[tokio::test]
async fn an_ack_moves_forward_and_never_back() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        for (word, stands) in [
            ("pending", "pending"),
            ("sent", "sent"),
            ("failed", "failed"),
            ("delivered", "delivered"),
            ("sent", "delivered"),
            ("error", "delivered"),
            ("read", "read"),
            ("delivered", "read"),
            ("played", "played"),
            ("pending", "played"),
            ("whatever", "played"),
        ] {
            record(&store, &[event("7", ack("A", word), later(1))]).await;
            assert_eq!(world.value("SELECT ack FROM messages").await, stands, "after {word}");
        }
        assert_eq!(world.value("SELECT count(*) FROM message_acks").await, "8");
    })
    .await;
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn an_ack_keeps_its_earliest_arrival_and_so_does_the_ack_that_a_message_states() {
    on_both(async |world| {
        let store = world.open().await;
        let with_more = json!({"event_type": "ack_update", "id": "A", "ack": "read", "extra": 1}).to_string();
        record(&store, &[event("7", ack("A", "read"), later(50))]).await;
        record(&store, &[event("7", with_more, later(20))]).await;
        record(&store, &[event("7", sent("A", json!({"ack": "sent"})), later(70))]).await;
        let acks = world.rows("SELECT ack, received_at FROM message_acks ORDER BY ack").await;
        assert_eq!(acks, ["read|2024-08-27T00:06:40.024Z", "sent|2024-08-27T00:06:40.074Z"]);
        assert_eq!(world.value("SELECT ack FROM messages").await, "read");
    })
    .await;
}

#[tokio::test]
async fn the_implied_ack_is_not_among_those_that_were_stated() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        assert_eq!(world.value("SELECT ack FROM messages").await, "pending");
        assert_eq!(world.value("SELECT count(*) FROM message_acks").await, "0");
    })
    .await;
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn a_message_that_turns_out_to_be_outgoing_takes_the_ack_that_waited() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", ack("A", "read"), ARRIVAL), event("7", received("A", json!({})), ARRIVAL)]).await;
        record(&store, &[event("7", sent("A", json!({})), later(1))]).await;
        assert_eq!(world.rows("SELECT from_me, ack FROM messages").await, ["1|read"]);
    })
    .await;
}

#[tokio::test]
async fn a_message_without_an_instance_takes_acks_without_one() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", received("A", json!({})), ARRIVAL), event("-", ack("A", "read"), ARRIVAL)]).await;
        assert_eq!(world.rows("SELECT instance_id, ack FROM messages").await, ["-|read"]);
        assert_eq!(world.value("SELECT count(*) FROM message_acks").await, "2");
    })
    .await;
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn acks_that_came_before_their_message_give_it_their_times() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", ack("A", "delivered"), later(1)), event("-", ack("A", "read"), later(2))]).await;
        record(&store, &[event("7", sent("A", json!({"ack": "sent"})), later(3))]).await;
        assert_eq!(world.rows(TIMES).await, ["2024-08-27T00:06:40.005Z|2024-08-27T00:06:40.006Z"]);
    })
    .await;
}
