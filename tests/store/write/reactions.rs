use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, reaction, sent};

const CURRENT: &str = "SELECT from_number, reaction FROM v_current_reactions ORDER BY from_number";

#[test]
async fn each_person_has_one_current_reaction_the_latest() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            reaction("A", "5731", json!("👍"), json!(1724717000)),
            reaction("A", "5731", json!("❤️"), json!(1724717005)),
            reaction("A", "5732", json!("😮"), json!(1724717001)),
        ];
        let events: Vec<_> = events.iter().rev().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &events).await;
        assert_eq!(world.rows(CURRENT).await, ["5731|❤️", "5732|😮"]);
        assert_eq!(world.value("SELECT count(*) FROM message_reactions").await, "3");
    })
    .await;
}

#[test]
async fn a_removal_leaves_no_current_reaction_and_within_a_second_the_later_arrival_counts() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        // A reaction, its time and its arrival.
        type Made = (&'static str, i64, i64);
        // The person, their reactions, and the current one.
        let cases: [(&str, &[Made], Option<&str>); 6] = [
            ("changed", &[("👍", 0, 1), ("❤️", 0, 2), ("😮", 0, 3)], Some("😮")),
            ("changed back", &[("a", 0, 1), ("b", 0, 2), ("a", 0, 3)], Some("a")),
            ("later", &[("👍", 1, 1), ("", 0, 2)], Some("👍")),
            ("removed", &[("👍", 0, 1), ("", 1, 2)], None),
            ("removed within a second", &[("👍", 0, 1), ("", 0, 2)], None),
            ("together", &[("", 0, 1), ("a", 0, 1), ("b", 0, 1)], Some("b")),
        ];
        let mut events = Vec::new();
        for ((person, made, _), number) in cases.iter().zip(0..) {
            for (emoji, at, arrival) in *made {
                let mut body = json!({"event_type": "message_reaction", "message_id": "A", "from_number": person});
                body["reaction"] = json!(emoji);
                body["timestamp"] = json!(1_724_717_000 + 10 * number + at);
                body["number"] = json!(arrival);
                events.push(event("7", body.to_string(), later(*arrival)));
            }
        }
        events.reverse();
        record(&store, &events[..7]).await;
        record(&store, &events[7..]).await;
        let mut expected: Vec<(&str, &str)> =
            cases.iter().filter_map(|(who, _, what)| Some((*who, (*what)?))).collect();
        let emoji = Vec::from_iter(expected.iter().map(|(_, emoji)| *emoji)).join(" ");
        assert_eq!(world.value("SELECT reactions FROM v_messages").await, emoji);
        expected.sort_unstable();
        let expected: Vec<String> = expected.iter().map(|(person, emoji)| format!("{person}|{emoji}")).collect();
        assert_eq!(world.rows(CURRENT).await, expected);
        let listed = world.rows("SELECT from_number, reaction FROM v_reactions ORDER BY from_number").await;
        assert_eq!(listed, expected);
    })
    .await;
}

#[test]
async fn an_exact_repeat_without_a_time_stays_a_repeat() {
    on_both(async |world| {
        let store = world.open().await;
        for (emoji, at) in [("👍", 1), ("", 2), ("👍", 3)] {
            record(&store, &[event("7", reaction("A", "5731", json!(emoji), json!(null)), later(at))]).await;
        }
        assert_eq!(world.rows(CURRENT).await, [""; 0]);
        record(&store, &[event("7", reaction("A", "5731", json!("😮"), json!(null)), later(4))]).await;
        assert_eq!(world.rows(CURRENT).await, ["5731|😮"]);
    })
    .await;
}

#[test]
async fn a_reaction_event_that_says_the_same_again_is_one_row_with_the_earliest_and_the_latest_arrival() {
    on_both(async |world| {
        let store = world.open().await;
        let body = reaction("A", "5731", json!("👍"), json!(1724717000));
        let same = reaction("A", "5731", json!("👍"), json!("1724717000"));
        record(&store, &[event("7", body, later(9))]).await;
        record(&store, &[event("7", same, later(3))]).await;
        let rows = world.rows("SELECT reacted_at, received_at, last_received_at FROM message_reactions").await;
        assert_eq!(rows, ["2024-08-27T00:03:20.000Z|2024-08-27T00:06:40.007Z|2024-08-27T00:06:40.013Z"]);
    })
    .await;
}

#[test]
async fn instances_do_not_share_reactions() {
    on_both(async |world| {
        let store = world.open().await;
        let body = reaction("A", "5731", json!("👍"), json!(1724717000));
        record(&store, &[event("7", &body, ARRIVAL), event("8", &body, ARRIVAL)]).await;
        assert_eq!(world.value("SELECT count(*) FROM v_current_reactions").await, "2");
    })
    .await;
}
