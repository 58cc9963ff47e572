use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use buzon::blob::{BlobLocation, Blobs, S3Options};
use buzon::domain::media::{AttemptOutcome, LeasedJob, Settlement, StoredFile};
use buzon::domain::time::timestamp::Timestamp;
use buzon::media::remove_unreferenced;
use buzon::media::sweeper::{Swept, sweep};
use buzon::platform::clock::{Clock, SystemClock};
use buzon::store::{JobClaim, Store};
use serde_json::json;

use super::{JPEG, all_end, deliver, files, key, service};
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::run;
use crate::support::s3::S3Server;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sets the modification time of a file to this long ago.
fn age(path: &Path, by: Duration) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_millis(SystemClock.now().millis() as u64) - by;
    File::options().write(true).open(path).and_then(|file| file.set_modified(long_ago)).expect("it is ours");
}

/// A store of files, and the folder that holds its objects.
struct Place {
    blobs: Blobs,
    root: PathBuf,
    _server: Option<S3Server>,
}

impl Place {
    async fn both(world: &World) -> [Self; 2] {
        let root = world.folder.path().join("media");
        let folder = BlobLocation::Folder(root.clone());
        let folder = Blobs::open(&folder, &S3Options::default()).expect("the folder can be made");
        let server = S3Server::start().await;
        let bucket = Blobs::open(&server.location("saved"), &server.options()).expect("the settings are right");
        let saved = server.bucket().join("saved");
        [Self { blobs: folder, root, _server: None }, Self { blobs: bucket, root: saved, _server: Some(server) }]
    }

    async fn put(&self, content: &[u8], old: Duration) {
        let mut file = tempfile::tempfile().expect("there is a temporary folder");
        std::io::Write::write_all(&mut file, content).expect("it can be written");
        self.blobs.put(&key(content), Arc::new(file), content.len() as u64).await.expect("it is stored");
        age(&self.path(content), old);
    }

    fn path(&self, content: &[u8]) -> PathBuf {
        let key = key(content);
        self.root.join(&key.as_str()[..2]).join(key.as_str())
    }

    fn has(&self, content: &[u8]) -> bool {
        self.path(content).exists()
    }

    /// Runs the first sweep, which marks the files as the database's.
    async fn mark(&self, store: &Arc<dyn Store>) {
        assert_eq!(self.sweep(store).await, Swept::default());
    }

    async fn sweep(&self, store: &Arc<dyn Store>) -> Swept {
        sweep(&**store, &self.blobs, &SystemClock).await.expect("all answer")
    }
}

#[test(flavor = "multi_thread")]
async fn an_object_without_a_row_is_removed_when_it_is_a_week_old() {
    on_both(async |world| {
        let store = world.open().await;
        for place in Place::both(&world).await {
            place.put(b"old", 7 * DAY + Duration::from_secs(1)).await;
            place.put(b"young", 7 * DAY - Duration::from_secs(60)).await;
            place.mark(&store).await;
            assert_eq!(place.sweep(&store).await, Swept { orphans: 1, ..Swept::default() });
            assert!(!place.has(b"old") && place.has(b"young"));
            assert_eq!(place.sweep(&store).await, Swept::default());
        }
    })
    .await;
}

