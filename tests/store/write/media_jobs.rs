use std::sync::Arc;
use std::time::Duration;

use buzon::domain::access::scope::Scope;
use buzon::domain::instance::InstanceId;
use buzon::domain::media::object_key::ObjectKey;
use buzon::domain::media::{AttemptOutcome, LeasedJob, MediaState, Settlement, StoredFile};
use buzon::domain::page::{Paging, SortKey, SortOrder};
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{JobClaim, JobFilter, MediaFilter, Store};
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{ack, event, received};

const JOBS: &str = "SELECT source_url, state, reason, attempts, next_attempt_at FROM media ORDER BY source_url";
/// Lists the jobs that nobody holds, by their columns.
const FREE: &str = "SELECT message_id FROM media WHERE lease_until IS NULL ORDER BY message_id";

fn with_media(url: &str) -> Value {
    json!({"type": "image", "body": "", "media_url": url})
}

/// Records messages with these ids, each with a file of that name.
async fn messages(store: &Arc<dyn Store>, ids: &[&str]) {
    let events: Vec<_> =
        ids.iter().map(|id| event("7", received(id, with_media(&format!("/{id}.jpg"))), ARRIVAL)).collect();
    record(store, &events).await;
}

/// Returns the paging of a list's first page.
fn first(limit: u32) -> Paging<SortKey> {
    Paging { order: SortOrder::NewestFirst, limit, cursor: None, since: None, until: None }
}

fn wanted(now: Timestamp, limit: u32) -> JobClaim {
    JobClaim {
        now,
        lease_until: now + Duration::from_secs(30),
        lease_absurd_after: now + Duration::from_secs(300),
        attempt_absurd_after: now + Duration::from_secs(36_000),
        limit,
        busy_hosts: vec![],
    }
}

async fn claim(store: &Arc<dyn Store>, now: Timestamp) -> Vec<LeasedJob> {
    let mut jobs = store.claim_media(&wanted(now, 100)).await.expect("the store answers");
    jobs.sort_by(|a, b| a.lease.cmp(&b.lease));
    jobs
}

fn ids(jobs: &[LeasedJob]) -> Vec<&str> {
    jobs.iter().map(|job| job.lease.key.message_id.as_str()).collect()
}

/// Settles a job, and returns whether the outcome was written.
async fn settle(store: &Arc<dyn Store>, job: &LeasedJob, outcome: AttemptOutcome) -> bool {
    let settlement = Settlement { lease: job.lease.clone(), attempts: job.attempts, outcome };
    store.settle_media(&[settlement]).await.expect("the store answers").contains(&job.lease)
}

fn file(content: u8, size: u64) -> StoredFile {
    StoredFile {
        object_key: ObjectKey::of_digest([content; 32]),
        size,
        content_type: "image/jpeg".to_owned(),
        file_name: Some("menú.jpg".to_owned()),
    }
}

fn stored(content: u8, size: u64) -> AttemptOutcome {
    AttemptOutcome::Stored { file: file(content, size), at: later(2_000) }
}

#[test]
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

#[test]
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

#[test]
async fn a_job_is_as_old_as_the_earliest_copy_with_its_url_in_whatever_order_they_come() {
    on_both(async |world| {
        let store = world.open().await;
        let copy = |id: &str, second: i64| {
            received(id, json!({"type": "image", "media_url": "/a.jpg", "timestamp": 1_724_716_800 + second}))
        };
        for second in [7, 3, 5] {
            record(&store, &[event("7", copy("one by one", second), later(second))]).await;
        }
        let together = [7, 3, 5].map(|second| event("7", copy("together", second), later(9 - second)));
        record(&store, &together).await;
        let jobs = world.rows("SELECT message_id, occurred_at FROM media ORDER BY message_id").await;
        assert_eq!(jobs, ["one by one|2024-08-27T00:00:03.000Z", "together|2024-08-27T00:00:03.000Z"]);
    })
    .await;
}

