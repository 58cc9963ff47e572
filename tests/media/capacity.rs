use std::path::PathBuf;

use serde_json::{Value, json};

use super::{JPEG, all_end, deliver, service};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::program::service::answer;
use crate::support::program::small_disk::{serve_with_small_disk, small_disk};
use crate::support::s3::{Operation, S3Server};

#[test(flavor = "multi_thread")]
async fn a_disk_below_its_floor_stops_downloads_and_not_messages() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let service = service(&world, &gateway, &[("BUZON_MEDIA_MIN_FREE", "1000000TiB")]).await;
        deliver(&service, "A", "/a.jpg").await;
        let media = async || answer(service.get("/health/ready")).await.body["media"].clone();
        eventually("it is said", async || media().await == "low_disk").await;
        assert_eq!(answer(service.get("/health/ready")).await.status, 200);
        deliver(&service, "B", "/b.jpg").await;
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "2");
        service.stop().await;
        assert_eq!(gateway.requests(), [""; 0]);
        assert_eq!(world.value("SELECT sum(attempts) FROM media WHERE state = 'pending'").await, "0");
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_quota_that_is_reached_stops_downloads_also_after_a_restart() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let start = async |quota: &'static str| {
            let settings = [("BUZON_MEDIA_QUOTA", quota), ("BUZON_MEDIA_DOWNLOADS", "1")];
            service(&world, &gateway, &settings).await
        };
        let running = start("20").await;
        for n in 0..4 {
            gateway.reply(&format!("/{n}"), Reply::file(&[n; 15]));
            deliver(&running, &n.to_string(), &format!("/{n}")).await;
        }
        let media = async |service: &crate::support::program::service::Service| {
            answer(service.get("/health/ready")).await.body["media"].clone()
        };
        eventually("it is said", async || media(&running).await == "quota_reached").await;
        running.stop().await;
        let running = start("20").await;
        eventually("it is said again", async || media(&running).await == "quota_reached").await;
        running.stop().await;
        assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "2");
        let running = start("1KiB").await;
        all_end(&world).await;
        assert_eq!(media(&running).await, "ok");
        running.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn with_no_downloads_allowed_jobs_wait_and_it_is_said() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let service = service(&world, &gateway, &[("BUZON_MEDIA_DOWNLOADS", "0")]).await;
    deliver(&service, "A", "/a.jpg").await;
    assert_eq!(answer(service.get("/health/ready")).await.body, json!({"status": "ready", "media": "off"}));
    service.stop().await;
    assert_eq!(world.value("SELECT state, attempts FROM media").await, "pending|0");
}

/// Starts the program with its media folder on a small disk. Returns it with that disk's folder as others reach it.
async fn serve_in_little_room(world: &World, gateway: &FileServer) -> (Buzon, PathBuf) {
    let origin = gateway.url("");
    let store = format!("file://{}", small_disk(world).join("media").display());
    let settings = [
        ("BUZON_WEBHOOK_SECRET", SECRET),
        ("BUZON_GATEWAY_URL", origin.as_str()),
        ("BUZON_MEDIA_STORE", store.as_str()),
        ("BUZON_MEDIA_MIN_FREE", "0"),
    ];
    serve_with_small_disk(world, "40m", &settings).await
}

async fn announce(buzon: &Buzon, id: &str, path: &str) {
    let body = received(id, json!({"type": "image", "media_url": path}));
    assert!(!buzon.deliver(body).await.accepted());
}

/// Returns the media part of `/health/ready`.
async fn media(buzon: &Buzon) -> Value {
    let ready = crate::support::client().get(format!("http://{}/health/ready", buzon.address));
    answer(ready).await.body["media"].clone()
}

/// R7: a full disk loses nothing.
#[test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_message_and_no_file_and_heals_by_itself() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let (buzon, inside) = serve_in_little_room(&world, &gateway).await;
    std::fs::write(inside.join("filler"), vec![0; 38_000_000]).expect("there is room for it");
    gateway.reply("/small", Reply::file(&[7; 100_000]));
    announce(&buzon, "A", "/small").await;
    eventually("it is said", async || media(&buzon).await == "low_disk").await;
    announce(&buzon, "B", "/small").await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'pending' AND attempts = 0").await, "2");
    std::fs::remove_file(inside.join("filler")).expect("it was there");
    all_end(&world).await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "2");
    assert_eq!(media(&buzon).await, "ok");
    buzon.kill().await;
}

const NO_ROOM: &str = "there is no room for it on the disk";

/// One file states its length, and the other does not.
#[test(flavor = "multi_thread")]
async fn a_file_for_which_alone_there_is_no_room_waits_and_the_others_do_not() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let (buzon, inside) = serve_in_little_room(&world, &gateway).await;
    gateway.reply("/large", Reply::file(&vec![7; 60_000_000]));
    gateway.reply("/chunked", Reply::chunked(&vec![7; 60_000_000]));
    let waiting = format!("SELECT count(*) FROM media WHERE reason = '{NO_ROOM}' AND attempts = 0");
    announce(&buzon, "large", "/large").await;
    announce(&buzon, "chunked", "/chunked").await;
    eventually("they have found no room", async || world.value(&waiting).await == "2").await;
    for n in 0..10 {
        gateway.reply(&format!("/{n}"), Reply::file(&[n; 100]));
        announce(&buzon, &n.to_string(), &format!("/{n}")).await;
    }
    let stored = "SELECT count(*) FROM media WHERE state = 'stored'";
    eventually("the others are stored", async || world.value(stored).await == "10").await;
    assert_eq!((media(&buzon).await, gateway.asked("/large"), gateway.asked("/chunked")), (json!("ok"), 1, 1));
    let folders = std::fs::read_dir(inside.join("media")).expect("it is there").map(|it| it.expect("it is").path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).expect("it can be read"));
    assert_eq!(files.count(), 10, "nothing partial is left");
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_bucket_that_is_full_stops_downloads_until_it_takes_files_again() {
    let world = World::new(Backend::Sqlite).await;
    let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
    gateway.reply("/a.jpg", Reply::file(JPEG));
    let settings = s3.settings();
    let service = service(&world, &gateway, &crate::support::borrowed(&settings)).await;
    eventually("the marker is there", async || s3.answered(Operation::Put) == 1).await;
    s3.fail_with(507, |operation| operation == Operation::Put);
    deliver(&service, "A", "/a.jpg").await;
    let media = async || answer(service.get("/health/ready")).await.body["media"].clone();
    eventually("it is said", async || media().await == "store_full").await;
    eventually("it is known why", async || world.rows("SELECT reason FROM media").await == ["the bucket is full"])
        .await;
    s3.recover();
    world.execute("UPDATE media SET next_attempt_at = '2024-01-01T00:00:00.000Z'").await;
    all_end(&world).await;
    eventually("it is well again", async || media().await == "ok").await;
    assert_eq!(world.value("SELECT state, attempts FROM media").await, "stored|1");
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn the_same_file_counts_once_for_the_quota() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let service = service(&world, &gateway, &[("BUZON_MEDIA_QUOTA", "20")]).await;
    for n in 0..12 {
        gateway.reply(&format!("/{n}"), Reply::file(JPEG));
        deliver(&service, &n.to_string(), &format!("/{n}")).await;
    }
    all_end(&world).await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "12");
    service.stop().await;
}