/// The first of two messages with one file is erased, and the job of the second one found the object just before.
#[test(flavor = "multi_thread")]
async fn a_job_cannot_end_with_an_object_that_was_removed_meanwhile_and_fetches_the_file_again() {
    on_both(async |world| {
        let store = world.open().await;
        let url = json!({"type": "image", "media_url": "/a.jpg"});
        record(&store, &[event("7", received("A", url), ARRIVAL)]).await;
        for place in Place::both(&world).await {
            for settles_first in [false, true] {
                place.put(JPEG, Duration::ZERO).await;
                let [job] = <[LeasedJob; 1]>::try_from(claim(&store).await).expect("there is one job");
                let file = StoredFile {
                    object_key: key(JPEG),
                    size: JPEG.len() as u64,
                    content_type: "image/jpeg".to_owned(),
                    file_name: None,
                };
                let outcome = AttemptOutcome::Stored { file, at: SystemClock.now() };
                let settlement = [Settlement { lease: job.lease.clone(), attempts: job.attempts, outcome }];
                if settles_first {
                    // It ended after the look for rows, and before the deletion.
                    place.blobs.delete(&key(JPEG)).await.expect("it is there");
                    assert_eq!(store.settle_media(&settlement).await.expect("it answers").len(), 1);
                }
                let now = SystemClock.now();
                assert!(remove_unreferenced(&*store, &place.blobs, &key(JPEG), now).await.expect("all answer"));
                assert!(!place.has(JPEG));
                assert!(store.settle_media(&settlement).await.expect("it answers").is_empty());
                let [again] = <[LeasedJob; 1]>::try_from(claim(&store).await).expect("it is due");
                assert_eq!((again.lease.key, again.attempts, again.has_file), (job.lease.key, 1, false));
                store.redo_media(&key(JPEG), SystemClock.now()).await.expect("it answers");
            }
        }
    })
    .await;
}

async fn claim(store: &Arc<dyn Store>) -> Vec<LeasedJob> {
    let now = SystemClock.now();
    let (lease_until, absurd) = (now + Duration::from_secs(30), now + DAY);
    let claim = JobClaim {
        now,
        lease_until,
        lease_absurd_after: absurd,
        attempt_absurd_after: absurd,
        limit: 10,
        busy_hosts: vec![],
    };
    store.claim_media(&claim).await.expect("it answers")
}

