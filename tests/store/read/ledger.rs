//! The ledger as a list.

use std::collections::BTreeSet;
use std::sync::Arc;

use buzon::domain::access::scope::Scope;
use buzon::domain::event::EventState;
use buzon::domain::event::event_id::EventId;
use buzon::domain::instance::InstanceId;
use buzon::domain::page::{Cursor, Paging, SortOrder};
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{EventFilter, EventReport, Store};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{World, on_both, record};
use crate::support::events::{ack, event, reaction, received, sent};

const HOUR: i64 = 3_600_000;

fn id(instance: &str) -> InstanceId {
    InstanceId::new(instance).expect("it is an id")
}

fn of(instances: &[&str]) -> Scope {
    Scope::Instances(instances.iter().map(|instance| id(instance)).collect::<BTreeSet<_>>())
}

fn first_page(limit: u32) -> Paging<i64> {
    Paging { order: SortOrder::NewestFirst, limit, cursor: None, since: None, until: None }
}

/// Returns the pages of a walk from the first to the last.
async fn walk(store: &Arc<dyn Store>, scope: &Scope, filter: &EventFilter, first: Paging<i64>) -> Vec<EventReport> {
    let mut events = Vec::new();
    let mut paging = first;
    loop {
        let page = store.list_events(scope, filter, &paging).await.expect("the store answers");
        assert!(page.rows.len() <= paging.limit as usize);
        events.extend(page.rows);
        let Some(next) = page.next else { return events };
        paging.cursor = Some(next);
    }
}

fn ids(events: &[EventReport]) -> Vec<&str> {
    events.iter().map(|event| event.message_id.as_deref().unwrap_or("?")).collect()
}

/// Records events of every kind in alphabetical order, one hour apart.
async fn mixed(world: &World) -> Arc<dyn Store> {
    let store = world.open().await;
    let unknown = |id: &str| json!({"event_type": "presence", "id": id}).to_string().into_bytes();
    let bodies: [(&str, Vec<u8>); 8] = [
        ("7", received("A", json!({}))),
        ("8", received("B", json!({}))),
        ("-", ack("C", "read")),
        ("7", unknown("D")),
        ("7", json!({"event_type": "ack_update", "id": "E"}).to_string().into_bytes()),
        ("8", unknown("F")),
        ("8", json!({"event_type": "ack_update", "id": "G"}).to_string().into_bytes()),
        ("7", reaction("H", "57300", json!("👍"), json!(null))),
    ];
    for ((instance, body), hour) in bodies.into_iter().zip(0..) {
        record(&store, &[event(instance, body, later(hour * HOUR))]).await;
    }
    store
}

#[test]
async fn every_filter_finds_its_events_and_nothing_else() {
    on_both(async |world| {
        let store = mixed(&world).await;
        let plain = EventFilter::default;
        let state = |state| EventFilter { state: Some(state), ..plain() };
        let cases = [
            (Scope::All, plain(), "HGFEDCBA"),
            (of(&["7"]), plain(), "HEDA"),
            (of(&["7", "8", "nowhere"]), plain(), "HGFEDBA"),
            (of(&[]), plain(), ""),
            (Scope::All, EventFilter { instance_id: Some(id("8")), ..plain() }, "GFB"),
            (of(&["7"]), EventFilter { instance_id: Some(id("8")), ..plain() }, ""),
            (Scope::All, state(EventState::Quarantined), "GE"),
            (Scope::All, state(EventState::Ignored), "FD"),
            (Scope::All, state(EventState::Applied), "HCBA"),
            (of(&["8"]), state(EventState::Quarantined), "G"),
            (of(&["8"]), EventFilter { event_type: Some("presence".to_owned()), ..plain() }, "F"),
            (Scope::All, EventFilter { event_type: Some("ack_update".to_owned()), ..plain() }, "GEC"),
            (Scope::All, EventFilter { event_type: Some("nothing".to_owned()), ..plain() }, ""),
            (Scope::All, EventFilter { message_id: Some("B".to_owned()), ..plain() }, "B"),
            (of(&["7"]), EventFilter { message_id: Some("B".to_owned()), ..plain() }, ""),
            (Scope::All, EventFilter { message_id: Some("E".to_owned()), ..state(EventState::Applied) }, ""),
        ];
        for (scope, filter, expected) in cases {
            for limit in [1, 2, 50] {
                let events = walk(&store, &scope, &filter, first_page(limit)).await;
                assert_eq!(ids(&events).concat(), expected, "{scope:?} {filter:?} {limit}");
                let first = Paging { order: SortOrder::OldestFirst, ..first_page(limit) };
                let mut events = walk(&store, &scope, &filter, first).await;
                events.reverse();
                assert_eq!(ids(&events).concat(), expected, "ascending: {scope:?} {filter:?} {limit}");
            }
        }
    })
    .await;
}

