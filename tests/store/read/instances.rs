//! The list of instances.

use std::collections::BTreeSet;

use buzon::domain::access::scope::Scope;
use buzon::domain::event::event_id::EventId;
use buzon::domain::instance::InstanceId;
use buzon::store::{InstanceReport, Occurrence};
use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{ack, event, received, sent};

fn id(instance: &str) -> InstanceId {
    InstanceId::new(instance).expect("it is an id")
}

#[test]
async fn an_instance_has_its_first_and_last_event_and_the_counts_of_a_day() {
    on_both(async |world| {
        let store = world.open().await;
        // All arrive after the latest of them was sent.
        let arrival = |millis: i64| later(2 * 86_400_000 + millis);
        let at = |id: &str, seconds: i64| received(id, json!({"timestamp": 1_724_716_800 + seconds}));
        for (instance, body, millis) in [
            ("8", sent("A", json!({"timestamp": 1_724_716_800})), 0),
            ("7", at("yesterday", -1), 1),
            ("7", at("midnight", 0), 2),
            ("7", at("late", 86_399), 3),
            ("7", at("tomorrow", 86_400), 4),
            ("7", sent("out", json!({"timestamp": 1_724_720_000})), 5),
            ("-", ack("A", "read"), 6),
            ("7", b"not json".to_vec(), 7),
        ] {
            record(&store, &[event(instance, body, arrival(millis))]).await;
        }
        let midnight = later(1_724_716_800_000 - ARRIVAL.millis());
        let next = later(1_724_716_800_000 + 86_400_000 - ARRIVAL.millis());
        let ids = world.event_ids().await;
        let place = |number: usize, millis| {
            let (instance, digits) = ids[number - 1].split_once('/').expect("an id has two parts");
            Occurrence { id: EventId::parse(instance, digits).expect("it is an id"), received_at: arrival(millis) }
        };
        let seven = InstanceReport {
            instance_id: id("7"),
            first_event: place(2, 1),
            last_event: place(8, 7),
            last_message_at: Some(next),
            incoming: 2,
            outgoing: 1,
            quarantined: 1,
        };
        let ask = async |scope: &Scope| store.list_instances(scope, midnight, next).await.expect("the store answers");
        let all = ask(&Scope::All).await;
        let names: Vec<&str> = all.iter().map(|report| report.instance_id.as_str()).collect();
        assert_eq!(names, ["-", "7", "8"]);
        assert_eq!(all[1], seven);
        assert_eq!((all[0].last_message_at, all[0].last_event.clone()), (None, place(7, 6)));
        assert_eq!((all[2].incoming, all[2].outgoing, all[2].quarantined), (0, 1, 0));
        let scope = Scope::Instances(BTreeSet::from([id("7"), id("nowhere")]));
        assert_eq!(ask(&scope).await, [seven]);
        assert_eq!(ask(&Scope::Instances(BTreeSet::new())).await, []);
    })
    .await;
}

#[test]
async fn an_instance_has_the_arrival_of_its_last_event_and_no_repeat_changes_that() {
    on_both(async |world| {
        let store = world.open().await;
        assert_eq!(store.last_events().await.expect("the store answers"), []);
        for (instance, id, millis) in [("8", "A", 0), ("7", "B", 9), ("ñ", "C", 2), ("7", "D", 4), ("8", "A", 90)] {
            record(&store, &[event(instance, received(id, json!({})), later(millis))]).await;
        }
        record(&store, &[event("-", ack("A", "read"), later(5))]).await;
        let last = store.last_events().await.expect("the store answers");
        let expected = [("-", 5), ("7", 4), ("8", 0), ("ñ", 2)];
        assert_eq!(last, expected.map(|(instance, millis)| (InstanceId::from_store(instance), later(millis))));
    })
    .await;
}

#[test]
async fn quarantined_events_are_counted_up_to_a_thousand() {
    on_both(async |world| {
        let store = world.open().await;
        for batch in 0..5 {
            let events: Vec<_> = (0..250).map(|n| event("7", format!("{batch} {n}"), ARRIVAL)).collect();
            record(&store, &events).await;
        }
        let reports = store.list_instances(&Scope::All, ARRIVAL, ARRIVAL).await.expect("the store answers");
        assert_eq!(reports[0].quarantined, 1_000);
    })
    .await;
}
