use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use buzon::domain::access::scope::Scope;
use buzon::domain::instance::InstanceId;
use buzon::domain::media::object_key::ObjectKey;
use buzon::domain::media::{AttemptOutcome, MediaJobCount, MediaState, Settlement, StoredFile};
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{JobClaim, Store};
use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, received};

fn key(content: u8) -> ObjectKey {
    ObjectKey::of_digest([content; 32])
}

/// Records a message whose file, of this name and content, is stored this many milliseconds after the arrival.
async fn stored(store: &Arc<dyn Store>, instance: &str, name: &str, content: u8, millis: i64) {
    let message = received(name, json!({"type": "image", "media_url": format!("/{name}")}));
    record(store, &[event(instance, message, ARRIVAL)]).await;
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
    let (content_type, file_name) = ("image/png".to_owned(), Some(name.to_owned()));
    let file = StoredFile { object_key: key(content), size: 10, content_type, file_name };
    let outcome = AttemptOutcome::Stored { file, at: later(millis) };
    store.settle_media(&[Settlement { lease: job.lease, attempts: 1, outcome }]).await.expect("the store answers");
}

fn scope(instances: &[&str]) -> Scope {
    let ids: BTreeSet<_> = instances.iter().map(|id| InstanceId::new(id).expect("it is an id")).collect();
    Scope::Instances(ids)
}

#[test]
async fn jobs_are_counted_by_state_with_the_time_of_their_oldest_message() {
    on_both(async |world| {
        let store = world.open().await;
        assert_eq!(store.count_media().await.expect("the store answers"), []);
        stored(&store, "7", "a.png", 1, 1).await;
        for (id, seconds) in [("late", 9), ("early", 5_i64)] {
            let fields = json!({"media_url": format!("/{id}"), "timestamp": 1_724_716_800 + seconds});
            record(&store, &[event("7", received(id, fields), ARRIVAL)]).await;
        }
        let jobs = |state, count, seconds: i64| MediaJobCount {
            state,
            count,
            oldest: Timestamp::from_seconds(1_724_716_800 + seconds),
        };
        let counted = store.count_media().await.expect("the store answers");
        assert_eq!(counted, [jobs(MediaState::Pending, 2, 5), jobs(MediaState::Stored, 1, 0)]);
    })
    .await;
}

#[test]
async fn a_file_is_found_in_a_scope_that_has_it_under_the_name_that_it_has_there() {
    on_both(async |world| {
        let store = world.open().await;
        stored(&store, "8", "first.png", 1, 1).await;
        stored(&store, "7", "second.png", 1, 2).await;
        stored(&store, "7", "third.png", 1, 3).await;
        stored(&store, "8", "theirs.png", 2, 1).await;
        let name = async |content, scope: &Scope| {
            let file = store.stored_file(&key(content), scope).await.expect("the store answers")?;
            assert_eq!(file.object_key, key(content));
            file.file_name
        };
        for (scope, of_both, of_8) in [
            (Scope::All, Some("second.png"), Some("theirs.png")),
            (scope(&["7"]), Some("second.png"), None),
            (scope(&["8"]), Some("first.png"), Some("theirs.png")),
            (scope(&["7", "8", "9"]), Some("second.png"), Some("theirs.png")),
            (scope(&["9", "-", "%", "7\", \"8"]), None, None),
            (scope(&[]), None, None),
        ] {
            assert_eq!(name(1, &scope).await.as_deref(), of_both, "{scope:?}");
            assert_eq!(name(2, &scope).await.as_deref(), of_8, "{scope:?}");
            assert_eq!(name(3, &scope).await, None, "{scope:?}");
        }
    })
    .await;
}
