use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, reaction};

const CURRENT: &str = "SELECT from_number, reaction FROM v_current_reactions ORDER BY from_number";

#[tokio::test]
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

#[tokio::test]
async fn a_removal_leaves_no_current_reaction_unless_it_is_of_the_same_second() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            reaction("A", "removed", json!("👍"), json!(1724717000)),
            reaction("A", "removed", json!(null), json!(1724717001)),
            reaction("A", "same", json!(""), json!(1724717000)),
            reaction("A", "same", json!("👍"), json!(1724717000)),
            reaction("A", "two", json!("a"), json!(1724717000)),
            reaction("A", "two", json!("b"), json!(1724717000)),
        ];
        let events: Vec<_> = events.iter().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &events).await;
        assert_eq!(world.rows(CURRENT).await, ["same|👍", "two|b"]);
    })
    .await;
}

#[tokio::test]
async fn a_reaction_event_that_says_the_same_again_is_one_row_with_the_earlier_arrival() {
    on_both(async |world| {
        let store = world.open().await;
        let body = reaction("A", "5731", json!("👍"), json!(1724717000));
        let same = reaction("A", "5731", json!("👍"), json!("1724717000"));
        record(&store, &[event("7", body, later(9))]).await;
        record(&store, &[event("7", same, later(3))]).await;
        let rows = world.rows("SELECT reacted_at, received_at FROM message_reactions").await;
        assert_eq!(rows, ["2024-08-27T00:03:20.000Z|2024-08-27T00:06:40.007Z"]);
    })
    .await;
}

#[tokio::test]
async fn instances_do_not_share_reactions() {
    on_both(async |world| {
        let store = world.open().await;
        let body = reaction("A", "5731", json!("👍"), json!(1724717000));
        record(&store, &[event("7", &body, ARRIVAL), event("8", &body, ARRIVAL)]).await;
        assert_eq!(world.value("SELECT count(*) FROM v_current_reactions").await, "2");
    })
    .await;
}
