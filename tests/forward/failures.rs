//! Receivers that fail, and events that they do not want.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{caught_up, nobody, start, start_clocked, stopped};
use crate::support::clock::MovedClock;
use crate::support::database::tokens::open_beside_server;
use crate::support::database::world::{World, on_both};
use crate::support::events::received;
use crate::support::eventually;
use crate::support::program::service::Service;
use crate::support::receiver::{EventReceiver, ReceiverAnswer, forward_settings};

async fn deliver(service: &Service, id: &str, chat: &str) {
    let chat = format!("{chat}@c.us");
    service.deliver("/webhook/7", received(id, json!({"chat_id": chat, "from": chat}))).await.accepted();
}

async fn failures(world: &World) -> Vec<String> {
    world.rows("SELECT state, attempts, class, status FROM forward_failures ORDER BY seq").await
}

#[test(flavor = "multi_thread")]
async fn an_event_that_the_receiver_cannot_take_is_sent_again_while_others_go_on() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let clock = Arc::new(MovedClock::default());
        receiver.answer(|event| match (event.id().as_str(), event.header("x-buzon-attempt")) {
            ("A", Some("1")) => ReceiverAnswer::Status(503),
            ("A", Some("2")) => ReceiverAnswer::Closed,
            ("A", Some("3")) => ReceiverAnswer::With(429, "Retry-After: 3000\r\n"),
            _ => ReceiverAnswer::Status(204),
        });
        let service = start_clocked(&world, clock.clone(), &receiver.settings("")).await;
        for (id, chat) in [("A", "ana"), ("B", "ana"), ("C", "bob")] {
            deliver(&service, id, chat).await;
        }
        eventually("the other conversation goes on", async || receiver.ids().contains(&"C".to_owned())).await;
        for (attempts, class, wait) in [(1, "status|503", 2), (2, "network|NULL", 4), (3, "status|429", 3_000)] {
            let noted = format!("waiting|{attempts}|{class}");
            eventually("the failure is noted", async || failures(&world).await == [noted.clone()]).await;
            assert!(!receiver.ids().contains(&"B".to_owned()), "the conversation waits");
            clock.forward(Duration::from_secs(wait));
        }
        caught_up(&world, "bot").await;
        assert_eq!(receiver.ids().last().map(String::as_str), Some("B"));
        assert_eq!(receiver.ids().iter().filter(|id| *id == "A").count(), 4);
        assert!(failures(&world).await.is_empty());
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_poison_event_is_given_up_after_three_tries_and_its_lane_goes_on() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let clock = Arc::new(MovedClock::default());
        let is_mended = Arc::new(AtomicBool::new(false));
        let mended = is_mended.clone();
        receiver.answer(move |event| match event.id().as_str() {
            "A" if !mended.load(Ordering::SeqCst) => ReceiverAnswer::Status(422),
            _ => ReceiverAnswer::Status(200),
        });
        let service = start_clocked(&world, clock.clone(), &receiver.settings("")).await;
        for id in ["A", "B", "C"] {
            deliver(&service, id, "ana").await;
        }
        for (attempts, wait) in [(1, 20), (2, 40)] {
            let noted = format!("waiting|{attempts}|status|422");
            eventually("the refusal is noted", async || failures(&world).await == [noted.clone()]).await;
            clock.forward(Duration::from_secs(wait));
        }
        caught_up(&world, "bot").await;
        assert_eq!(receiver.ids(), ["A", "A", "A", "B", "C"]);
        assert_eq!(failures(&world).await, ["dead|3|status|422"]);
        assert_eq!(world.value("SELECT delivered, given_up FROM forwards").await, "2|1");
        assert_eq!(world.value("SELECT error FROM forward_failures").await, "ok");
        is_mended.store(true, Ordering::SeqCst);
        let store = open_beside_server(&world).await;
        let bot = buzon::domain::forward::ForwardName::new("bot").expect("it is a name");
        let now = buzon::platform::clock::Clock::now(&*clock);
        assert_eq!(store.retry_forward(&bot, false, now).await.expect("the store answers"), 0);
        assert_eq!(store.retry_forward(&bot, true, now).await.expect("the store answers"), 1);
        eventually("the dead one is sent", async || failures(&world).await.is_empty()).await;
        assert_eq!(receiver.ids(), ["A", "A", "A", "B", "C", "A"]);
        assert_eq!(receiver.received().last().and_then(|event| event.header("x-buzon-attempt")), Some("4"));
        store.close().await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_time_out_is_tried_three_times_and_no_more() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let clock = Arc::new(MovedClock::default());
        receiver.answer(|_| ReceiverAnswer::Silence);
        let service = start_clocked(&world, clock.clone(), &receiver.settings("timeout = \"1s\"\n")).await;
        deliver(&service, "A", "ana").await;
        for attempts in [1, 2] {
            let noted = format!("waiting|{attempts}|timeout|NULL");
            eventually("the time-out is noted", async || failures(&world).await == [noted.clone()]).await;
            clock.forward(Duration::from_secs(4));
        }
        eventually("it is given up", async || failures(&world).await == ["dead|3|timeout|NULL"]).await;
        assert_eq!(receiver.count(), 3);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_wrong_receiver_stops_the_forward_without_any_loss() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let answers = [
            ReceiverAnswer::Status(401),
            ReceiverAnswer::Status(403),
            ReceiverAnswer::Status(404),
            ReceiverAnswer::Status(410),
            ReceiverAnswer::With(302, "Location: /elsewhere\r\n"),
        ];
        let service = start(&world, &receiver.settings("")).await;
        let store = open_beside_server(&world).await;
        let bot = buzon::domain::forward::ForwardName::new("bot").expect("it is a name");
        for (number, answer) in answers.into_iter().enumerate() {
            receiver.answer(move |_| answer.clone());
            let before = receiver.count();
            for event in 0..10 {
                deliver(&service, &format!("{number}-{event}"), &event.to_string()).await;
            }
            stopped(&world, true).await;
            assert!(receiver.count() - before <= 9, "only those that were under way, and a probe");
            receiver.answer(|_| ReceiverAnswer::Status(200));
            let now = buzon::platform::clock::Clock::now(&buzon::platform::clock::SystemClock);
            store.retry_forward(&bot, false, now).await.expect("the store answers");
            caught_up(&world, "bot").await;
            stopped(&world, false).await;
            assert!(failures(&world).await.is_empty());
        }
        assert!(receiver.received().iter().all(|event| event.path != "/elsewhere"), "no redirect is followed");
        assert_eq!(world.value("SELECT delivered, given_up FROM forwards").await, "50|0");
        store.close().await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn five_conversations_that_fail_stop_the_forward_and_nothing_counts_against_their_events() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        receiver.answer(|_| ReceiverAnswer::Status(400));
        let service = start(&world, &receiver.settings("")).await;
        for chat in 0..9 {
            deliver(&service, &chat.to_string(), &chat.to_string()).await;
        }
        stopped(&world, true).await;
        assert_eq!(world.value("SELECT stopped_reason FROM forwards").await, "status 400");
        let counted = "SELECT count(*) FROM forward_failures WHERE state = 'dead' OR refusals > 0";
        assert_eq!(world.value(counted).await, "0");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_stops_the_forward_and_an_unknown_host_too() {
    on_both(async |world| {
        let forwards = forward_settings("bot", nobody().await, "")
            + "[[forwards]]\nname = \"dns\"\nurl = \"http://no-such-host.invalid/\"\nmax_age = \"none\"\n";
        let service = start(&world, &forwards).await;
        for chat in 0..9 {
            deliver(&service, &chat.to_string(), &chat.to_string()).await;
        }
        stopped(&world, true).await;
        assert_eq!(world.value("SELECT stopped_reason, position FROM forwards WHERE name = 'bot'").await, "network|0");
        let dns = "SELECT stopped_reason FROM forwards WHERE name = 'dns'";
        eventually("the unknown host is noticed", async || world.value(dns).await == "dns").await;
        service.stop().await;
    })
    .await;
}
