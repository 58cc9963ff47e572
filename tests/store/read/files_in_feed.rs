//! The feed also reports the outcome of files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buzon::domain::access::scope::Scope;
use buzon::domain::media::object_key::ObjectKey;
use buzon::domain::media::{AttemptOutcome, LeasedJob, MediaState, Settlement, StoredFile};
use buzon::store::{FeedFilter, FeedItem, JobClaim, JobFilter, Store, StoreError};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::feed::{everything, feed, id, numbers, of, shown, walk};
use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{ack, event, received, sent};

/// Records messages of an instance, each with a file.
async fn with_files(store: &Arc<dyn Store>, instance: &str, ids: &[&str]) {
    let message = |id: &&str| event(instance, received(id, json!({"media_url": format!("/{id}.jpg")})), ARRIVAL);
    record(store, &ids.iter().map(message).collect::<Vec<_>>()).await;
}

/// Claims the jobs that are due, in the order of their messages' ids.
async fn claim(store: &Arc<dyn Store>, limit: u32) -> Vec<LeasedJob> {
    let now = later(1);
    let hours = Duration::from_secs(36_000);
    let claim = JobClaim {
        now,
        lease_until: now + Duration::from_secs(30),
        lease_absurd_after: now + hours,
        attempt_absurd_after: now + hours,
        limit,
        busy_hosts: vec![],
    };
    let mut jobs = loop {
        match store.claim_media(&claim).await {
            Err(StoreError::Contended { .. }) => {}
            jobs => break jobs.expect("the store answers"),
        }
    };
    jobs.sort_by(|a, b| a.lease.key.message_id.cmp(&b.lease.key.message_id));
    jobs
}

fn stored() -> AttemptOutcome {
    let (object_key, content_type) = (ObjectKey::of_digest([7; 32]), "image/jpeg".to_owned());
    AttemptOutcome::Stored { file: StoredFile { object_key, size: 9, content_type, file_name: None }, at: later(2_000) }
}

fn ended(state: MediaState) -> AttemptOutcome {
    AttemptOutcome::GivenUp { state, reason: "it is so".to_owned() }
}

/// Settles these jobs at once.
async fn settle(store: &Arc<dyn Store>, outcomes: Vec<(&LeasedJob, AttemptOutcome)>) {
    let settlement = |(job, outcome): (&LeasedJob, AttemptOutcome)| Settlement {
        lease: job.lease.clone(),
        attempts: job.attempts,
        outcome,
    };
    let settlements: Vec<_> = outcomes.into_iter().map(settlement).collect();
    loop {
        match store.settle_media(&settlements).await {
            Err(StoreError::Contended { .. }) => {}
            settled => return assert_eq!(settled.expect("the store answers").len(), settlements.len()),
        }
    }
}

#[test]
async fn a_file_is_in_the_feed_when_its_job_has_ended_and_for_its_own_readers_alone() {
    on_both(async |world| {
        let store = world.open().await;
        with_files(&store, "7", &["A", "B", "C", "D"]).await;
        with_files(&store, "8", &["E"]).await;
        let jobs = claim(&store, 9).await;
        let again = AttemptOutcome::Retry { at: later(9_000), reason: "away".to_owned(), denied: false };
        let outcomes = vec![
            (&jobs[0], stored()),
            (&jobs[1], ended(MediaState::Expired)),
            (&jobs[2], again),
            (&jobs[3], AttemptOutcome::Released),
            (&jobs[4], ended(MediaState::TooLarge)),
        ];
        settle(&store, outcomes).await;
        record(&store, &[event("-", ack("A", "read"), ARRIVAL)]).await;
        let of_seven = ["file of 7/A: stored", "file of 7/B: expired"];
        for limit in [1, 2, 100] {
            let all = walk(&store, &Scope::All, &everything(), limit).await;
            assert_eq!(all[..5].iter().filter(|item| item.contains("message_received")).count(), 5, "{all:?}");
            assert_eq!(all[5..], [of_seven[0], of_seven[1], "file of 8/E: too_large", "-/ack_update: -/A"]);
            let seven = walk(&store, &of(&["7", "9"]), &everything(), limit).await;
            assert_eq!(seven[4..], of_seven);
            let files = FeedFilter { event_types: vec![FeedFilter::FILES.to_owned()], ..everything() };
            assert_eq!(walk(&store, &of(&["7"]), &files, limit).await, of_seven);
            let only_eight = FeedFilter { instances: [id("8")].into(), ..files };
            assert_eq!(walk(&store, &Scope::All, &only_eight, limit).await, ["file of 8/E: too_large"]);
            assert_eq!(walk(&store, &of(&["7"]), &only_eight, limit).await, [""; 0]);
            let acks = FeedFilter { event_types: vec!["ack_update".to_owned()], ..everything() };
            assert_eq!(walk(&store, &Scope::All, &acks, limit).await, ["-/ack_update: -/A"]);
        }
        let FeedItem::File(file) = &feed(&store, &of(&["7"]), &everything(), 6, 1).await.items[0] else {
            panic!("it is the second file")
        };
        assert_eq!((file.seq, file.reason.as_deref()), (7, Some("it is so")));
    })
    .await;
}

