//! Many files, and a large one: each job ends once, and memory stays flat. `BUZON_TEST_LOAD=1` runs them at the size of
//! a bad day, and the figures are printed.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, received, sign};
use crate::support::gate::Gate;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::program::service::answer;
use crate::support::s3::S3Server;
use crate::support::{eventually, eventually_within};

const MEGABYTE: usize = 1_000_000;
/// The maximum memory of the whole program, in bytes.
const MOST_MEMORY: u64 = 60 * MEGABYTE as u64;

fn is_heavy() -> bool {
    std::env::var_os("BUZON_TEST_LOAD").is_some()
}

/// Delivers messages with these files, and returns the program when every job has ended.
async fn save(world: &World, gateway: &FileServer, settings: &[(&str, &str)], paths: &[String]) -> Buzon {
    let origin = gateway.url("");
    let base = [
        ("BUZON_WEBHOOK_SECRET", SECRET),
        ("BUZON_GATEWAY_URL", origin.as_str()),
        ("BUZON_MEDIA_MAX_SIZE", "1GiB"),
        ("BUZON_MEDIA_MIN_FREE", "0"),
    ];
    let started = Instant::now();
    let buzon = Buzon::serve(world, &[&base, settings].concat()).await;
    let client = &crate::support::client();
    let address = buzon.address;
    let deliveries = stream::iter(paths).map(|path| async move {
        let body = received(path, json!({"type": "image", "media_url": path}));
        let post = client.post(format!("http://{address}/webhook/7")).header("X-Whapi-Signature", sign(SECRET, &body));
        assert!(!answer(post.body(body)).await.accepted());
    });
    deliveries.buffer_unordered(64).collect::<Vec<_>>().await;
    let delivered = started.elapsed();
    let pending = "SELECT count(*) FROM media WHERE state = 'pending'";
    eventually_within(Duration::from_secs(600), "every job ends", async || world.value(pending).await == "0").await;
    let once = "SELECT count(*) FROM media WHERE state = 'stored' AND attempts = 1";
    assert_eq!(world.value(once).await, paths.len().to_string());
    assert_eq!(gateway.requests().len(), paths.len());
    println!(
        "{} files on {:?}: delivered after {delivered:.1?}, stored after {:.1?}, {} in flight at most, {} MB at most",
        paths.len(),
        world.backend,
        started.elapsed(),
        gateway.most_at_once(),
        buzon.peak_memory() / MEGABYTE as u64
    );
    buzon
}

#[test(flavor = "multi_thread")]
async fn ten_thousand_small_files_all_end_once_in_little_memory() {
    let files = if is_heavy() { 10_000 } else { 500 };
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let (gate, mut content) = (Gate::closed(), vec![7; 20_000]);
        let paths: Vec<String> = (0..files).map(|n| format!("/{n}.jpg")).collect();
        for (n, path) in paths.iter().enumerate() {
            content[..8].copy_from_slice(&n.to_be_bytes());
            gateway.reply(path, Reply::file(&content).held(&gate));
        }
        let full = async {
            eventually("all places are taken", async || gateway.most_at_once() == 32).await;
            gate.open();
        };
        let all = [("BUZON_MEDIA_DOWNLOADS_PER_HOST", "32")];
        let (buzon, ()) = tokio::join!(save(&world, &gateway, &all, &paths), full);
        assert_eq!(gateway.most_at_once(), 32);
        assert!(buzon.peak_memory() < MOST_MEMORY, "{}", buzon.peak_memory());
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_large_file_goes_through_in_little_memory_to_a_folder_and_to_a_bucket() {
    let size = if is_heavy() { 500 * MEGABYTE } else { 60 * MEGABYTE };
    on_both(async |world| {
        let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
        let content: Vec<u8> = (0..size).map(|n| (n ^ (n >> 9)) as u8).collect();
        gateway.reply("/large.bin", Reply::file(&content));
        let settings = s3.settings();
        let bucket = crate::support::borrowed(&settings);
        for settings in [&[], bucket.as_slice()] {
            let world = World::new(world.backend).await;
            gateway.forget();
            let buzon = save(&world, &gateway, settings, &["/large.bin".to_owned()]).await;
            assert_eq!(world.value("SELECT size FROM media").await, size.to_string());
            assert!(buzon.peak_memory() < MOST_MEMORY, "{}", buzon.peak_memory());
            buzon.kill().await;
        }
    })
    .await;
}