#[test]
async fn since_and_until_are_about_the_arrival() {
    on_both(async |world| {
        let store = mixed(&world).await;
        let between = async |since: Option<Timestamp>, until: Option<Timestamp>, limit| {
            let first = Paging { since, until, ..first_page(limit) };
            ids(&walk(&store, &Scope::All, &EventFilter::default(), first).await).concat()
        };
        for limit in [1, 50] {
            assert_eq!(between(Some(later(5 * HOUR)), None, limit).await, "HGF");
            assert_eq!(between(Some(later(5 * HOUR + 1)), None, limit).await, "HG");
            assert_eq!(between(None, Some(later(2 * HOUR)), limit).await, "BA");
            assert_eq!(between(Some(later(HOUR)), Some(later(3 * HOUR)), limit).await, "CB");
            assert_eq!(between(Some(later(3 * HOUR)), Some(later(HOUR)), limit).await, "");
            assert_eq!(between(Some(Timestamp::MIN), Some(Timestamp::MAX), limit).await, "HGFEDCBA");
            assert_eq!(between(Some(Timestamp::MAX), None, limit).await, "");
        }
    })
    .await;
}

/// The events waited while the database was away, and were not stored in the order of their arrival.
#[test]
async fn events_that_were_stored_in_another_order_than_they_came_are_found_by_their_time() {
    on_both(async |world| {
        let store = world.open().await;
        for (id, seconds) in [("A", 0), ("B", 90), ("C", 30), ("D", 100), ("E", 10)] {
            record(&store, &[event("7", sent(id, json!({})), later(seconds * 1_000))]).await;
        }
        let since = Paging { since: Some(later(30_000)), until: Some(later(100_000)), ..first_page(50) };
        assert_eq!(ids(&walk(&store, &Scope::All, &EventFilter::default(), since).await), ["C", "B"]);
    })
    .await;
}

#[test]
async fn a_walk_back_meets_what_the_walk_there_met() {
    on_both(async |world| {
        let store = mixed(&world).await;
        let filter = EventFilter { event_type: Some("ack_update".to_owned()), ..EventFilter::default() };
        let ask = async |cursor| {
            let paging = Paging { cursor, ..first_page(1) };
            store.list_events(&Scope::All, &filter, &paging).await.expect("the store answers")
        };
        let first = ask(None).await;
        assert_eq!((ids(&first.rows).concat().as_str(), first.previous), ("G", None));
        let second = ask(first.next).await;
        let third = ask(second.next.clone()).await;
        assert_eq!((ids(&second.rows).concat(), ids(&third.rows).concat()), ("E".to_owned(), "C".to_owned()));
        let back = ask(third.previous).await;
        assert_eq!(back.rows, second.rows);
        let start = ask(back.previous).await;
        assert_eq!((start.rows, start.previous), (first.rows, None));
        let forged = ask(Some(Cursor { key: i64::MAX, backwards: true })).await;
        assert_eq!(forged.rows, []);
        let forged = ask(Some(Cursor { key: i64::MIN, backwards: false })).await;
        assert_eq!(forged.rows, []);
    })
    .await;
}