#[test]
async fn an_exact_repeat_makes_a_job_due_now_unless_it_is_stored() {
    on_both(async |world| {
        let store = world.open().await;
        let body = |n: usize| received(&n.to_string(), with_media(&format!("/{n}.jpg")));
        let states = ["pending", "expired", "failed", "refused", "too_large", "stored"];
        for (n, state) in states.iter().enumerate() {
            record(&store, &[event("7", body(n), ARRIVAL)]).await;
            let job = format!(
                "UPDATE media SET state = '{state}', reason = 'gone', attempts = 5, denials = 3
                 WHERE message_id = '{n}'"
            );
            world.execute(&job).await;
        }
        let repeats: Vec<_> = (0..states.len()).map(|n| event("7", body(n), later(60))).collect();
        record(&store, &repeats).await;
        let due = "pending|NULL|0|2024-08-27T00:06:40.064Z";
        let mut expected: Vec<_> = (0..5).map(|n| format!("/{n}.jpg|{due}")).collect();
        expected.push("/5.jpg|stored|gone|5|2024-08-27T00:06:40.004Z".to_owned());
        assert_eq!(world.rows(JOBS).await, expected);
        assert_eq!(world.value("SELECT sum(denials) FROM media").await, "3");
    })
    .await;
}

#[test]
async fn a_job_is_held_by_one_worker_at_a_time() {
    on_both(async |world| {
        let store = world.open().await;
        let names: Vec<String> = (0..40).map(|n| format!("{n:02}")).collect();
        messages(&store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let claims = (0..8).map(|_| async {
            let claim = wanted(later(1), 7);
            store.claim_media(&claim).await.unwrap_or_default()
        });
        let mut held: Vec<LeasedJob> = futures_util::future::join_all(claims).await.into_iter().flatten().collect();
        held.extend(claim(&store, later(1)).await);
        let mut ids = ids(&held);
        ids.sort();
        assert_eq!(ids, names);
        assert_eq!(claim(&store, later(1)).await, []);
    })
    .await;
}

#[test]
async fn two_servers_on_one_database_never_hold_the_same_job() {
    let world = crate::support::database::world::World::new(crate::support::database::world::Backend::Postgres).await;
    let (first, second) = (world.open().await, world.open().await);
    for round in 0..20 {
        let names: Vec<String> = (0..10).map(|n| format!("{round}-{n}")).collect();
        messages(&first, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let now = later(1);
        let (a, b) = tokio::join!(claim(&first, now), claim(&second, now));
        let rest = claim(&first, now).await;
        let mut held = [ids(&a), ids(&b), ids(&rest)].concat();
        held.sort();
        assert_eq!(held, names, "{a:?} {b:?}");
    }
}

#[test]
async fn the_oldest_messages_come_first_and_busy_hosts_and_jobs_that_are_not_due_not_at_all() {
    on_both(async |world| {
        let store = world.open().await;
        let message = |id: &str, url: &str, timestamp: i64| {
            let fields = json!({"type": "image", "media_url": url, "timestamp": timestamp});
            event("7", received(id, fields), ARRIVAL)
        };
        let events = [
            message("newest", "https://gw.example.com/1", 1_724_716_803),
            message("oldest", "https://gw.example.com/2", 1_724_716_801),
            message("middle", "https://GW.example.com:8443/3", 1_724_716_802),
            message("other", "https://other.example.com/4", 1_724_716_809),
            message("relative", "/5", 1_724_716_808),
        ];
        record(&store, &events).await;
        assert_eq!(claim(&store, later(-1)).await, []);
        let first = store.claim_media(&wanted(ARRIVAL, 2)).await.expect("the store answers");
        let mut first_ids = ids(&first);
        first_ids.sort();
        assert_eq!(first_ids, ["middle", "oldest"]);
        let busy = JobClaim { busy_hosts: vec!["gw.example.com".to_owned()], ..wanted(ARRIVAL, 100) };
        let mut others = store.claim_media(&busy).await.expect("the store answers");
        others.sort_by(|a, b| a.lease.cmp(&b.lease));
        assert_eq!(ids(&others), ["other", "relative"]);
        let relative = JobClaim { busy_hosts: vec![String::new()], ..wanted(ARRIVAL, 100) };
        assert_eq!(ids(&store.claim_media(&relative).await.expect("the store answers")), ["newest"]);
    })
    .await;
}

#[test]
async fn a_lease_that_ran_out_is_worth_nothing_once_another_has_the_job() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A"]).await;
        let frozen = claim(&store, later(0)).await.remove(0);
        assert_eq!((frozen.attempts, frozen.lease.token), (1, 1));
        assert_eq!(claim(&store, later(29_999)).await, []);
        let successor = claim(&store, later(30_000)).await.remove(0);
        assert_eq!((successor.attempts, successor.lease.token), (2, 2));
        let leases = [frozen.lease.clone(), successor.lease.clone()];
        let held = store.renew_media(&leases, later(90_000)).await.expect("the store answers");
        assert_eq!(held, [successor.lease.clone()].into());
        assert_eq!(claim(&store, later(89_999)).await, []);
        assert!(!settle(&store, &frozen, stored(1, 10)).await);
        assert!(settle(&store, &successor, stored(2, 20)).await);
        assert!(!settle(&store, &successor, stored(3, 30)).await);
        assert_eq!(world.value("SELECT size FROM media").await, "20");
    })
    .await;
}

