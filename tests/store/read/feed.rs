//! The ledger as a feed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use buzon::domain::access::scope::Scope;
use buzon::domain::instance::InstanceId;
use buzon::domain::message::MessageKey;
use buzon::domain::page::position::{FeedStart, Position};
use buzon::store::{Feed, FeedEvent, FeedFilter, FeedItem, Store};
use serde_json::json;

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{ack, event, reaction, received, sent};

pub(super) fn id(instance: &str) -> InstanceId {
    InstanceId::new(instance).expect("it is an id")
}

pub(super) fn of(instances: &[&str]) -> Scope {
    Scope::Instances(instances.iter().map(|instance| id(instance)).collect())
}

pub(super) fn everything() -> FeedFilter {
    FeedFilter::default()
}

pub(super) async fn feed(store: &Arc<dyn Store>, scope: &Scope, filter: &FeedFilter, since: i64, limit: u32) -> Feed {
    let start = FeedStart::After(Position { seq: since, ..store.latest().await.expect("the store answers") });
    store.feed(scope, filter, start, limit).await.expect("the store answers").expect("the number was assigned")
}

/// Walks through the whole feed, and returns `instance/type: instance/message …` for each item.
pub(super) async fn walk(store: &Arc<dyn Store>, scope: &Scope, filter: &FeedFilter, limit: u32) -> Vec<String> {
    let (mut items, mut since) = (Vec::new(), 0);
    loop {
        let feed = feed(store, scope, filter, since, limit).await;
        assert!(feed.items.len() <= limit as usize);
        assert!(feed.items.iter().all(|item| since < item.seq() && item.seq() <= feed.next_since));
        assert!(feed.items.is_sorted_by(|a, b| a.seq() < b.seq()));
        items.extend(feed.items.iter().map(shown));
        assert!(!feed.more || feed.next_since > since, "it goes on");
        since = feed.next_since;
        if !feed.more {
            let clock = store.latest().await.expect("the store answers").seq;
            assert_eq!(since, clock, "it ends where the ledger does");
            return items;
        }
    }
}

pub(super) fn shown(item: &FeedItem) -> String {
    match item {
        FeedItem::Event(event) => {
            let changes: Vec<String> =
                event.changes.iter().map(|key| format!("{}/{}", key.instance_id, key.id)).collect();
            let kind = event.event_type.as_deref().unwrap_or("?");
            format!("{}/{kind}: {}", event.instance_id, changes.join(" ")).trim_end().to_owned()
        }
        FeedItem::File(file) => format!("file of {}/{}: {}", file.instance_id, file.message_id, file.state),
        FeedItem::Chat(chat) => format!("{}/{} in {}", chat.instance_id, chat.alias, chat.chat_id),
    }
}

fn the_event(item: &FeedItem) -> &FeedEvent {
    match item {
        FeedItem::Event(event) => event,
        other => panic!("{other:?} is no event"),
    }
}

