use rustix::process::Signal;
use serde_json::json;
use tokio::time::timeout;

use super::{JPEG, all_end, deliver, service};
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received};
use crate::support::gate::Gate;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::{PATIENCE, eventually};

#[test(flavor = "multi_thread")]
async fn no_more_files_are_fetched_at_once_than_is_allowed_in_all_and_of_one_host() {
    let world = World::new(Backend::Sqlite).await;
    // Another address of the same machine counts as another host.
    let (gateway, other) = (FileServer::start().await, FileServer::start_at(([127, 0, 0, 2], 0).into()).await);
    let gate = Gate::closed();
    let settings = [
        ("BUZON_MEDIA_ORIGINS", other.url("")),
        ("BUZON_MEDIA_DOWNLOADS", "5".to_owned()),
        ("BUZON_MEDIA_DOWNLOADS_PER_HOST", "3".to_owned()),
    ];
    let settings = crate::support::borrowed(&settings);
    let service = service(&world, &gateway, &settings).await;
    for n in 0..10 {
        for host in [&gateway, &other] {
            let path = format!("/{n}.jpg");
            host.reply(&path, Reply::file(JPEG).held(&gate));
            deliver(&service, &host.url(&path), &host.url(&path)).await;
        }
    }
    let asked = || (gateway.requests().len(), other.requests().len());
    eventually("all places are taken", async || asked().0 + asked().1 == 5).await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE lease_until IS NOT NULL").await, "5");
    let (first, second) = asked();
    assert!((2..=3).contains(&first) && (2..=3).contains(&second), "{first} {second}");
    gate.open();
    all_end(&world).await;
    assert_eq!(asked(), (10, 10));
    assert!(gateway.most_at_once() <= 3 && other.most_at_once() <= 3);
    assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored' AND attempts = 1").await, "20");
    service.stop().await;
}

/// A dead or slow host takes no more than its share of the places.
#[test(flavor = "multi_thread")]
async fn a_host_that_never_answers_holds_up_nobody_elses_files() {
    let world = World::new(Backend::Sqlite).await;
    let (gateway, dead) = (FileServer::start().await, FileServer::start_at(([127, 0, 0, 2], 0).into()).await);
    let origins = dead.url("");
    let service = service(&world, &gateway, &[("BUZON_MEDIA_ORIGINS", &origins)]).await;
    let gate = Gate::closed();
    for n in 0..300 {
        let path = format!("/{n}.jpg");
        dead.reply(&path, Reply::file(JPEG).held(&gate));
        deliver(&service, &n.to_string(), &dead.url(&path)).await;
    }
    gateway.reply("/menu.jpg", Reply::file(JPEG));
    deliver(&service, "A", "/menu.jpg").await;
    let state = "SELECT state FROM media WHERE message_id = 'A'";
    eventually("it is stored", async || world.value(state).await == "stored").await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "1");
    service.stop().await;
    assert_eq!(world.value("SELECT count(*) FROM media WHERE attempts > 0 AND state = 'pending'").await, "0");
}

/// A server that sends without an end keeps the download threads busy, but not those that take events.
#[test(flavor = "multi_thread")]
async fn a_flood_of_answers_delays_no_message() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    gateway.reply("/flood", Reply::early_hints_for_ever());
    let origin = gateway.url("");
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
    let mut buzon = Buzon::serve(&world, &settings).await;
    for n in 0..8 {
        let body = received(&format!("flood-{n}"), json!({"type": "image", "media_url": "/flood"}));
        assert!(!buzon.deliver(body).await.accepted());
    }
    eventually("all are under way", async || gateway.asked("/flood") == 8).await;
    let messages = async {
        for n in 0..200 {
            assert!(!buzon.deliver(received(&n.to_string(), json!({}))).await.accepted());
        }
    };
    timeout(PATIENCE, messages).await.expect("messages are taken as ever");
    buzon.signal(Signal::TERM);
    assert!(buzon.wait().await.success());
}

/// A relative and an absolute address of the gateway count as one host.
#[test(flavor = "multi_thread")]
async fn the_gateway_has_its_places_once_however_it_is_named() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let gate = Gate::closed();
    let service = service(&world, &gateway, &[("BUZON_MEDIA_DOWNLOADS_PER_HOST", "2")]).await;
    for n in 0..6 {
        let path = format!("/{n}.jpg");
        gateway.reply(&path, Reply::file(JPEG).held(&gate));
        let url = if n % 2 == 0 { path.clone() } else { gateway.url(&path) };
        deliver(&service, &path, &url).await;
    }
    eventually("its places are taken", async || gateway.requests().len() == 2).await;
    gate.open();
    all_end(&world).await;
    assert_eq!(gateway.most_at_once(), 2);
    service.stop().await;
}
