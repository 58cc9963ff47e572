//! The events with which buzon tells receivers of erasures.

use serde_json::{Value, json};

use super::{caught_up, start};
use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, received, sign};
use crate::support::program::process::run;
use crate::support::receiver::{EventReceiver, ReceivedEvent, forward_settings};

const ANA: &str = "573155550199@c.us";
const LISTED: &str = "events = [\"message_received\", \"buzon_erased\"]\n";

async fn command(world: &World, arguments: &[&str]) -> String {
    let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_WEBHOOK_SECRET", SECRET)];
    let output = run(world.folder.path(), arguments, &settings).await;
    let said = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success() || said.contains("--yes"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Erases Ana beside the service, with these further arguments.
async fn erase(world: &World, further: &[&str]) {
    let rehearsed = command(world, &[&["erase", "person", ANA], further].concat()).await;
    let (_, after) = rehearsed.split_once("--yes ").expect("the rehearsal has a code");
    let code = after.split_whitespace().next().expect("the rehearsal has a code");
    command(world, &[&["erase", "person", ANA], further, &["--yes", code]].concat()).await;
}

fn notices(receiver: &EventReceiver) -> Vec<ReceivedEvent> {
    receiver.received().into_iter().filter(|event| event.header("x-buzon-kind").is_some()).collect()
}

#[test(flavor = "multi_thread")]
async fn a_forward_that_lists_it_learns_of_each_erasure_that_is_about_its_instances() {
    on_both(async |world| {
        let [bot, other, plain] =
            [EventReceiver::start().await, EventReceiver::start().await, EventReceiver::start().await];
        let of = |instance: &str| format!("max_age = \"1h\"\ninstances = [\"{instance}\"]\n{LISTED}");
        let forwards = bot.settings(&of("7"))
            + &forward_settings("other", other.address, &of("8"))
            + &forward_settings("plain", plain.address, "");
        let service = start(&world, &forwards).await;
        let deliver = async |id: &str| {
            let body = received(id, json!({"chat_id": ANA, "from": ANA}));
            service.deliver("/webhook/7", body).await.accepted();
        };
        deliver("A").await;
        erase(&world, &["--instance", "7"]).await;
        for name in ["bot", "other", "plain"] {
            caught_up(&world, name).await;
        }
        let notice = notices(&bot).pop().expect("it came");
        assert_eq!(notice.header("x-buzon-kind"), Some("erasure"));
        assert_eq!(notice.header("x-whapi-signature"), Some(sign(SECRET, &notice.body).as_str()));
        let said: Value = notice.json();
        assert_eq!((&said["event_type"], &said["instance_id"]), (&json!("buzon_erased"), &json!("7")));
        assert!(!String::from_utf8_lossy(&notice.body).contains("57315555"), "{said}");
        assert_eq!((notices(&other).len(), notices(&plain).len()), (0, 0));

        deliver("B").await;
        erase(&world, &[]).await;
        for name in ["bot", "other", "plain"] {
            caught_up(&world, name).await;
        }
        for receiver in [&bot, &other] {
            let notice = notices(receiver).pop().expect("it came");
            assert_eq!(notice.json()["instance_id"], Value::Null);
        }
        assert_eq!((notices(&bot).len(), notices(&other).len(), notices(&plain).len()), (2, 1, 0));
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_notice_of_an_erasure_is_sent_however_old_it_is() {
    on_both(async |world| {
        let bot = EventReceiver::start().await;
        let settings = bot.settings(&format!("max_age = \"1h\"\n{LISTED}"));
        let service = start(&world, &settings).await;
        service.deliver("/webhook/7", received("A", json!({"chat_id": ANA, "from": ANA}))).await.accepted();
        caught_up(&world, "bot").await;
        command(&world, &["forward", "pause", "bot"]).await;
        erase(&world, &[]).await;
        world
            .execute("UPDATE events SET received_at = '2024-08-27T00:00:00.000Z' WHERE event_type = 'buzon_erased'")
            .await;
        command(&world, &["forward", "resume", "bot", "--from", "position"]).await;
        caught_up(&world, "bot").await;
        assert_eq!(notices(&bot).len(), 1);
        service.stop().await;
    })
    .await;
}