#[test]
async fn each_item_names_what_it_changed_and_a_limited_reader_sees_theirs_alone() {
    on_both(async |world| {
        let store = world.open().await;
        for (instance, body) in [
            ("7", sent("A", json!({}))),
            ("8", sent("B", json!({}))),
            ("-", ack("A", "delivered")),
            ("-", ack("B", "delivered")),
            ("-", ack("nowhere", "read")),
            ("7", reaction("A", "57300", json!("👍"), json!(null))),
            ("8", sent("A", json!({}))),
            ("-", ack("A", "read")),
            ("7", b"not json".to_vec()),
            ("-", b"not json".to_vec()),
            ("7", received("C", json!({}))),
            ("-", ack("C", "read")),
            ("-", received("A", json!({"ack": "sent", "chat_id": "secret"}))),
        ] {
            record(&store, &[event(instance, body, ARRIVAL)]).await;
        }
        for limit in [1, 2, 100] {
            let all = walk(&store, &Scope::All, &everything(), limit).await;
            let expected = [
                "7/message_sent: 7/A",
                "8/message_sent: 8/B",
                "-/ack_update: -/A 7/A 8/A",
                "-/ack_update: -/B 8/B",
                "-/ack_update: -/nowhere",
                "7/message_reaction: 7/A",
                "8/message_sent: 8/A",
                "-/ack_update: -/A 7/A 8/A",
                "7/?:",
                "-/?:",
                "7/message_received: 7/C",
                "-/ack_update: -/C",
                "-/message_received: -/A 7/A 8/A",
            ];
            assert_eq!(all, expected);
            let seven = [
                "7/message_sent: 7/A",
                "-/ack_update: 7/A",
                "7/message_reaction: 7/A",
                "-/ack_update: 7/A",
                "7/?:",
                "7/message_received: 7/C",
                "-/message_received: 7/A",
            ];
            assert_eq!(walk(&store, &of(&["7"]), &everything(), limit).await, seven);
            assert_eq!(walk(&store, &of(&["9"]), &everything(), limit).await, [""; 0]);
            assert_eq!(walk(&store, &of(&[]), &everything(), limit).await, [""; 0]);
            let acks = FeedFilter { event_types: vec!["ack_update".to_owned()], ..everything() };
            assert_eq!(walk(&store, &of(&["7"]), &acks, limit).await, ["-/ack_update: 7/A", "-/ack_update: 7/A"]);
            let reactions = FeedFilter { event_types: vec!["message_reaction".to_owned()], ..everything() };
            assert_eq!(walk(&store, &of(&["7"]), &reactions, limit).await, ["7/message_reaction: 7/A"]);
        }
        let item = feed(&store, &of(&["7"]), &everything(), 12, 100).await.items.pop().expect("it is the last");
        assert_eq!((item.seq(), &the_event(&item).chat_id), (13, &None), "what others wrote is not theirs");
        let item = feed(&store, &Scope::All, &everything(), 12, 100).await.items.pop().expect("it is the last");
        assert_eq!(the_event(&item).chat_id.as_deref(), Some("secret"));
    })
    .await;
}

#[test]
async fn a_wish_for_an_instance_includes_the_acks_that_came_without_one() {
    on_both(async |world| {
        let store = world.open().await;
        for (instance, body) in
            [("7", sent("A", json!({}))), ("8", sent("B", json!({}))), ("-", ack("A", "read")), ("-", ack("B", "read"))]
        {
            record(&store, &[event(instance, body, ARRIVAL)]).await;
        }
        let only =
            |instances: &[&str]| FeedFilter { instances: instances.iter().map(|it| id(it)).collect(), ..everything() };
        let seven = ["7/message_sent: 7/A", "-/ack_update: -/A 7/A"];
        assert_eq!(walk(&store, &Scope::All, &only(&["7"]), 9).await, seven);
        assert_eq!(
            walk(&store, &of(&["7", "8"]), &only(&["7"]), 9).await,
            ["7/message_sent: 7/A", "-/ack_update: 7/A"]
        );
        assert_eq!(walk(&store, &of(&["8"]), &only(&["7"]), 9).await, [""; 0]);
        let unstated = ["-/ack_update: -/A 7/A", "-/ack_update: -/B 8/B"];
        assert_eq!(walk(&store, &Scope::All, &only(&["-"]), 9).await, unstated);
        assert_eq!(walk(&store, &of(&["7"]), &only(&["-"]), 9).await, [""; 0]);
        assert_eq!(walk(&store, &Scope::All, &only(&["-", "7"]), 9).await.len(), 3);
    })
    .await;
}

/// The reader had passed the ack before its message arrived; the message itself then tells the reader to look.
#[test]
async fn an_ack_before_its_message_is_not_missed() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("-", ack("A", "read"), ARRIVAL)]).await;
        let before = feed(&store, &of(&["7"]), &everything(), 0, 9).await;
        assert_eq!((before.items.len(), before.next_since, before.more), (0, 1, false));
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        let after = feed(&store, &of(&["7"]), &everything(), before.next_since, 9).await;
        assert_eq!(the_event(&after.items[0]).changes, [MessageKey { instance_id: id("7"), id: "A".to_owned() }]);
        assert_eq!(world.value("SELECT ack FROM messages").await, "read");
    })
    .await;
}

