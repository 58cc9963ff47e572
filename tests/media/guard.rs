//! S2: whatever an event says, no host is asked that the owner did not configure.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use buzon::blob::{BlobLocation, Blobs, S3Options};
use buzon::domain::media::RetryPolicy;
use buzon::media::guard::Guard;
use buzon::media::resolver::Lookup;
use buzon::media::special_addresses::SPECIAL;
use buzon::media::{self, MediaCapacity, MediaParts, MediaSettings, MediaWorker};
use buzon::platform::clock::SystemClock;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{JPEG, all_end, deliver, service};
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{SECRET, event, received};
use crate::support::gateway::file_server::{Canary, FileServer, Reply};
use crate::support::program::service::Service;

/// Returns spellings of this machine's address with this port, and of other addresses that must not be asked.
fn spellings(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "①②⑦.⓪.⓪.①",
        "0",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "api.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "user:password@127.0.0.1",
        "example.com@127.0.0.1",
        "127.0.0.1:80\\@example.com",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
    ];
    let urls = hosts.iter().map(|host| format!("http://{host}:{port}/latest/meta-data"));
    let others = [
        format!("//127.0.0.1:{port}/"),
        format!("http:127.0.0.1:{port}"),
        format!("http:\\\\127.0.0.1:{port}\\"),
        format!(" http://127.0.0.1:{port}/ "),
        "file:///etc/passwd".to_owned(),
        format!("gopher://127.0.0.1:{port}/_x"),
        format!("ftp://127.0.0.1:{port}/x"),
        format!("ws://127.0.0.1:{port}/x"),
        "/uploads/whatsapp/x.jpg".to_owned(),
        "http://".to_owned(),
        "\u{0}http://127.0.0.1/".to_owned(),
    ];
    urls.chain(others).collect()
}

