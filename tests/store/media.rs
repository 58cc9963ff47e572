use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::events::{event, received};
use crate::support::world::{on_both, record};

const JOBS: &str = "SELECT source_url, state, reason, attempts, next_attempt_at FROM media ORDER BY source_url";

fn with_media(url: &str) -> Value {
    json!({"type": "image", "body": "", "media_url": url})
}

#[tokio::test]
async fn a_message_with_a_media_url_is_a_job_that_is_due() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            event("7", received("A", with_media("/uploads/whatsapp/a.jpg")), ARRIVAL),
            event("7", received("B", with_media("")), ARRIVAL),
            event("7", received("C", json!({"media_url": null})), ARRIVAL),
        ];
        record(&store, &events).await;
        assert_eq!(world.rows(JOBS).await, ["/uploads/whatsapp/a.jpg|pending|NULL|0|2024-08-27T00:06:40.004Z"]);
        assert_eq!(world.value("SELECT length(source_sha256) FROM media").await, "32");
    })
    .await;
}

#[tokio::test]
async fn a_new_url_of_the_message_is_a_new_job_and_the_same_one_is_not() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", with_media("/a.jpg")), ARRIVAL)]).await;
        let edited = json!({"type": "image", "body": "edited", "media_url": "/a.jpg"});
        record(&store, &[event("7", received("A", edited), later(1))]).await;
        record(&store, &[event("7", received("A", with_media("/b.jpg")), later(2))]).await;
        assert_eq!(world.rows("SELECT source_url FROM media ORDER BY 1").await, ["/a.jpg", "/b.jpg"]);
        assert_eq!(
            world.value("SELECT next_attempt_at FROM media WHERE source_url = '/a.jpg'").await,
            "2024-08-27T00:06:40.004Z"
        );
    })
    .await;
}

#[tokio::test]
async fn an_exact_repeat_makes_a_job_due_now_unless_it_is_stored() {
    on_both(async |world| {
        let store = world.open().await;
        let body = |n: usize| received(&n.to_string(), with_media(&format!("/{n}.jpg")));
        let states = ["pending", "expired", "failed", "refused", "too_large", "stored"];
        for (n, state) in states.iter().enumerate() {
            record(&store, &[event("7", body(n), ARRIVAL)]).await;
            let job =
                format!("UPDATE media SET state = '{state}', reason = 'gone', attempts = 5 WHERE message_id = '{n}'");
            world.execute(&job).await;
        }
        let repeats: Vec<_> = (0..states.len()).map(|n| event("7", body(n), later(60))).collect();
        record(&store, &repeats).await;
        let due = "pending|NULL|0|2024-08-27T00:06:40.064Z";
        let mut expected: Vec<_> = (0..5).map(|n| format!("/{n}.jpg|{due}")).collect();
        expected.push("/5.jpg|stored|gone|5|2024-08-27T00:06:40.004Z".to_owned());
        assert_eq!(world.rows(JOBS).await, expected);
    })
    .await;
}