#[test]
async fn a_number_that_was_not_assigned_yet_is_of_another_history() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        let latest = store.latest().await.expect("the store answers");
        for seq in [2, i64::MAX] {
            let ahead = FeedStart::After(Position { seq, ..latest });
            assert_eq!(store.feed(&Scope::All, &everything(), ahead, 9).await.expect("the store answers"), None);
        }
    })
    .await;
}

/// Thousands of acks of other instances' messages lie between two events that the reader may see.
#[test]
async fn the_work_for_a_page_is_bounded_and_the_walk_arrives() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", sent("A", json!({})), ARRIVAL)]).await;
        for batch in 0..10 {
            let acks: Vec<_> = (0..250).map(|n| event("-", ack(&format!("B{batch}-{n}"), "read"), ARRIVAL)).collect();
            record(&store, &acks).await;
        }
        record(&store, &[event("-", ack("A", "read"), ARRIVAL)]).await;
        let mut pages = Vec::new();
        let (mut since, mut more) = (0, true);
        while more {
            let feed = feed(&store, &of(&["7"]), &everything(), since, 50).await;
            (since, more) = (feed.next_since, feed.more);
            pages.push((feed.items.len(), feed.next_since));
        }
        assert_eq!(pages, [(1, 1_001), (0, 2_001), (1, 2_502)]);
    })
    .await;
}

/// Two processes record. A reader that polls all the time sees every event once, in order.
#[test(flavor = "multi_thread")]
async fn a_walk_beside_two_writers_misses_nothing_and_repeats_nothing() {
    let world = World::new(Backend::Postgres).await;
    let stores = [world.open().await, world.open().await];
    let ended = Arc::new(AtomicBool::new(false));
    let writers = stores.clone().into_iter().zip(["7", "8"]).map(|(store, instance)| {
        tokio::spawn(async move {
            for n in 0..60 {
                let acks = (0..3).map(|k| event("-", ack(&format!("{instance}-{n}"), &format!("word{k}")), ARRIVAL));
                let message = event(instance, sent(&format!("{instance}-{n}"), json!({})), ARRIVAL);
                record(&store, &acks.chain([message]).collect::<Vec<_>>()).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let follow = |scope: Scope, limit: u32| {
        let (store, ended) = (stores[0].clone(), ended.clone());
        tokio::spawn(async move {
            let (mut seen, mut since) = (Vec::new(), 0);
            loop {
                let last = ended.load(Ordering::Acquire);
                let feed = feed(&store, &scope, &everything(), since, limit).await;
                since = feed.next_since;
                seen.extend(feed.items.into_iter().map(|item| item.seq()));
                if last && !feed.more {
                    return seen;
                }
            }
        })
    };
    let followers = [follow(Scope::All, 7), follow(of(&["7", "8"]), 200), follow(of(&["8"]), 5)];
    for writer in writers {
        writer.await.expect("it does not panic");
    }
    ended.store(true, Ordering::Release);
    let all: Vec<i64> = numbers(&world, "SELECT seq FROM events ORDER BY seq").await;
    let of_eight = numbers(&world, "SELECT seq FROM events WHERE instance_id = '8' ORDER BY seq").await;
    let [everything, both, eight] = followers;
    assert_eq!(everything.await.expect("it does not panic"), all);
    // Every ack was in one batch with its message, so it is never visible before it.
    assert_eq!(both.await.expect("it does not panic"), all);
    let eight = eight.await.expect("it does not panic");
    assert!(eight.is_sorted_by(|a, b| a < b), "{eight:?}");
    let eight: BTreeSet<i64> = eight.into_iter().collect();
    assert_eq!(eight.len(), 240);
    assert!(of_eight.iter().all(|seq| eight.contains(seq)));
}

pub(super) async fn numbers(world: &World, query: &str) -> Vec<i64> {
    world.rows(query).await.iter().map(|seq| seq.parse().expect("it is a number")).collect()
}
