use std::collections::{BTreeSet, HashMap};

use super::*;
use domain::time::zone::Zone;

fn traffic(seed: u64, events: u64) -> Vec<SimulatedDelivery> {
    let start = Timestamp::from_rfc3339("2024-08-26T00:00:00Z").unwrap();
    let instances = ["7", "8"].map(|id| InstanceId::new(id).unwrap()).to_vec();
    let hours = WorkingHours::new(start, 7, &Zone::utc());
    let files = Some(Url::parse("http://127.0.0.1:8099").unwrap());
    TrafficGenerator::new(Shape { seed, instances, chats: 40, events, hours, files }).collect()
}

fn body(delivery: &SimulatedDelivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

#[test]
fn the_same_seed_makes_the_same_events_and_another_makes_others() {
    assert_eq!(traffic(7, 1_000), traffic(7, 1_000));
    let bodies = |seed| traffic(seed, 1_000).into_iter().map(|delivery| delivery.body).collect::<BTreeSet<_>>();
    let shared = bodies(7).intersection(&bodies(8)).count();
    assert_eq!(shared, 0);
}

#[test]
fn acks_and_reactions_follow_the_message_that_they_are_about_in_their_order() {
    const ORDER: [&str; 3] = ["sent", "delivered", "read"];
    let mut acked: HashMap<String, usize> = HashMap::new();
    let mut known = BTreeSet::new();
    let shop = [0, 1].map(people::own_number);
    for delivery in traffic(7, 5_000).iter().filter(|delivery| delivery.kind != DeliveryKind::Repeat) {
        let body = body(delivery);
        let about = |name: &str| (delivery.instance.clone(), body[name].as_str().unwrap().to_owned());
        match delivery.kind {
            DeliveryKind::Ack => {
                assert!(known.contains(&about("id")), "{body}");
                let rank = ORDER.iter().position(|ack| body["ack"] == **ack).unwrap();
                let before = acked.insert(about("id").1, rank);
                assert_eq!(before.map_or(0, |before| before + 1), rank, "{body}");
            }
            // The shop can react to a message that the gateway holds back.
            DeliveryKind::Reaction if shop.iter().any(|shop| body["from_number"] == **shop) => {}
            DeliveryKind::Reaction => assert!(known.contains(&about("message_id")), "{body}"),
            _ => {
                known.insert(about("id"));
            }
        }
    }
    assert!(acked.len() > 500);
}

#[test]
fn there_is_something_of_everything() {
    let traffic = traffic(7, 5_000);
    let count = |kind| traffic.iter().filter(|delivery| delivery.kind == kind).count();
    for (kind, least) in [
        (DeliveryKind::Message, 1_500),
        (DeliveryKind::Ack, 1_000),
        (DeliveryKind::Reaction, 50),
        (DeliveryKind::Repeat, 50),
        (DeliveryKind::Late, 10),
        (DeliveryKind::Edit, 10),
        (DeliveryKind::Deletion, 10),
        (DeliveryKind::Notice, 10),
        (DeliveryKind::Story, 10),
    ] {
        assert!(count(kind) >= least, "{kind:?} {}", count(kind));
    }
    assert!(traffic.iter().filter(|delivery| delivery.has_file).count() > 100);
    let bodies: BTreeSet<&Vec<u8>> = traffic.iter().map(|delivery| &delivery.body).collect();
    assert_eq!(bodies.len(), traffic.len() - count(DeliveryKind::Repeat), "only repeats are repeats");
    let groups = traffic.iter().filter(|delivery| body(delivery)["is_group"] == 1).count();
    assert!(groups > 50 && groups < 1_000, "{groups}");
    let hidden = |body: &Value| body["from"].as_str().is_some_and(|from| from.ends_with("@lid"));
    let stated = |body: &Value| hidden(body) && body["sender_pn"].is_string();
    let (hidden, stated) = traffic
        .iter()
        .map(body)
        .fold((0, 0), |(all, some), body| (all + usize::from(hidden(&body)), some + usize::from(stated(&body))));
    assert!(stated > 5 && hidden > stated, "{stated} of {hidden}");
    let texts = traffic.iter().filter(|delivery| delivery.kind == DeliveryKind::Message).map(body);
    let places: Vec<_> = texts.map(|body| (body["chat_id"].clone(), body["timestamp"].clone())).collect();
    let distinct: BTreeSet<String> = places.iter().map(|place| format!("{place:?}")).collect();
    assert!(places.len() - distinct.len() > 20, "several messages within a second");
}