#[test(flavor = "multi_thread")]
async fn an_object_with_a_row_stays_however_old_it_is() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let service = service(&world, &gateway, &[]).await;
        deliver(&service, "A", "/a.jpg").await;
        all_end(&world).await;
        service.stop().await;
        let folder = BlobLocation::Folder(world.data_dir().join("media"));
        let blobs = Blobs::open(&folder, &S3Options::default()).expect("the folder is there");
        let place = Place { blobs, root: world.data_dir().join("media"), _server: None };
        age(&place.path(JPEG), 1_000 * DAY);
        let store = world.open().await;
        place.mark(&store).await;
        assert_eq!(place.sweep(&store).await, Swept::default());
        assert!(place.has(JPEG));
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn another_databases_objects_are_never_touched() {
    on_both(async |world| {
        let other = World::new(world.backend).await;
        let (store, others) = (world.open().await, other.open().await);
        for place in Place::both(&world).await {
            place.put(b"theirs", 100 * DAY).await;
            assert_eq!(place.sweep(&others).await, Swept::default());
            assert_eq!(place.sweep(&store).await, Swept { foreign: true, ..Swept::default() });
            assert!(place.has(b"theirs"));
        }
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_object_that_somebody_puts_again_is_left_to_them() {
    on_both(async |world| {
        let store = world.open().await;
        for place in Place::both(&world).await {
            place.put(JPEG, 100 * DAY).await;
            place.mark(&store).await;
            let now = SystemClock.now();
            let until = now + DAY;
            assert!(store.lock_object(&key(JPEG), now, until).await.expect("it answers"));
            assert_eq!(place.sweep(&store).await, Swept::default());
            assert!(place.has(JPEG));
            store.unlock_object(&key(JPEG), until).await.expect("it answers");
            assert_eq!(place.sweep(&store).await.orphans, 1);
        }
    })
    .await;
}

/// The machine's clock. A sweep looks at it at its beginning and before it removes an object; that second time, something
/// happens first.
struct ClockWith<F> {
    happens: F,
    looks: AtomicUsize,
}

impl<F: Fn() + Send + Sync> Clock for ClockWith<F> {
    fn now(&self) -> Timestamp {
        if self.looks.fetch_add(1, Ordering::SeqCst) == 1 {
            (self.happens)();
        }
        SystemClock.now()
    }
}

/// A job has put the object again and given its lock back, and has not recorded its end yet.
#[test(flavor = "multi_thread")]
async fn an_object_that_was_put_again_after_the_sweep_had_seen_it_stays() {
    on_both(async |world| {
        let store = world.open().await;
        for place in Place::both(&world).await {
            place.put(JPEG, 100 * DAY).await;
            place.mark(&store).await;
            let clock = ClockWith { happens: || age(&place.path(JPEG), Duration::ZERO), looks: AtomicUsize::new(0) };
            let swept = sweep(&*store, &place.blobs, &clock).await.expect("all answer");
            assert_eq!(swept, Swept::default());
            assert!(place.has(JPEG));
            assert_eq!(clock.looks.into_inner(), 2, "it was seen as an orphan");
        }
    })
    .await;
}

/// A job does not rely on an object that may soon be swept.
#[test(flavor = "multi_thread")]
async fn a_job_that_meets_an_old_object_puts_it_again_and_a_young_one_it_assumes() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let place = Place {
            blobs: Blobs::open(&BlobLocation::Folder(world.data_dir().join("media")), &S3Options::default())
                .expect("the folder can be made"),
            root: world.data_dir().join("media"),
            _server: None,
        };
        let (old, young) = (4 * DAY, 3 * DAY);
        for (path, content, by) in [("/old", b"old file", old), ("/new", b"new file", young)] {
            gateway.reply(path, Reply::file(content));
            place.put(content, by).await;
        }
        let modified = |content: &[u8; 8]| std::fs::metadata(place.path(content)).and_then(|it| it.modified()).ok();
        let (old_before, young_before) = (modified(b"old file"), modified(b"new file"));
        let service = service(&world, &gateway, &[]).await;
        deliver(&service, "A", "/old").await;
        deliver(&service, "B", "/new").await;
        all_end(&world).await;
        assert!(modified(b"old file") > old_before, "it was put again");
        assert_eq!(modified(b"new file"), young_before);
        assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "2");
        assert_eq!(world.value("SELECT count(*) FROM media_object_locks").await, "0");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_job_whose_object_is_being_removed_comes_again() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let service = service(&world, &gateway, &[]).await;
    gateway.reply("/a", Reply::file(JPEG));
    deliver(&service, "A", "/a").await;
    all_end(&world).await;
    let hash = key(JPEG);
    age(&world.data_dir().join("media").join(&hash.as_str()[..2]).join(hash.as_str()), 8 * DAY);
    // This is the state after a process died between storing the file and recording it.
    world.execute("DELETE FROM media").await;
    let lock = format!("INSERT INTO media_object_locks VALUES ('{hash}', '2999-01-01T00:00:00.000Z')");
    world.execute(&lock).await;
    deliver(&service, "B", "/a").await;
    let reason = "SELECT coalesce(reason, '') FROM media WHERE message_id = 'B'";
    eventually("it waits", async || world.value(reason).await == "an old copy of the same file is being removed").await;
    world.execute("DELETE FROM media_object_locks").await;
    all_end(&world).await;
    assert_eq!(files(&world), [hash.to_string()]);
    service.stop().await;
}

#[test]
async fn the_command_sweeps_beside_a_running_service_and_says_what_it_did() {
    on_both(async |world| {
        let buzon = crate::support::program::process::Buzon::serve(&world, &[]).await;
        let data = world.folder.path().join("data");
        let marker = data.join("media").join("buzon-database");
        eventually("the service has swept", async || marker.exists()).await;
        let left = data.join("media").join("ab").join(format!("{}#1", "ab".repeat(32)));
        std::fs::create_dir_all(left.parent().expect("it has one")).expect("it can be made");
        std::fs::write(&left, "half").expect("it can be written");
        age(&left, 2 * DAY);
        let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
        let output = run(world.folder.path(), &["media", "sweep"], &settings).await;
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "removed: temporary files 1, stored files without a message 0\n");
        assert!(!left.exists());
        std::fs::write(marker, "another").expect("it can be written");
        let output = run(world.folder.path(), &["media", "sweep"], &settings).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("another database's"), "{output:?}");
        buzon.kill().await;
    })
    .await;
}