#[test]
async fn a_lease_that_ran_out_unnoticed_is_still_good() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A"]).await;
        let job = claim(&store, later(0)).await.remove(0);
        let held = store.renew_media(std::slice::from_ref(&job.lease), later(200_000)).await;
        assert!(held.expect("the store answers").contains(&job.lease));
        assert!(settle(&store, &job, stored(1, 10)).await);
    })
    .await;
}

#[test]
async fn every_end_of_an_attempt_is_written_and_gives_up_the_lease() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["again", "denied", "ended", "released", "stored"]).await;
        let jobs = claim(&store, ARRIVAL).await;
        let again = |denied| AttemptOutcome::Retry { at: later(5_000), reason: "away".to_owned(), denied };
        let outcomes = [
            again(false),
            again(true),
            AttemptOutcome::GivenUp { state: MediaState::TooLarge, reason: "huge".to_owned() },
            AttemptOutcome::Released,
            stored(0xab, 70_011),
        ];
        let settlements = jobs.iter().zip(outcomes);
        let settlements: Vec<_> = settlements
            .map(|(job, outcome)| Settlement { lease: job.lease.clone(), attempts: job.attempts, outcome })
            .collect();
        assert_eq!(store.settle_media(&settlements).await.expect("the store answers").len(), 5);
        let query = "SELECT message_id, state, reason, attempts, denials, next_attempt_at, object_key, size,
                            content_type, file_name, stored_at
                     FROM media ORDER BY message_id";
        let key = "ab".repeat(32);
        let expected = [
            "again|pending|away|1|0|2024-08-27T00:06:45.004Z|NULL|NULL|NULL|NULL|NULL",
            "denied|pending|away|1|1|2024-08-27T00:06:45.004Z|NULL|NULL|NULL|NULL|NULL",
            "ended|too_large|huge|1|0|2024-08-27T00:06:40.004Z|NULL|NULL|NULL|NULL|NULL",
            "released|pending|NULL|0|0|2024-08-27T00:06:40.004Z|NULL|NULL|NULL|NULL|NULL",
            &format!(
                "stored|stored|NULL|1|0|2024-08-27T00:06:40.004Z|{key}|70011|image/jpeg|menú.jpg|\
                 2024-08-27T00:06:42.004Z"
            ),
        ];
        assert_eq!(world.rows(query).await, expected);
        assert_eq!(world.rows(FREE).await.len(), 5);
        assert_eq!(store.next_media_due(ARRIVAL).await.expect("the store answers"), Some(later(5_000)));
        assert_eq!(store.next_media_due(later(5_000)).await.expect("the store answers"), None);
        assert_eq!(ids(&claim(&store, later(4_999)).await), ["released"]);
        assert_eq!(ids(&claim(&store, later(5_000)).await), ["again", "denied"]);
    })
    .await;
}