#[test(flavor = "multi_thread")]
async fn without_a_configured_origin_no_spelling_reaches_this_machine_or_its_network() {
    on_both(async |world| {
        let canary = Canary::start().await;
        let service = Service::start_with(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let urls = spellings(canary.address.port());
        for (n, url) in urls.iter().enumerate() {
            deliver(&service, &n.to_string(), url).await;
        }
        all_end(&world).await;
        let refused = world.value("SELECT count(*) FROM media WHERE state = 'refused' AND reason <> ''").await;
        assert_eq!(refused, urls.len().to_string());
        assert_eq!(canary.connections(), 0);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn with_a_configured_origin_nothing_else_is_asked_and_no_redirect_leads_elsewhere() {
    on_both(async |world| {
        let (gateway, canary) = (FileServer::start().await, Canary::start().await);
        let service = service(&world, &gateway, &[]).await;
        let port = canary.address.port();
        let elsewhere = spellings(port).into_iter().filter(|url| url != "/uploads/whatsapp/x.jpg");
        let elsewhere: Vec<String> = elsewhere.chain(["https://example.com/x.jpg".to_owned()]).collect();
        gateway.reply("/data", Reply::redirect("data:text/plain,x"));
        deliver(&service, "redirect-data", "/data").await;
        for (n, url) in elsewhere.iter().enumerate() {
            let header = url.chars().all(|c| c.is_ascii_graphic());
            deliver(&service, &n.to_string(), url).await;
            if header {
                gateway.reply(&format!("/{n}"), Reply::redirect(url));
                deliver(&service, &format!("redirect-{n}"), &format!("/{n}")).await;
            }
        }
        all_end(&world).await;
        let states = world.rows("SELECT DISTINCT state FROM media WHERE message_id NOT LIKE 'redirect-%'").await;
        let others = "SELECT message_id, state, reason FROM media
                      WHERE message_id LIKE 'redirect-%' AND state <> 'refused' ORDER BY 1";
        // A relative address, such as `http:127.0.0.1` below an http origin, leads back to the gateway.
        for row in world.rows(others).await {
            assert!(row.contains("|expired|") || row.contains("without a usable address"), "{row}");
        }
        assert!(states.iter().all(|state| state == "refused" || state == "expired"), "{states:?}");
        assert_eq!(canary.connections(), 0);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_redirect_within_the_configured_origins_is_followed() {
    let world = World::new(Backend::Sqlite).await;
    let (gateway, other) = (FileServer::start().await, FileServer::start().await);
    gateway.reply("/a", Reply::redirect("/b"));
    gateway.reply("/b", Reply::redirect(&other.url("/menu.jpg")));
    other.reply("/menu.jpg", Reply::file(JPEG));
    let origins = format!("https://cdn.example.com, {}", other.url("/"));
    let service = service(&world, &gateway, &[("BUZON_MEDIA_ORIGINS", &origins)]).await;
    deliver(&service, "A", "/a").await;
    all_end(&world).await;
    assert_eq!(world.value("SELECT state, file_name FROM media").await, "stored|menu.jpg");
    service.stop().await;
}

/// Answers from a list, whose last entry stays in force.
struct Scripted(Mutex<VecDeque<Vec<IpAddr>>>);

impl Scripted {
    fn new(answers: &[&[IpAddr]]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().expect("the lock is not poisoned").len()
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().expect("the lock is not poisoned");
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.ok_or_else(|| io::Error::other("there is no such host"))
    }
}

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Starts a worker for which 127.0.0.2 belongs to the public internet, and no other address of this machine does. A
/// message with a file at `url` was recorded before, so the worker begins with it at once.
async fn worker(world: &World, lookup: Arc<dyn Lookup>, url: &str) -> (MediaWorker, CancellationToken) {
    let deny = SPECIAL.iter().filter(|network| !network.contains(&PUBLIC)).copied();
    let deny = deny.chain([PRIVATE.into()]).collect();
    let store = world.open().await;
    let body = received("A", json!({"type": "image", "media_url": url}));
    record(&store, &[event("7", body, ARRIVAL)]).await;
    let folder = BlobLocation::Folder(world.folder.path().join("media"));
    let settings = MediaSettings {
        guard: Guard::internet_but(deny),
        gateway_url: None,
        max_size: 1 << 20,
        timeout: Duration::from_secs(10),
        downloads: 4,
        downloads_per_host: 4,
        retry: RetryPolicy { max_attempts: 2 },
        spool: world.folder.path().to_owned(),
    };
    let parts = MediaParts {
        store,
        blobs: Blobs::open(&folder, &S3Options::default()).expect("the folder can be made"),
        clock: Arc::new(SystemClock),
        lookup,
        capacity: Arc::new(MediaCapacity::new(vec![], 0, None)),
        wake: Arc::default(),
        meters: Arc::default(),
    };
    let stop = CancellationToken::new();
    (media::start(settings, parts, stop.clone()).expect("the worker starts"), stop)
}

fn url(gateway: &FileServer) -> String {
    format!("http://files.example.com:{}/a.jpg", gateway.address.port())
}

/// Starts a public and a private server at the same port.
async fn servers() -> (FileServer, Canary) {
    loop {
        let gateway = FileServer::start_at(SocketAddr::new(PUBLIC, 0)).await;
        if let Some(canary) = Canary::try_start_at(SocketAddr::new(PRIVATE, gateway.address.port())).await {
            return (gateway, canary);
        }
    }
}

#[test(flavor = "multi_thread")]
async fn a_name_that_resolves_to_forbidden_addresses_alone_is_refused() {
    on_both(async |world| {
        let (gateway, canary) = servers().await;
        let others = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let (mut worker, stop) = worker(&world, Scripted::new(&[&[PRIVATE, others]]), &url(&gateway)).await;
        all_end(&world).await;
        let row = world.value("SELECT state, attempts, reason FROM media").await;
        assert!(row.starts_with("refused|1|the file is at 127.0.0.1, which is not on the public internet"), "{row}");
        assert_eq!((canary.connections(), gateway.requests().len()), (0, 0));
        stop.cancel();
        worker.ended().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn of_a_names_addresses_only_the_public_ones_are_connected_to() {
    on_both(async |world| {
        let (gateway, canary) = servers().await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let (mut worker, stop) = worker(&world, Scripted::new(&[&[PRIVATE, PUBLIC]]), &url(&gateway)).await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state FROM media").await, "stored");
        assert_eq!((canary.connections(), gateway.requests().len()), (0, 1));
        stop.cancel();
        worker.ended().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_name_whose_address_changes_between_two_hops_gains_nothing() {
    on_both(async |world| {
        let (gateway, canary) = servers().await;
        gateway.reply("/a.jpg", Reply::redirect("/b.jpg"));
        gateway.reply("/b.jpg", Reply::file(JPEG));
        let lookup = Scripted::new(&[&[PUBLIC], &[PRIVATE]]);
        let (mut worker, stop) = worker(&world, lookup.clone(), &url(&gateway)).await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state, attempts FROM media").await, "refused|1");
        assert_eq!(lookup.left(), 1, "both answers were given");
        assert_eq!((canary.connections(), gateway.requests().len()), (0, 1));
        stop.cancel();
        worker.ended().await;
    })
    .await;
}

/// Exactly the checked address is connected to: there is one look-up for the check and the connection, not one for
/// each.
#[test(flavor = "multi_thread")]
async fn a_name_whose_address_changes_after_the_check_gains_nothing() {
    on_both(async |world| {
        let (gateway, canary) = servers().await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let lookup = Scripted::new(&[&[PUBLIC], &[PRIVATE]]);
        let (mut worker, stop) = worker(&world, lookup.clone(), &url(&gateway)).await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state FROM media").await, "stored");
        assert_eq!(lookup.left(), 1, "the first answer was given");
        assert_eq!((canary.connections(), gateway.requests().len()), (0, 1));
        stop.cancel();
        worker.ended().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_host_that_has_no_address_is_tried_again() {
    let world = World::new(Backend::Sqlite).await;
    let (mut worker, stop) = worker(&world, Scripted::new(&[]), "http://files.example.com/a.jpg").await;
    all_end(&world).await;
    let row = world.value("SELECT state, attempts, reason FROM media").await;
    let reason = "given up after 2 attempts; the last time the server files.example.com:80 cannot be reached";
    assert!(row.starts_with(&format!("failed|2|{reason}")), "{row}");
    stop.cancel();
    worker.ended().await;
}
