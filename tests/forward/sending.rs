//! The events that are sent, and their form.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{caught_up, start};
use crate::support::database::world::on_both;
use crate::support::events::{GUIDE, SECRET, received, sent, sign};
use crate::support::eventually;
use crate::support::program::service::answer;
use crate::support::receiver::{EventReceiver, ReceiverAnswer, forward_settings};

#[test(flavor = "multi_thread")]
async fn an_event_is_sent_byte_for_byte_with_the_gateways_signature_and_its_public_id() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let service = start(&world, &receiver.settings("")).await;
        for (_, body) in GUIDE {
            service.deliver("/webhook/123", body).await.accepted();
        }
        caught_up(&world, "bot").await;
        let mut bodies: Vec<Vec<u8>> = GUIDE.iter().map(|(_, body)| body.to_vec()).collect();
        for event in receiver.received() {
            let at = bodies.iter().position(|body| *body == event.body).expect("it is one of those that were sent");
            bodies.remove(at);
            let hash = hex::encode(Sha256::digest(&event.body));
            assert_eq!(event.path, "/hook?token=canary-of-a-url");
            assert_eq!(event.header("content-type"), Some("application/json"));
            assert_eq!(event.header("x-whapi-signature"), Some(sign(SECRET, &event.body).as_str()));
            assert_eq!(event.header("x-buzon-event"), Some(format!("123/{}", &hash[..32]).as_str()));
            assert_eq!((event.header("x-buzon-attempt"), event.header("x-buzon-replay")), (Some("1"), None));
        }
        assert!(bodies.is_empty(), "{} were not sent", bodies.len());
        assert_eq!(world.value("SELECT delivered, skipped_stale, given_up FROM forwards").await, "5|0|0");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_events_of_a_conversation_come_in_their_order() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let service = start(&world, &receiver.settings("")).await;
        for number in 0..200 {
            let chat = format!("57300111{:04}@c.us", number % 7);
            let body = received(
                &format!("{number:03}"),
                json!({"chat_id": chat, "from": chat, "timestamp": 1724716800 + number}),
            );
            service.deliver("/webhook/7", body).await.accepted();
        }
        caught_up(&world, "bot").await;
        assert_eq!(receiver.count(), 200);
        for chat in 0..7 {
            let of_chat =
                receiver.ids().into_iter().filter(|id| id.parse::<u32>().expect("it is a number") % 7 == chat);
            assert!(of_chat.is_sorted(), "chat {chat}");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_forward_has_its_own_choice_and_its_own_secret() {
    on_both(async |world| {
        let (bot, archive) = (EventReceiver::start().await, EventReceiver::start().await);
        let secret = world.folder.path().join("bot-secret");
        std::fs::write(&secret, "another secret of the bot\n").expect("there is room");
        let chosen =
            format!("instances = [\"7\"]\nevents = [\"message_received\"]\nsecret_file = \"{}\"\n", secret.display());
        let archived = forward_settings("archive", archive.address, "quarantined = true\n");
        let service = start(&world, &(bot.settings(&chosen) + &archived)).await;
        service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
        service.deliver("/webhook/7", sent("B", json!({}))).await.accepted();
        service.deliver("/webhook/8", received("C", json!({}))).await.accepted();
        service.deliver("/webhook/7", b"not JSON").await.accepted();
        service.deliver("/webhook/7", received("E", json!({"instance_id": "8"}))).await.accepted();
        service.deliver("/webhook/7", br#"{"event_type":"buzon_erased","id":"F"}"#).await.accepted();
        caught_up(&world, "bot").await;
        caught_up(&world, "archive").await;
        assert_eq!(bot.ids(), ["A"]);
        let event = bot.received().remove(0);
        assert_eq!(event.header("x-whapi-signature"), Some(sign("another secret of the bot", &event.body).as_str()));
        let mut bodies: Vec<Vec<u8>> = archive.received().into_iter().map(|event| event.body).collect();
        bodies.sort();
        let mut wanted =
            vec![received("A", json!({})), sent("B", json!({})), received("C", json!({})), b"not JSON".to_vec()];
        wanted.sort();
        assert_eq!(bodies, wanted, "quarantined, but neither another instance's nor forged");
        assert_eq!(
            world.value("SELECT state, reason FROM events WHERE event_type = 'buzon_erased'").await,
            "quarantined|reserved:event_type"
        );
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn what_another_buzon_has_handed_on_is_stored_and_not_handed_on() {
    on_both(async |world| {
        let receiver = EventReceiver::start().await;
        let service = start(&world, &receiver.settings("")).await;
        let body = received("A", json!({}));
        let post = service.post("/webhook/7", &body).header("X-Whapi-Signature", sign(SECRET, &body));
        answer(post.header("X-Buzon-Event", "7/0123456789abcdef0123456789abcdef")).await.accepted();
        service.deliver("/webhook/7", received("B", json!({}))).await.accepted();
        caught_up(&world, "bot").await;
        assert_eq!(receiver.ids(), ["B"]);
        assert_eq!(world.rows("SELECT id FROM messages ORDER BY id").await, ["A", "B"]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_unsigned_event_goes_where_it_is_asked_for_and_nobody_signs_it() {
    on_both(async |world| {
        let (bot, open) = (EventReceiver::start().await, EventReceiver::start().await);
        let forwards = bot.settings("") + &forward_settings("open", open.address, "unsigned = true\n");
        let path = super::settings_file(&world, &forwards);
        super::register(&world, &forwards).await;
        let config = path.to_str().expect("it is text");
        let service = crate::support::program::service::Service::start_with(&world, &[("BUZON_CONFIG", config)]).await;
        answer(service.post("/webhook/7", received("A", json!({})))).await.accepted();
        caught_up(&world, "bot").await;
        caught_up(&world, "open").await;
        assert_eq!((bot.count(), open.count()), (0, 1));
        assert_eq!(open.received()[0].header("x-whapi-signature"), None);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_neither_delays_events_nor_other_forwards() {
    on_both(async |world| {
        let (mute, bot) = (EventReceiver::start().await, EventReceiver::start().await);
        mute.answer(|_| ReceiverAnswer::Silence);
        let endless = EventReceiver::start().await;
        endless.answer(|_| ReceiverAnswer::Endless);
        let forwards = forward_settings("mute", mute.address, "timeout = \"120s\"\n")
            + &forward_settings("endless", endless.address, "")
            + &bot.settings("");
        let service = start(&world, &forwards).await;
        for number in 0..50 {
            let chat = format!("{number}@c.us");
            service.deliver("/webhook/7", received(&number.to_string(), json!({"chat_id": chat}))).await.accepted();
        }
        caught_up(&world, "bot").await;
        eventually("8 requests are under way", async || mute.count() == 8).await;
        assert_eq!(bot.count(), 50);
        eventually("an endless answer is a success", async || endless.count() == 50).await;
        assert_eq!(mute.count(), 8);
        service.stop().await;
    })
    .await;
}