#[test]
async fn a_repeat_while_a_worker_has_the_job_leaves_it_with_the_worker() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A"]).await;
        let job = claim(&store, ARRIVAL).await.remove(0);
        messages(&store, &["A"]).await;
        assert_eq!(claim(&store, later(1)).await, []);
        assert!(settle(&store, &job, stored(1, 10)).await);
    })
    .await;
}

#[test]
async fn what_was_known_of_a_job_stays_known_when_it_is_given_back_or_postponed() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A"]).await;
        let row = "SELECT state, reason, attempts, denials, next_attempt_at FROM media";
        let job = claim(&store, ARRIVAL).await.remove(0);
        let again = AttemptOutcome::Retry { at: later(1_000), reason: "away".to_owned(), denied: true };
        assert!(settle(&store, &job, again).await);
        let job = claim(&store, later(1_000)).await.remove(0);
        assert!(settle(&store, &job, AttemptOutcome::Released).await);
        assert_eq!(world.value(row).await, "pending|away|1|1|2024-08-27T00:06:41.004Z");
        let job = claim(&store, later(1_000)).await.remove(0);
        let postponed = AttemptOutcome::Postponed { at: later(60_000), reason: "no room".to_owned() };
        assert!(settle(&store, &job, postponed).await);
        assert_eq!(world.value(row).await, "pending|no room|1|1|2024-08-27T00:07:40.004Z");
    })
    .await;
}

/// The file may have come back since the attempt began.
#[test]
async fn a_repeat_while_a_worker_has_the_job_is_not_lost_when_the_attempt_fails() {
    on_both(async |world| {
        let store = world.open().await;
        let ended = AttemptOutcome::GivenUp { state: MediaState::Expired, reason: "gone".to_owned() };
        let again = AttemptOutcome::Retry { at: later(600_000), reason: "away".to_owned(), denied: true };
        for outcome in [ended, again, AttemptOutcome::Released] {
            world.execute("DELETE FROM media").await;
            world.execute("DELETE FROM events").await;
            messages(&store, &["A"]).await;
            let job = claim(&store, ARRIVAL).await.remove(0);
            messages(&store, &["A"]).await;
            assert!(settle(&store, &job, outcome).await);
            let row =
                world.value("SELECT state, reason, attempts, denials, next_attempt_at, lease_until FROM media").await;
            assert_eq!(row, "pending|NULL|0|0|2024-08-27T00:06:40.004Z|NULL");
            assert!(!settle(&store, &job, AttemptOutcome::Released).await);
            assert_eq!(claim(&store, ARRIVAL).await.len(), 1);
        }
        assert_eq!(
            store
                .list_media(&Scope::All, &MediaFilter::default(), &first(10))
                .await
                .expect("the store answers")
                .rows
                .len(),
            1
        );
    })
    .await;
}

#[test]
async fn a_lease_from_a_clock_that_was_wrong_counts_for_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A"]).await;
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        assert_eq!(claim(&store, ARRIVAL + year).await.len(), 1);
        assert_eq!(claim(&store, ARRIVAL).await.len(), 1);
        assert_eq!(claim(&store, ARRIVAL).await, []);
    })
    .await;
}

#[test]
async fn a_next_attempt_that_a_wrong_clock_appointed_is_due_now_and_one_in_some_hours_is_not() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["hours", "month"]).await;
        let jobs = claim(&store, ARRIVAL).await;
        for (job, hours) in jobs.iter().zip([10, 30 * 24]) {
            let at = ARRIVAL + Duration::from_secs(hours * 3_600);
            assert!(settle(&store, job, AttemptOutcome::Retry { at, reason: "away".to_owned(), denied: false }).await);
        }
        assert_eq!(ids(&claim(&store, ARRIVAL).await), ["month"]);
    })
    .await;
}

