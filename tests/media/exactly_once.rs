//! R14: a job ends exactly once, wherever its worker dies, freezes or is overtaken. Each step is held from outside, by
//! the gateway, by the bucket, or by a lock in the database; the program knows nothing of the test.

use rustix::process::Signal;
use serde_json::json;

use super::{JPEG, all_end, key};
use crate::support::database::blocker::Blocker;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::gate::Gate;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::s3::{Operation, S3Server};
use crate::support::{borrowed, eventually};

/// Makes every lease expire now, as if its time had passed.
pub const LEASES_END: &str = "UPDATE media SET lease_until = '2024-01-01T00:00:00.000Z' WHERE lease_until IS NOT NULL";

/// A gateway, a bucket, and the settings for both.
struct Setting {
    gateway: FileServer,
    s3: S3Server,
    settings: Vec<(&'static str, String)>,
}

impl Setting {
    async fn new() -> Self {
        let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
        let mut settings = s3.settings();
        settings.push(("BUZON_GATEWAY_URL", gateway.url("")));
        settings.push(("BUZON_WEBHOOK_SECRET", SECRET.to_owned()));
        Self { gateway, s3, settings }
    }

    async fn serve(&self, world: &World) -> Buzon {
        Buzon::serve(world, &borrowed(&self.settings)).await
    }