/// Each page examines a limited number of rows, and the walk still finds the rare event.
#[test]
async fn what_is_rare_is_found_over_several_pages() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", json!({"event_type": "rare", "id": "needle"}).to_string(), ARRIVAL)]).await;
        let hay = match world.backend {
            crate::support::database::world::Backend::Sqlite => {
                "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 45000)
                 INSERT INTO events SELECT n, '7', 'common', NULL, NULL, x'00', randomblob(32),
                    '2024-08-27T00:06:40.004Z', 1, '2024-08-27T00:06:40.004Z', 1, 0, 'applied', NULL, NULL, NULL FROM n"
            }
            crate::support::database::world::Backend::Postgres => {
                "INSERT INTO events SELECT n, '7', 'common', NULL, NULL, '\\x00', sha256(n::text::bytea),
                    '2024-08-27T00:06:40.004Z', 1, '2024-08-27T00:06:40.004Z', TRUE, FALSE, 'applied', NULL, NULL, NULL
                 FROM generate_series(2, 45000) AS n"
            }
        };
        world.execute(hay).await;
        world.execute("UPDATE ledger_clock SET seq = 45000").await;
        let filter = EventFilter { event_type: Some("rare".to_owned()), ..EventFilter::default() };
        for scope in [Scope::All, of(&["7"])] {
            let first = store.list_events(&scope, &filter, &first_page(50)).await.expect("the store answers");
            assert_eq!((first.rows.len(), first.next.is_some()), (0, true), "20,000 rows are no needle");
            assert_eq!(ids(&walk(&store, &scope, &filter, first_page(50)).await), ["needle"]);
        }
        // An index answers this filter.
        let ignored = EventFilter { state: Some(EventState::Ignored), ..EventFilter::default() };
        let page = store.list_events(&Scope::All, &ignored, &first_page(50)).await.expect("the store answers");
        assert_eq!((ids(&page.rows), page.next), (vec!["needle"], None));
    })
    .await;
}

#[test]
async fn an_event_that_is_not_applied_shows_the_beginning_of_its_body() {
    on_both(async |world| {
        let store = world.open().await;
        let long = [b"not json".to_vec(), vec![b'x'; 20_000]].concat();
        let whole = sent("A", json!({}));
        record(&store, &[event("7", &long, ARRIVAL)]).await;
        record(&store, &[event("7", &whole, ARRIVAL), event("7", &whole, later(1))]).await;
        let events = walk(&store, &Scope::All, &EventFilter::default(), first_page(50)).await;
        assert_eq!(events[1].beginning.as_deref(), Some(&long[..16 * 1024]));
        assert_eq!((events[1].size, events[1].reason.as_deref()), (Some(20_008), Some("not_json")));
        let expected = EventReport {
            event_type: Some("message_sent".to_owned()),
            message_id: Some("A".to_owned()),
            chat_id: Some("573001112233@c.us".to_owned()),
            received_at: ARRIVAL,
            deliveries: 2,
            last_received_at: later(1),
            signed: true,
            state: "applied".to_owned(),
            reason: None,
            size: Some(i64::try_from(whole.len()).expect("it is small")),
            beginning: None,
            ..events[0].clone()
        };
        assert_eq!(events[0].id(), EventId::new(id("7"), &Sha256::digest(&whole)));
        assert_eq!(events[0], expected);
        let detail = store.event(&events[0].id()).await.expect("the store answers").expect("it is there");
        assert_eq!((detail.event, detail.body), (expected, Some(whole)));
        let detail = store.event(&events[1].id()).await.expect("the store answers").expect("it is there");
        assert_eq!(detail.body, Some(long));
        let of_another = EventId::new(id("8"), &events[1].body_sha256);
        assert_eq!(store.event(&of_another).await.expect("the store answers"), None);
    })
    .await;
}
