//! `buzon forward`.

use std::process::Output;

use buzon::platform::clock::{Clock, SystemClock};
use serde_json::json;

use super::{caught_up, settings_file, start};
use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, received, sent, sign};
use crate::support::program::process::run;
use crate::support::receiver::{EventReceiver, ReceiverAnswer};

/// Runs a command, which finds the settings file in the world's folder.
pub async fn forward(world: &World, arguments: &[&str]) -> Output {
    let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_WEBHOOK_SECRET", SECRET)];
    run(world.folder.path(), &[&["forward"], arguments].concat(), &settings).await
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test(flavor = "multi_thread")]
async fn a_replay_is_rehearsed_and_sent_only_with_yes_and_the_old_only_if_that_is_said() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let service = start(&world, &receiver.settings("max_age = \"1h\"\n")).await;
        let from = SystemClock.now().to_rfc3339();
        let seconds = SystemClock.now().millis() / 1_000;
        for (id, chat, timestamp) in [("A", "ana", seconds), ("B", "bob", seconds), ("old", "eva", seconds - 800_000)] {
            let chat = format!("{chat}@c.us");
            let body = received(id, json!({"chat_id": chat, "from": chat, "timestamp": timestamp}));
            service.deliver("/webhook/7", body).await.accepted();
        }
        service.deliver("/webhook/7", sent("C", json!({"timestamp": seconds}))).await.accepted();
        caught_up(&world, "bot").await;
        assert_eq!(receiver.count(), 3);
        let rehearsal = forward(&world, &["replay", "bot", "--from", &from]).await;
        assert_eq!(rehearsal.status.code(), Some(2));
        let text = said(&rehearsal);
        assert!(text.contains("3 events, among them 2 incoming messages of 2 people"), "{text}");
        assert!(text.contains("1 more are older than max_age") && text.contains("--yes"), "{text}");
        assert_eq!(world.value("SELECT replay_until FROM forwards").await, "NULL");
        let sending = forward(&world, &["replay", "bot", "--from", &from, "--yes"]).await;
        assert!(sending.status.success(), "{}", said(&sending));
        caught_up(&world, "bot").await;
        assert_eq!(receiver.count(), 6, "without the old one");
        let all = forward(&world, &["replay", "bot", "--from", &from, "--yes", "--even-old"]).await;
        assert!(said(&all).contains("4 events, among them 3 incoming messages of 3 people, the oldest 9 days old"));
        caught_up(&world, "bot").await;
        let received = receiver.received();
        assert_eq!(received.len(), 10);
        assert!(received[..3].iter().all(|event| event.header("x-buzon-replay").is_none()));
        assert!(received[3..].iter().all(|event| event.header("x-buzon-replay") == Some("true")));
        assert!(received.iter().any(|event| event.id() == "old"));
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_list_the_failures_and_the_doctor_show_the_host_alone() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        receiver.answer(|_| ReceiverAnswer::Status(404));
        let service = start(&world, &receiver.settings("")).await;
        service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
        super::stopped(&world, true).await;
        let list = said(&forward(&world, &["list"]).await);
        assert!(list.contains(&format!("http://{}", receiver.address)), "{list}");
        assert!(list.contains("stopped since") && list.contains("status 404"), "{list}");
        let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_WEBHOOK_SECRET", SECRET)];
        let doctor = said(&run(world.folder.path(), &["doctor"], &settings).await);
        assert!(doctor.contains("bot is stopped since") && doctor.contains("status 404"), "{doctor}");
        let check = said(&run(world.folder.path(), &["check-config"], &settings).await);
        assert!(check.contains(&format!("bot to http://{} (max_age none", receiver.address)), "{check}");
        let paused = said(&forward(&world, &["pause", "bot"]).await);
        assert!(paused.contains("bot is paused"), "{paused}");
        for text in [list, doctor, check] {
            assert!(!text.contains("canary-of-a-url"), "{text}");
        }
        let unknown = forward(&world, &["pause", "bit"]).await;
        assert_eq!(unknown.status.code(), Some(2));
        assert!(said(&unknown).contains("there are: bot"), "{}", said(&unknown));
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn failures_are_shown_with_the_public_id_and_retried() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        receiver.answer(|_| ReceiverAnswer::Status(500));
        let service = start(&world, &receiver.settings("")).await;
        service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
        let noted = async || world.value("SELECT count(*) FROM forward_failures").await == "1";
        crate::support::eventually("the failure is noted", noted).await;
        let failures = said(&forward(&world, &["failures", "bot"]).await);
        let id = receiver.received()[0].header("x-buzon-event").expect("it has an id").to_owned();
        assert!(failures.contains(&id) && failures.contains("500 ok"), "{failures}");
        receiver.answer(|_| ReceiverAnswer::Status(200));
        let retried = said(&forward(&world, &["retry", "bot"]).await);
        assert!(retried.contains("by the service if it runs: "), "{retried}");
        caught_up(&world, "bot").await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_test_is_sent_signed_and_its_answer_shown() {
    let world = World::new(crate::support::database::world::Backend::Sqlite).await;
    let receiver = EventReceiver::start().await;
    settings_file(&world, &receiver.settings("instances = [\"7\"]\n"));
    let good = forward(&world, &["test", "bot"]).await;
    assert!(good.status.success(), "{}", said(&good));
    let event = receiver.received().remove(0);
    assert_eq!(
        (event.json()["event_type"].as_str(), event.json()["instance_id"].as_str()),
        (Some("test_webhook"), Some("7"))
    );
    assert_eq!(event.header("x-whapi-signature"), Some(sign(SECRET, &event.body).as_str()));
    receiver.answer(|_| ReceiverAnswer::Status(401));
    let bad = forward(&world, &["test", "bot"]).await;
    assert_eq!(bad.status.code(), Some(1));
    assert!(said(&bad).contains("answers 401"), "{}", said(&bad));
}
