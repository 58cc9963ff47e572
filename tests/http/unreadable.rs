//! A row that somebody else has damaged. Only what needs that row fails, and the rest works.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::database::world::on_both;
use crate::support::events::received;
use crate::support::program::service::{Service, answer};

/// The writer retries a batch for 4 seconds when the database is away.
const NOT_RETRIED: Duration = Duration::from_secs(3);

fn in_chat(id: &str, chat_id: &str) -> Vec<u8> {
    received(id, json!({"chat_id": chat_id, "from": chat_id}))
}

#[test(flavor = "multi_thread")]
async fn an_event_that_meets_an_unreadable_row_is_quarantined_at_once_and_its_neighbours_are_stored() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let (damaged, sound) = ("573001112233@c.us", "573004445566@c.us");
        service.deliver("/webhook/7", in_chat("A", damaged)).await.accepted();
        world.execute("UPDATE chats SET last_incoming_at = 'infinity'").await;
        let began = Instant::now();
        let bodies = (0..40).map(|n| in_chat(&format!("B{n}"), if n == 17 { damaged } else { sound }));
        let answers = join_all(bodies.map(|body| service.deliver("/webhook/7", body))).await;
        assert!(began.elapsed() < NOT_RETRIED, "the batch was retried for {:?}", began.elapsed());
        answers.iter().for_each(|answer| assert!(!answer.accepted()));
        let stored = "SELECT count(*) FROM messages WHERE chat_id = '573004445566@c.us'";
        assert_eq!(world.value(stored).await, "39");
        let quarantined = "SELECT message_id, reason FROM events WHERE state = 'quarantined'";
        assert_eq!(world.rows(quarantined).await, ["NULL|refused_by_database"]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_answer_that_needs_an_unreadable_row_is_an_error_and_no_other_is() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        service.deliver("/webhook/7", in_chat("A", "573001112233@c.us")).await.accepted();
        world.execute("UPDATE chats SET last_incoming_at = 'infinity'").await;
        let get = async |path: &str| answer(service.get(path).bearer_auth(service.token())).await;
        let refused = get("/api/v1/chats").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (500, "internal_error"));
        assert_eq!(get("/api/v1/messages").await.status.as_u16(), 200);
        assert_eq!(get("/health/ready").await.status.as_u16(), 200);
        service.stop().await;
    })
    .await;
}