#[test]
async fn the_next_thing_to_happen_is_a_job_that_is_due_or_a_lease_that_ends() {
    on_both(async |world| {
        let store = world.open().await;
        let next = async |now| store.next_media_due(now).await.expect("the store answers");
        assert_eq!(next(ARRIVAL).await, None);
        messages(&store, &["A", "B"]).await;
        assert_eq!(next(later(-1)).await, Some(ARRIVAL));
        let jobs = claim(&store, ARRIVAL).await;
        assert_eq!(next(ARRIVAL).await, Some(later(30_000)));
        assert!(settle(&store, &jobs[0], stored(1, 10)).await);
        let again = AttemptOutcome::Retry { at: later(5_000), reason: "away".to_owned(), denied: false };
        assert!(settle(&store, &jobs[1], again).await);
        assert_eq!(next(ARRIVAL).await, Some(later(5_000)));
        assert_eq!(next(later(5_000)).await, None);
    })
    .await;
}

#[test]
async fn a_person_sees_the_jobs_and_puts_chosen_ones_back() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A", "B", "C"]).await;
        record(&store, &[event("8", received("A", with_media("/8.jpg")), ARRIVAL)]).await;
        let jobs = claim(&store, ARRIVAL).await;
        assert_eq!(ids(&jobs), ["A", "B", "C", "A"]);
        assert!(settle(&store, &jobs[0], stored(1, 10)).await);
        for job in &jobs[1..] {
            let outcome = AttemptOutcome::GivenUp { state: MediaState::Expired, reason: "gone".to_owned() };
            assert!(settle(&store, job, outcome).await);
        }
        let counts = store.count_media().await.expect("the store answers");
        let counts: Vec<_> = counts.into_iter().map(|jobs| (jobs.state, jobs.count)).collect();
        assert_eq!(counts, [(MediaState::Expired, 3), (MediaState::Stored, 1)]);
        let list = async |filter: &JobFilter, limit| {
            let filter =
                MediaFilter { state: filter.state, message_id: filter.message_id.clone(), ..MediaFilter::default() };
            let jobs = store.list_media(&Scope::All, &filter, &first(limit)).await.expect("the store answers");
            jobs.rows.iter().map(|job| format!("{}/{}", job.instance_id, job.message_id)).collect::<Vec<_>>()
        };
        let expired = JobFilter { state: Some(MediaState::Expired), ..JobFilter::default() };
        let of_a = JobFilter { message_id: Some("A".to_owned()), ..JobFilter::default() };
        assert_eq!(list(&JobFilter::default(), 10).await, ["8/A", "7/C", "7/B", "7/A"]);
        assert_eq!(list(&JobFilter::default(), 2).await, ["8/A", "7/C"]);
        assert_eq!(list(&expired, 10).await, ["8/A", "7/C", "7/B"]);
        assert_eq!(list(&of_a, 10).await, ["8/A", "7/A"]);
        let retry = async |filter: JobFilter| store.retry_media(&filter, later(9)).await.expect("the store answers");
        assert_eq!(retry(JobFilter { instance_id: Some("8".to_owned()), ..of_a }).await, 1);
        assert_eq!(ids(&claim(&store, later(9)).await), ["A"]);
        assert_eq!(retry(expired).await, 2);
        assert_eq!(retry(JobFilter::default()).await, 3);
        assert_eq!(ids(&claim(&store, later(9)).await), ["B", "C"]);
        assert_eq!(world.value("SELECT state FROM media WHERE message_id = 'A' AND instance_id = '7'").await, "stored");
    })
    .await;
}

