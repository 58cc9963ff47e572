//! Nothing old is sent again: a bot would answer old customers.

use std::sync::Arc;
use std::time::Duration;

use buzon::domain::forward::ForwardName;
use buzon::platform::clock::{Clock, SystemClock};
use buzon::store::ResumeFrom;
use serde_json::json;

use super::{caught_up, nobody, settings_file, start, start_clocked, stopped};
use crate::support::clock::MovedClock;
use crate::support::database::tokens::open_beside_server;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{SECRET, event, received};
use crate::support::eventually;
use crate::support::program::process::run;
use crate::support::program::service::Service;
use crate::support::receiver::{EventReceiver, forward_settings};

const HOUR: &str = "max_age = \"1h\"\n";

fn bot() -> ForwardName {
    ForwardName::new("bot").expect("it is a name")
}

/// Returns a message of a chat at a time.
fn message(id: &str, chat: &str, clock: &dyn Clock) -> Vec<u8> {
    let chat = format!("{chat}@c.us");
    received(id, json!({"chat_id": chat, "from": chat, "timestamp": clock.now().millis() / 1_000}))
}

#[test(flavor = "multi_thread")]
async fn after_a_day_without_a_receiver_nothing_of_that_day_is_sent() {
    on_both(async |world| {
        let address = nobody().await;
        let clock = Arc::new(MovedClock::default());
        let service = start_clocked(&world, clock.clone(), &forward_settings("bot", address, HOUR)).await;
        for chat in 0..20 {
            let body = message(&format!("old-{chat}"), &chat.to_string(), &*clock);
            service.deliver("/webhook/7", body).await.accepted();
        }
        stopped(&world, true).await;
        assert_eq!(world.value("SELECT position, skipped_stale FROM forwards").await, "0|0");
        clock.forward(Duration::from_secs(24 * 60 * 60));
        let receiver = EventReceiver::start_at(address).await;
        service.deliver("/webhook/7", message("new", "ana", &*clock)).await.accepted();
        let store = open_beside_server(&world).await;
        store.retry_forward(&bot(), false, clock.now()).await.expect("the store answers");
        caught_up(&world, "bot").await;
        stopped(&world, false).await;
        assert_eq!(receiver.ids(), ["new"]);
        assert_eq!(world.value("SELECT delivered, skipped_stale, given_up FROM forwards").await, "1|20|0");
        store.close().await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn what_the_gateway_delivers_late_is_not_sent_and_a_repeat_is_not_sent_twice() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let service = start(&world, &receiver.settings(HOUR)).await;
        service.deliver("/webhook/7", received("late", json!({}))).await.accepted();
        let body = message("new", "ana", &SystemClock);
        for _ in 0..3 {
            service.deliver("/webhook/7", body.clone()).await.accepted();
        }
        caught_up(&world, "bot").await;
        assert_eq!(receiver.ids(), ["new"]);
        assert_eq!(world.value("SELECT delivered, skipped_stale FROM forwards").await, "1|1");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_new_forward_begins_with_what_comes_next() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let store = world.open().await;
        let events = Vec::from_iter(
            (0..50).map(|number| event("7", message(&format!("old-{number}"), "ana", &SystemClock), SystemClock.now())),
        );
        record(&store, &events).await;
        store.close().await;
        let service = start(&world, &receiver.settings(HOUR)).await;
        service.deliver("/webhook/7", message("new", "ana", &SystemClock)).await.accepted();
        caught_up(&world, "bot").await;
        assert_eq!(receiver.ids(), ["new"]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_paused_forward_sends_nothing_and_goes_on_from_where_its_owner_says() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let service = start(&world, &receiver.settings("")).await;
        let store = open_beside_server(&world).await;
        let deliver = async |id: &str| {
            service.deliver("/webhook/7", received(id, json!({}))).await.accepted();
        };
        let is_held = "SELECT lease_until IS NOT NULL FROM forwards";
        for (round, from) in [(1, ResumeFrom::Now), (2, ResumeFrom::Position)] {
            assert!(store.pause_forward(&bot()).await.expect("the store answers"));
            eventually("it lets go", async || world.value(is_held).await == "0").await;
            deliver(&format!("paused-{round}")).await;
            assert!(store.resume_forward(&bot(), from).await.expect("the store answers"));
            eventually("it goes on", async || world.value(is_held).await == "1").await;
            deliver(&format!("resumed-{round}")).await;
            caught_up(&world, "bot").await;
        }
        assert_eq!(receiver.ids(), ["resumed-1", "paused-2", "resumed-2"]);
        store.close().await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn after_a_stop_and_a_start_it_goes_on_where_it_was() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        for round in 0..3 {
            let service = start(&world, &receiver.settings("")).await;
            for number in 0..20 {
                let body = message(&format!("{round}-{number}"), &number.to_string(), &SystemClock);
                service.deliver("/webhook/7", body).await.accepted();
            }
            service.stop().await;
        }
        let service = start(&world, &receiver.settings("")).await;
        caught_up(&world, "bot").await;
        let mut ids = receiver.ids();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), receiver.count()), (60, 60));
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_restored_database_sends_nothing_until_its_owner_says_so() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let forwards = receiver.settings("");
        let service = start(&world, &forwards).await;
        service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
        caught_up(&world, "bot").await;
        service.stop().await;
        let made = run(world.folder.path(), &["backup", "backups"], &[("BUZON_DATABASE_URL", &world.url)]).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let copy = World::empty(world.backend).await;
        let backups = world.folder.path().join("backups");
        let arguments = ["restore", backups.to_str().expect("it is text")];
        let restored = run(copy.folder.path(), &arguments, &[("BUZON_DATABASE_URL", &copy.url)]).await;
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        assert_eq!(copy.value("SELECT paused, pause_reason FROM forwards").await, "1|restored");
        let service = start(&copy, &forwards).await;
        service.deliver("/webhook/7", received("B", json!({}))).await.accepted();
        let store = open_beside_server(&copy).await;
        store.resume_forward(&bot(), ResumeFrom::Now).await.expect("the store answers");
        eventually("it goes on", async || copy.value("SELECT lease_until IS NOT NULL FROM forwards").await == "1")
            .await;
        service.deliver("/webhook/7", received("C", json!({}))).await.accepted();
        caught_up(&copy, "bot").await;
        assert_eq!(receiver.ids(), ["A", "C"]);
        store.close().await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn of_two_processes_one_sends_and_the_other_takes_over_when_it_ends() {
    let world = World::new(Backend::Postgres).await;
    let receiver = EventReceiver::start().await;
    let forwards = receiver.settings("");
    let first = start(&world, &forwards).await;
    let path = settings_file(&world, &forwards);
    let config = path.to_str().expect("it is text");
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", config)];
    let second = Service::start_with(&world, &settings).await;
    for number in 0..100 {
        let body = message(&number.to_string(), &number.to_string(), &SystemClock);
        [&first, &second][number % 2].deliver("/webhook/7", body).await.accepted();
    }
    caught_up(&world, "bot").await;
    first.stop().await;
    for number in 100..120 {
        second.deliver("/webhook/7", message(&number.to_string(), "ana", &SystemClock)).await.accepted();
    }
    caught_up(&world, "bot").await;
    let mut ids = receiver.ids();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), receiver.count()), (120, 120));
    second.stop().await;
}
