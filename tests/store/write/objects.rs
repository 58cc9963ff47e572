use std::sync::Arc;
use std::time::Duration;

use buzon::domain::media::object_key::ObjectKey;
use buzon::domain::media::{AttemptOutcome, Settlement, StoredFile};
use buzon::store::{JobClaim, Store};
use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{World, on_both, on_both_empty, record};
use crate::support::events::{event, received};

fn key(content: u8) -> ObjectKey {
    ObjectKey::of_digest([content; 32])
}

/// Records messages whose files have this content and size.
async fn stored(store: &Arc<dyn Store>, files: &[(&str, u8, u64)]) {
    for (id, content, size) in files {
        let message = received(id, json!({"type": "image", "media_url": format!("/{id}")}));
        record(store, &[event("7", message, ARRIVAL)]).await;
        let until = ARRIVAL + Duration::from_secs(30);
        let claim = JobClaim {
            now: ARRIVAL,
            lease_until: until,
            lease_absurd_after: until,
            attempt_absurd_after: until,
            limit: 1,
            busy_hosts: vec![],
        };
        let job = store.claim_media(&claim).await.expect("the store answers").remove(0);
        let (content_type, file_name) = ("image/png".to_owned(), None);
        let file = StoredFile { object_key: key(*content), size: *size, content_type, file_name };
        let outcome = AttemptOutcome::Stored { file, at: ARRIVAL };
        let settled = store.settle_media(&[Settlement { lease: job.lease, attempts: 1, outcome }]).await;
        assert_eq!(settled.expect("the store answers").len(), 1);
    }
}

#[test]
async fn a_database_has_an_id_that_stays_and_is_its_own() {
    on_both_empty(async |world| {
        let id = world.open().await.database_id().await.expect("the store answers");
        assert_eq!(world.value("SELECT database_id FROM installation").await, id);
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let other = World::empty(world.backend).await;
        assert_ne!(other.open().await.database_id().await.expect("the store answers"), id);
    })
    .await;
}

#[test]
async fn the_same_file_in_many_messages_counts_once() {
    on_both(async |world| {
        let store = world.open().await;
        assert_eq!(store.bytes_stored().await.expect("the store answers"), 0);
        stored(&store, &[("A", 1, 100), ("B", 1, 100), ("C", 2, 7)]).await;
        assert_eq!(store.bytes_stored().await.expect("the store answers"), 107);
    })
    .await;
}

#[test]
async fn an_object_that_no_job_ended_with_is_without_a_row() {
    on_both(async |world| {
        let store = world.open().await;
        stored(&store, &[("A", 1, 100)]).await;
        let orphans = store.objects_without_row(&[key(1), key(2), key(3)]).await.expect("the store answers");
        assert_eq!(orphans, [key(2), key(3)]);
        assert_eq!(store.objects_without_row(&[]).await.expect("the store answers"), []);
    })
    .await;
}

#[test]
async fn a_lock_on_an_object_is_one_callers_until_it_is_given_back_or_ends() {
    on_both(async |world| {
        let store = world.open().await;
        let lock = async |content, now| {
            let locked = store.lock_object(&key(content), now, now + Duration::from_secs(60)).await;
            locked.expect("the store answers")
        };
        assert!(lock(1, ARRIVAL).await);
        assert!(!lock(1, later(59_999)).await);
        assert!(lock(2, ARRIVAL).await);
        assert!(lock(1, later(60_000)).await);
        assert!(!lock(1, later(60_001)).await);
        let mine = later(120_000);
        store.unlock_object(&key(1), later(60_000)).await.expect("the store answers");
        assert!(!lock(1, later(60_001)).await, "the lock of one who came too late is not given back");
        store.unlock_object(&key(1), mine).await.expect("the store answers");
        assert!(lock(1, later(60_001)).await);
    })
    .await;
}