/// A reader that saw the first outcome is told of the second, and a later reader sees the second alone.
#[test]
async fn a_file_that_is_asked_for_again_leaves_the_feed_until_it_ends_again() {
    on_both(async |world| {
        let store = world.open().await;
        with_files(&store, "7", &["A", "B", "C"]).await;
        let jobs = claim(&store, 9).await;
        settle(
            &store,
            vec![(&jobs[0], ended(MediaState::Failed)), (&jobs[1], ended(MediaState::Refused)), (&jobs[2], stored())],
        )
        .await;
        let files = FeedFilter { event_types: vec![FeedFilter::FILES.to_owned()], ..everything() };
        let first = feed(&store, &Scope::All, &files, 0, 9).await;
        assert_eq!(first.items.iter().map(FeedItem::seq).collect::<Vec<_>>(), [4, 5, 6]);
        // A job is made due again by a repeat of the event, and by a person.
        with_files(&store, "7", &["A", "C"]).await;
        let filter = JobFilter { message_id: Some("B".to_owned()), ..JobFilter::default() };
        assert_eq!(store.retry_media(&filter, ARRIVAL).await.expect("the store answers"), 1);
        assert_eq!(walk(&store, &Scope::All, &files, 9).await, ["file of 7/C: stored"]);
        let jobs = claim(&store, 9).await;
        settle(&store, vec![(&jobs[0], stored()), (&jobs[1], stored())]).await;
        let expected = ["file of 7/C: stored", "file of 7/A: stored", "file of 7/B: stored"];
        assert_eq!(walk(&store, &Scope::All, &files, 9).await, expected);
        let news = feed(&store, &Scope::All, &files, first.next_since, 9).await;
        assert_eq!(news.items.iter().map(shown).collect::<Vec<_>>(), expected[1..]);
    })
    .await;
}

/// One process records, two settle. A reader sees each file once, however the three interleave.
#[test(flavor = "multi_thread")]
async fn a_walk_beside_writers_of_events_and_of_files_misses_no_file() {
    const FILES: usize = 90;
    let world = World::new(Backend::Postgres).await;
    let stores = [world.open().await, world.open().await, world.open().await];
    for batch in 0..FILES / 30 {
        let ids: Vec<String> = (0..30).map(|n| format!("{batch}-{n}")).collect();
        with_files(&stores[0], "7", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let ended = Arc::new(AtomicBool::new(false));
    let recorder = tokio::spawn({
        let (store, ended) = (stores[0].clone(), ended.clone());
        async move {
            let mut n = 0;
            while !ended.load(Ordering::Acquire) {
                record(&store, &[event("7", sent(&format!("S{n}"), json!({})), ARRIVAL)]).await;
                n += 1;
            }
        }
    });
    let settlers = stores[1..].iter().cloned().map(|store| {
        tokio::spawn(async move {
            loop {
                let jobs = claim(&store, 3).await;
                if jobs.is_empty() {
                    return;
                }
                settle(&store, jobs.iter().map(|job| (job, stored())).collect()).await;
            }
        })
    });
    let settlers: Vec<_> = settlers.collect();
    let follower = tokio::spawn({
        let (store, ended) = (stores[0].clone(), ended.clone());
        async move {
            let (mut seen, mut since) = (Vec::new(), 0);
            loop {
                let last = ended.load(Ordering::Acquire);
                let feed = feed(&store, &of(&["7"]), &everything(), since, 7).await;
                since = feed.next_since;
                seen.extend(feed.items.iter().filter(|it| matches!(it, FeedItem::File(_))).map(FeedItem::seq));
                if last && !feed.more {
                    return seen;
                }
            }
        }
    });
    for settler in settlers {
        settler.await.expect("it does not panic");
    }
    ended.store(true, Ordering::Release);
    recorder.await.expect("it does not panic");
    let seen = follower.await.expect("it does not panic");
    assert_eq!(seen, numbers(&world, "SELECT settled_seq FROM media ORDER BY 1").await);
    assert_eq!(seen.len(), FILES);
}

/// Another session is changing the job, and takes as long as it likes.
#[test]
async fn events_do_not_wait_for_a_file_that_cannot_be_settled_yet() {
    let world = World::new(Backend::Postgres).await;
    let store = world.open().await;
    with_files(&store, "7", &["A"]).await;
    let jobs = claim(&store, 1).await;
    let mut other = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
    other.execute("BEGIN; UPDATE media SET reason = 'changing'").await.expect("it can be changed");
    let settlement = Settlement { lease: jobs[0].lease.clone(), attempts: 1, outcome: stored() };
    let (settled, receipts) = tokio::join!(store.settle_media(std::slice::from_ref(&settlement)), async {
        store.record_batch(&[event("7", sent("B", json!({})), ARRIVAL)]).await
    });
    assert!(matches!(settled, Err(StoreError::Contended { .. })), "{settled:?}");
    assert_eq!(receipts.expect("it is recorded").len(), 1);
    other.execute("ROLLBACK").await.expect("it ends");
    assert_eq!(store.settle_media(&[settlement]).await.expect("the store answers").len(), 1);
}