    /// Returns the objects in the bucket, without its marker.
    fn objects(&self) -> Vec<String> {
        let Ok(shards) = std::fs::read_dir(self.s3.bucket().join("saved")) else { return vec![] };
        let shards = shards.map(|entry| entry.expect("it can be read").path()).filter(|path| path.is_dir());
        let objects = shards.flat_map(|shard| std::fs::read_dir(shard).expect("it can be read"));
        objects.map(|entry| entry.expect("it can be read").file_name().into_string().expect("it is text")).collect()
    }
}

async fn deliver(buzon: &Buzon, id: &str, path: &str) {
    let body = received(id, json!({"type": "image", "media_url": path}));
    assert!(!buzon.deliver(body).await.accepted());
}

/// Kills the program when `reached`, starts it again, and asserts that the job ends once.
async fn kill_and_restart(world: &World, setting: &Setting, reached: impl AsyncFnOnce(), release: impl AsyncFnOnce()) {
    let buzon = setting.serve(world).await;
    deliver(&buzon, "A", "/a.jpg").await;
    reached().await;
    buzon.kill().await;
    release().await;
    setting.gateway.reply("/a.jpg", Reply::file(JPEG));
    world.execute(LEASES_END).await;
    let buzon = setting.serve(world).await;
    all_end(world).await;
    let hash = key(JPEG);
    assert_eq!(world.value("SELECT state, object_key, attempts FROM media").await, format!("stored|{hash}|2"));
    assert_eq!(setting.objects(), [hash.to_string()]);
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_before_the_answer_is_taken_over() {
    on_both(async |world| {
        let setting = Setting::new().await;
        setting.gateway.reply("/a.jpg", Reply::file(JPEG).held(&Gate::closed()));
        let asked = async || eventually("it is asked", async || setting.gateway.asked("/a.jpg") == 1).await;
        kill_and_restart(&world, &setting, asked, async || {}).await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_in_the_middle_of_a_file_is_taken_over_and_no_half_file_is_seen() {
    on_both(async |world| {
        let setting = Setting::new().await;
        setting.gateway.reply("/a.jpg", Reply::halved(JPEG, &Gate::closed()));
        let asked = async || {
            eventually("it is asked", async || setting.gateway.asked("/a.jpg") == 1).await;
            assert_eq!(setting.objects(), [""; 0]);
        };
        kill_and_restart(&world, &setting, asked, async || {}).await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_while_it_stores_is_taken_over() {
    on_both(async |world| {
        let setting = Setting::new().await;
        setting.gateway.reply("/a.jpg", Reply::file(JPEG));
        let gate = setting.s3.hold(Operation::Put, 1);
        // The first put is the bucket's marker.
        let storing = async || eventually("it is put", async || setting.s3.arrived(Operation::Put) == 2).await;
        kill_and_restart(&world, &setting, storing, async || gate.open()).await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_between_storing_and_recording_is_taken_over() {
    on_both(async |world| {
        let setting = Setting::new().await;
        let gate = Gate::closed();
        setting.gateway.reply("/a.jpg", Reply::file(JPEG).held(&gate));
        let lock = std::cell::RefCell::new(None);
        let storing = async || {
            eventually("it is asked", async || setting.gateway.asked("/a.jpg") == 1).await;
            lock.replace(Some(Blocker::new(&world, "media").await));
            gate.open();
            eventually("it is stored", async || setting.objects() == [key(JPEG).to_string()]).await;
            assert_eq!(world.value("SELECT state FROM media").await, "pending");
        };
        let release = async || lock.take().expect("it was taken").release().await;
        kill_and_restart(&world, &setting, storing, release).await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_saves_every_file_and_nothing_else() {
    on_both(async |world| {
        let setting = Setting::new().await;
        let files = 40;
        let large: Vec<u8> = (0..9_000_000u32).map(|n| (n ^ (n >> 11)) as u8).collect();
        for n in 0..files {
            let content = if n % 10 == 0 { large[n..].to_vec() } else { vec![n as u8; 5_000] };
            setting.gateway.reply(&format!("/{n}.jpg"), Reply::file(&content));
        }
        let mut buzon = setting.serve(&world).await;
        for n in 0..files {
            deliver(&buzon, &n.to_string(), &format!("/{n}.jpg")).await;
            if n % 5 == 4 {
                // The kill comes after as many answers as arrive in that moment, so several jobs are at different steps
                // each time.
                buzon.kill().await;
                world.execute(LEASES_END).await;
                buzon = setting.serve(&world).await;
            }
        }
        all_end(&world).await;
        assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, files.to_string());
        let mut rows = world.rows("SELECT object_key FROM media ORDER BY object_key").await;
        let mut objects = setting.objects();
        objects.sort();
        rows.dedup();
        assert_eq!(objects, rows);
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_past_its_lease_changes_nothing_when_it_wakes() {
    let world = World::new(Backend::Postgres).await;
    let setting = Setting::new().await;
    let gate = Gate::closed();
    setting.gateway.reply("/a.jpg", Reply::halved(b"the file as the frozen one got it", &gate));
    let frozen = setting.serve(&world).await;
    deliver(&frozen, "A", "/a.jpg").await;
    eventually("it is asked", async || setting.gateway.asked("/a.jpg") == 1).await;
    frozen.signal(Signal::STOP);
    setting.gateway.reply("/a.jpg", Reply::file(JPEG));
    world.execute(LEASES_END).await;
    let successor = setting.serve(&world).await;
    all_end(&world).await;
    let row = world.value("SELECT state, object_key, attempts, stored_at FROM media").await;
    assert!(row.starts_with(&format!("stored|{}|2|", key(JPEG))), "{row}");
    gate.open();
    frozen.signal(Signal::CONT);
    eventually("it has given up", async || Buzon::log(&world).await.contains("another worker has taken it over")).await;
    assert_eq!(world.value("SELECT state, object_key, attempts, stored_at FROM media").await, row);
    frozen.kill().await;
    successor.kill().await;
}

/// A lease expires like this after an outage of the database, or when the machine slept.
#[test(flavor = "multi_thread")]
async fn a_server_whose_own_lease_ran_out_goes_on_with_what_it_has() {
    on_both(async |world| {
        let setting = Setting::new().await;
        let gate = Gate::closed();
        setting.gateway.reply("/a.jpg", Reply::halved(JPEG, &gate));
        setting.gateway.reply("/b.jpg", Reply::file(JPEG));
        let buzon = setting.serve(&world).await;
        deliver(&buzon, "A", "/a.jpg").await;
        eventually("it is asked", async || setting.gateway.asked("/a.jpg") == 1).await;
        world.execute(LEASES_END).await;
        deliver(&buzon, "B", "/b.jpg").await;
        let claims = "SELECT lease_token FROM media WHERE message_id = 'A'";
        eventually("it is claimed again", async || world.value(claims).await == "2").await;
        gate.open();
        all_end(&world).await;
        assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "2");
        assert_eq!(setting.gateway.asked("/a.jpg"), 1);
        buzon.kill().await;
    })
    .await;
}

/// A large file is being uploaded to the bucket in parts.
#[test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_in_the_middle_of_an_upload_leaves_nothing_of_it() {
    let world = World::new(Backend::Sqlite).await;
    let setting = Setting::new().await;
    setting.gateway.reply("/a.bin", Reply::file(&vec![7; 20_000_000]));
    let gate = setting.s3.hold(Operation::UploadPart, 2);
    let mut buzon = setting.serve(&world).await;
    deliver(&buzon, "A", "/a.bin").await;
    eventually("a part is held", async || setting.s3.arrived(Operation::UploadPart) == 2).await;
    buzon.signal(Signal::TERM);
    assert!(buzon.wait().await.success());
    assert_eq!(setting.s3.answered(Operation::AbortUpload), 1);
    gate.open();
    assert_eq!(world.value("SELECT state, attempts FROM media").await, "pending|0");
}

#[test(flavor = "multi_thread")]
async fn several_servers_on_one_database_fetch_every_file_once() {
    let world = World::new(Backend::Postgres).await;
    let setting = Setting::new().await;
    let servers = [setting.serve(&world).await, setting.serve(&world).await, setting.serve(&world).await];
    for n in 0..60 {
        setting.gateway.reply(&format!("/{n}.jpg"), Reply::file(JPEG));
        deliver(&servers[n % 3], &n.to_string(), &format!("/{n}.jpg")).await;
    }
    all_end(&world).await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored' AND attempts = 1").await, "60");
    assert_eq!(setting.gateway.requests().len(), 60);
    for server in servers {
        server.kill().await;
    }
}

/// A server that stops gives its jobs back at once, for the next one.
#[test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_gives_its_jobs_back_untried() {
    on_both(async |world| {
        let setting = Setting::new().await;
        setting.gateway.reply("/a.jpg", Reply::halved(JPEG, &Gate::closed()));
        let mut buzon = setting.serve(&world).await;
        deliver(&buzon, "A", "/a.jpg").await;
        eventually("it is asked", async || setting.gateway.asked("/a.jpg") == 1).await;
        buzon.signal(Signal::TERM);
        assert!(buzon.wait().await.success());
        assert_eq!(world.value("SELECT state, attempts, lease_until FROM media").await, "pending|0|NULL");
        setting.gateway.reply("/a.jpg", Reply::file(JPEG));
        let buzon = setting.serve(&world).await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state, attempts FROM media").await, "stored|1");
        buzon.kill().await;
    })
    .await;
}
