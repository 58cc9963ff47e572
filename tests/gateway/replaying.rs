//! After an outage, failed deliveries that a gateway keeps are replayed without anyone asking.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::database::blocker::Blocker;
use crate::support::database::world::{Backend, World, on_both_at_once};
use crate::support::events::{SECRET, received};
use crate::support::gateway::fake_gateway::{FakeGateway, TOKEN};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::program::service::{Service, config};
use crate::support::program::small_disk::{Filler, serve_on_small_disk};
use crate::support::{eventually, eventually_within};

const LIST: &str = "GET /api/webhook-dlq";
/// Two rounds of an outage, and the wait after it.
const ROUNDS: Duration = Duration::from_secs(90);

/// Starts a buzon in this process that may ask `gateway`.
async fn service(world: &World, gateway: &FakeGateway) -> Service {
    let file = world.folder.path().join("buzon.toml");
    std::fs::write(&file, gateway.settings()).expect("it can be written");
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", file.to_str().expect("it is text"))];
    let service = Service::start_with(world, &settings).await;
    gateway.set_buzon(Some(service.address));
    service
}

async fn stored(world: &World) -> usize {
    world.rows("SELECT id FROM messages").await.len()
}

#[test(flavor = "multi_thread")]
async fn what_came_while_the_process_was_away_is_asked_for_at_its_start_the_oldest_first() {
    on_both_at_once(async |world| {
        let gateway = FakeGateway::start().await;
        for n in 0..5 {
            assert!(!gateway.deliver(received(&format!("A{n}"), json!({}))).await);
        }
        std::fs::write(world.folder.path().join("buzon.toml"), gateway.settings()).expect("it can be written");
        let mut buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_LOG", "trace")]).await;
        gateway.set_buzon(Some(buzon.address));
        eventually("everything is here", async || stored(&world).await == 5 && gateway.kept() == 0).await;
        assert_eq!(gateway.replayed(), [1, 2, 3, 4, 5]);
        assert!(buzon.greeting.iter().any(|line| line.contains("failed deliveries")), "{:?}", buzon.greeting);
        eventually("it is logged", async || Buzon::log(&world).await.contains("\"replay.sent\":5")).await;
        buzon.signal(rustix::process::Signal::TERM);
        assert!(timeout(Duration::from_secs(8), buzon.wait()).await.expect("it ends within 8 seconds").success());
        let log = Buzon::log(&world).await;
        assert!(log.contains("TRACE") && !log.contains(TOKEN), "the token is in no line of the log");
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn what_was_refused_while_the_store_was_away_is_asked_for_when_it_is_back() {
    on_both_at_once(async |world| {
        let gateway = FakeGateway::start().await;
        let service = service(&world, &gateway).await;
        eventually("the deliveries before the start are asked for", async || gateway.asked(LIST) == 1).await;
        let blocker = Blocker::new(&world, "ledger_clock").await;
        let mut deliveries = JoinSet::new();
        for n in 0..3 {
            let gateway = gateway.clone();
            deliveries.spawn(async move { gateway.deliver(received(&format!("A{n}"), json!({}))).await });
        }
        assert_eq!(deliveries.join_all().await, [false; 3]);
        // While the store is away, nothing is replayed.
        assert_eq!((gateway.kept(), gateway.asked(LIST), gateway.replayed().len()), (3, 1, 0));
        blocker.release().await;
        eventually_within(ROUNDS, "everything is here", async || stored(&world).await == 3 && gateway.kept() == 0)
            .await;
        service.stop().await;
    })
    .await;
}

/// The database takes transactions all the time, so nothing shows that there is room again, except an event.
#[test(flavor = "multi_thread")]
async fn what_was_refused_for_lack_of_room_on_the_disk_is_asked_for_once_an_event_is_stored_again() {
    let mut world = World::new(Backend::Sqlite).await;
    let gateway = FakeGateway::start().await;
    std::fs::write(world.folder.path().join("buzon.toml"), gateway.settings()).expect("it can be written");
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MIN_FREE", "16MiB")];
    let (buzon, disk) = serve_on_small_disk(&mut world, &settings).await;
    gateway.set_buzon(Some(buzon.address));
    eventually("the deliveries before the start are asked for", async || gateway.asked(LIST) == 1).await;
    let filler = Filler::leave(&disk, 15 * 1024 * 1024);
    for n in 0..3 {
        assert!(!gateway.deliver(received(&format!("A{n}"), json!({}))).await);
    }
    let refused_again = async || Buzon::log(&world).await.contains("\"replay.failed\":1");
    eventually_within(ROUNDS, "the first one is asked for, and refused again", refused_again).await;
    drop(filler);
    assert_eq!((gateway.replayed(), gateway.kept()), (vec![1], 3));
    buzon.deliver(received("B", json!({}))).await.accepted();
    eventually_within(ROUNDS, "the others are asked for", async || gateway.kept() == 1).await;
    assert_eq!(gateway.replayed(), [1, 2, 3]);
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_delivery_that_fails_again_is_asked_for_once_in_an_outage_and_holds_up_no_other() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FakeGateway::start().await;
    let stuck = [gateway.keep_stuck(), gateway.keep_stuck()];
    for n in 0..3 {
        gateway.deliver(received(&format!("A{n}"), json!({}))).await;
    }
    let service = service(&world, &gateway).await;
    eventually("a first round", async || gateway.replayed().len() == 5).await;
    let last = gateway.keep_stuck();
    eventually_within(ROUNDS, "a second round", async || gateway.replayed().contains(&last)).await;
    assert_eq!(gateway.replayed(), [stuck[0], stuck[1], 3, 4, 5, last]);
    assert_eq!((stored(&world).await, gateway.kept()), (3, 3));
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_gateway_that_never_ends_its_answer_holds_up_no_event_and_no_end() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let path = format!("/api/webhook-dlq?instanceId=7&token={TOKEN}&limit=500");
    gateway.reply(&path, Reply::early_hints_for_ever());
    let file = world.folder.path().join("buzon.toml");
    let settings = format!("gateway_url = \"{}\"\n[[instances]]\nid = 7\ntoken = \"{TOKEN}\"\n", gateway.url(""));
    std::fs::write(&file, settings).expect("it can be written");
    let mut buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    eventually("it is asked", async || gateway.asked(&path) == 1).await;
    for n in 0..20 {
        buzon.deliver(received(&format!("A{n}"), json!({}))).await.accepted();
    }
    buzon.signal(rustix::process::Signal::TERM);
    assert!(timeout(Duration::from_secs(8), buzon.wait()).await.expect("it ends within 8 seconds").success());
}

/// The gateway's wait is longer than any clock can hold.
#[test(flavor = "multi_thread")]
async fn a_gateway_that_wants_to_be_asked_in_2_to_the_64_seconds_harms_nobody() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let path = format!("/api/webhook-dlq?instanceId=7&token={TOKEN}&limit=500");
    gateway.reply(&path, Reply::status_with(429, "Retry-After: 18446744073709551615\r\n"));
    let file = world.folder.path().join("buzon.toml");
    let settings = format!("gateway_url = \"{}\"\n[[instances]]\nid = 7\ntoken = \"{TOKEN}\"\n", gateway.url(""));
    std::fs::write(&file, settings).expect("it can be written");
    let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    eventually("it waits", async || Buzon::log(&world).await.contains("it is asked again later")).await;
    buzon.deliver(received("A", json!({}))).await.accepted();
    assert!(!Buzon::log(&world).await.contains("buzon panicked"), "nothing has panicked");
    buzon.kill().await;
}

#[test]
async fn it_is_asked_for_nothing_without_a_token_or_when_that_is_switched_off() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let file = folder.path().join("buzon.toml");
    let with = |instance: &str, settings: &[(&str, &str)]| {
        let text = format!("gateway_url = \"https://gw.example.com\"\n[[instances]]\nid = 7\n{instance}\n");
        std::fs::write(&file, text).expect("it can be written");
        config(&[&[("BUZON_CONFIG", file.to_str().expect("it is text"))], settings].concat()).replays_at().is_some()
    };
    let token = format!("token = \"{TOKEN}\"");
    assert!(with(&token, &[]));
    assert!(!with("", &[]));
    assert!(!with(&token, &[("BUZON_GATEWAY_REPLAY", "false")]));
}
