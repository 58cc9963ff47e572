//! Walks through the lists while events arrive as fast as the service accepts them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::database::world::on_both;
use crate::support::events::{SECRET, ack, reaction, received, sent};
use crate::support::program::service::{Service, answer};

const SENDERS: usize = 32;
/// The number of events that arrive during a walk.
const ENOUGH: usize = 20 * SENDERS;

/// The times of these events: before, between and after those of all rows that are walked over.
const TIMES: [i64; 3] = [1_724_716_000, 1_724_716_850, 1_724_719_000];

/// Conversations of three instances, with acks, reactions and files.
async fn converse(service: &Service) {
    let bodies = (0..150_i64).map(|n| {
        let person = format!("57300{}@c.us", n % 11);
        let fields = json!({"chat_id": person, "body": "buenos días", "timestamp": 1_724_716_800 + n % 60, "media_url": format!("/{n}.jpg")});
        let id = format!("A{n}");
        let body = if n % 3 == 0 { sent(&id, fields) } else { received(&id, fields) };
        [body, ack(&id, "read"), reaction(&id, &person, json!("👍"), json!(1_724_717_000 + n % 50))]
            .map(|body| (format!("/webhook/{}", n % 3), body))
    });
    let bodies: Vec<_> = bodies.flatten().collect();
    let sent = bodies.iter().map(|(path, body)| service.deliver(path, body));
    assert!(join_all(sent).await.iter().all(|answer| answer.status.as_u16() == 200));
}

/// Sends events until it is told to stop.
async fn send(service: &Service, sender: usize, over: &AtomicBool, taken: &AtomicUsize) {
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("B{sender}-{n}");
        let fields = json!({"chat_id": format!("57311{}@c.us", n % 7), "body": "buenos días", "timestamp": TIMES[n % 3], "media_url": format!("/{id}.jpg")});
        let body = match n % 3 {
            0 => received(&id, fields),
            1 => ack(&format!("B{sender}-{}", n - 1), "delivered"),
            _ => reaction(&id, "573001112233@c.us", json!("❤️"), json!(TIMES[n / 3 % 3])),
        };
        let answer = service.deliver(&format!("/webhook/{}", sender % 3), body).await;
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the keys of the rows of a walk in their order. The walk ends when all wanted rows were found, or at the end
/// of the list.
async fn walk(
    service: &Service,
    list: &str,
    order: &str,
    columns: &[&str],
    looked_for: Option<&BTreeSet<String>>,
) -> Vec<String> {
    let (mut met, mut cursor) = (vec![], String::new());
    let mut missing = looked_for.map_or(usize::MAX, BTreeSet::len);
    loop {
        let path = format!("/api/v1/{list}limit=20&order={order}&cursor={cursor}");
        let page = answer(service.get(&path).bearer_auth(service.token())).await;
        assert_eq!(page.status.as_u16(), 200, "{path} {page:?}");
        for row in page.body["data"].as_array().expect("a list has data") {
            let row = Vec::from_iter(columns.iter().map(|column| row[column].to_string())).join(" ");
            missing -= usize::from(looked_for.is_some_and(|looked_for| looked_for.contains(&row)));
            met.push(row);
        }
        match &page.body["next_cursor"] {
            Value::String(next) if missing > 0 => cursor = next.clone(),
            _ => return met,
        }
    }
}

#[test(flavor = "multi_thread")]
async fn a_walk_misses_and_repeats_nothing_while_events_arrive_as_fast_as_they_are_accepted() {
    on_both(async |world| {
        let service =
            Service::start_with(&world, &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")]).await;
        converse(&service).await;
        let lists: [(&str, &[&str]); 6] = [
            ("messages?", &["instance_id", "id"]),
            ("messages?q=dias&", &["instance_id", "id"]),
            ("messages?time=received&", &["instance_id", "id"]),
            ("acks?", &["instance_id", "message_id", "ack"]),
            ("reactions?", &["instance_id", "message_id", "from_number", "reaction"]),
            ("media?", &["instance_id", "message_id"]),
        ];
        let mut before = vec![];
        for (list, columns) in lists {
            before.push(BTreeSet::from_iter(walk(&service, list, "desc", columns, None).await));
        }
        assert!(before.iter().all(|rows| rows.len() >= 150), "{before:?}");
        let (over, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        let sending = join_all((0..SENDERS).map(|sender| send(&service, sender, &over, &taken)));
        let walking = async {
            while taken.load(Ordering::Relaxed) < ENOUGH {
                for ((list, columns), before) in lists.iter().zip(&before) {
                    for order in ["desc", "asc"] {
                        let met = walk(&service, list, order, columns, Some(before)).await;
                        let once: BTreeSet<String> = met.iter().cloned().collect();
                        assert_eq!(once.len(), met.len(), "{list} {order} repeats");
                        assert_eq!(before.difference(&once).next(), None, "{list} {order}");
                    }
                }
            }
            over.store(true, Ordering::Relaxed);
        };
        futures_util::join!(sending, walking);
        service.stop().await;
    })
    .await;
}