#[test]
async fn a_stored_file_is_found_by_its_hash_and_by_its_message() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A", "B"]).await;
        record(&store, &[event("7", received("A", with_media("/newer.jpg")), later(1))]).await;
        let jobs = claim(&store, later(1)).await;
        let of_a: Vec<_> = jobs.iter().filter(|job| job.lease.key.message_id == "A").collect();
        assert!(
            settle(&store, of_a[0], AttemptOutcome::GivenUp { state: MediaState::Expired, reason: "gone".to_owned() })
                .await
        );
        let seven = InstanceId::new("7").expect("it is an id");
        let found = async |id: &str| store.media_of_message(&seven, id).await.expect("the store answers");
        assert_eq!(found("A").await.iter().filter(|job| job.file.is_some()).count(), 0);
        assert!(settle(&store, of_a[1], stored(1, 10)).await);
        let files: Vec<_> = found("A").await.into_iter().map(|job| job.file).collect();
        assert_eq!(files, [Some(file(1, 10)), None]);
        assert!(found("C").await.is_empty());
        let by_hash = async |content| {
            let key = ObjectKey::of_digest([content; 32]);
            store.stored_file(&key, &Scope::All).await.expect("the store answers")
        };
        assert_eq!(by_hash(1).await, Some(file(1, 10)));
        assert_eq!(by_hash(2).await, None);
    })
    .await;
}

#[test]
async fn a_stored_file_stays_until_another_one_is_stored_in_its_place() {
    on_both(async |world| {
        let store = world.open().await;
        messages(&store, &["A", "B"]).await;
        let row = async |id: &str| {
            let query = "SELECT state, reason, size, content_type, file_name FROM media WHERE message_id = ";
            world.value(&format!("{query}'{id}'")).await
        };
        let first = claim(&store, ARRIVAL).await;
        assert_eq!(first[0].kind.as_deref(), Some("image"));
        assert!(first.iter().all(|job| !job.has_file));
        assert!(settle(&store, &first[0], stored(1, 10)).await);
        let gone = |state| AttemptOutcome::GivenUp { state, reason: "gone".to_owned() };
        assert!(settle(&store, &first[1], gone(MediaState::Expired)).await);
        let again = JobFilter { stored: true, ..JobFilter::default() };
        let retry = async || store.retry_media(&again, later(9)).await.expect("the store answers");
        assert_eq!(retry().await, 1, "the other one is not stored");
        assert_eq!(row("A").await, "pending|NULL|10|image/jpeg|menú.jpg");
        let job = claim(&store, later(9)).await.remove(0);
        assert!(job.has_file);
        let orphans = async |content: u8| {
            let key = ObjectKey::of_digest([content; 32]);
            store.objects_without_row(&[key]).await.expect("the store answers").len()
        };
        assert_eq!(orphans(1).await, 0, "it is not swept meanwhile");
        let wait = AttemptOutcome::Retry { at: later(10), reason: "503".to_owned(), denied: false };
        assert!(settle(&store, &job, wait).await);
        assert_eq!(row("A").await, "pending|503|10|image/jpeg|menú.jpg");
        let job = claim(&store, later(10)).await.remove(0);
        assert!(settle(&store, &job, gone(MediaState::Stored)).await);
        assert_eq!(row("A").await, "stored|gone|10|image/jpeg|menú.jpg");
        assert_eq!(retry().await, 1);
        let job = claim(&store, later(10)).await.remove(0);
        let unnamed = StoredFile { file_name: None, ..file(2, 20) };
        assert!(settle(&store, &job, AttemptOutcome::Stored { file: unnamed, at: later(11) }).await);
        assert_eq!(row("A").await, "stored|NULL|20|image/jpeg|NULL");
        assert_eq!((orphans(1).await, orphans(2).await), (1, 0));
    })
    .await;
}

#[test]
async fn the_copies_of_a_message_are_read_one_after_the_other() {
    on_both(async |world| {
        let store = world.open().await;
        let copies = ["a", "b"].map(|text| received("A", json!({"body": text})));
        record(&store, &copies.clone().map(|copy| event("7", copy, ARRIVAL))).await;
        record(&store, &[event("8", &copies[0], ARRIVAL), event("7", received("B", json!({})), ARRIVAL)]).await;
        record(&store, &[event("7", ack("A", "read"), ARRIVAL)]).await;
        let seven = InstanceId::new("7").expect("it is an id");
        let (mut after, mut found) = (0, Vec::new());
        while let Some((seq, body)) = store.copy_after(&seven, "A", after).await.expect("the store answers") {
            found.push(body);
            after = seq;
        }
        assert_eq!(found, copies);
    })
    .await;
}
