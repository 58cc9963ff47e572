//! The instance that an event belongs to.

use serde_json::json;

use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, ack, received, sent, sign};
use crate::support::program::service::{Answer, Service, answer};

const OLD: &str = "the old secret of seven";
const NEW: &str = "the new secret of seven";
const EIGHT: &str = "the only secret of eight";

/// Starts a service with two instances that have secrets of their own, and a secret for the others.
async fn service(world: &World) -> Service {
    let file = world.folder.path().join("buzon.toml");
    let instances = format!(
        "webhook_secret = {SECRET:?}\n[[instances]]\nid = 7\nname = \"Sales\"\nsecrets = [{OLD:?}, {NEW:?}]\n\
         [[instances]]\nid = \"8\"\nsecrets = [{EIGHT:?}]\n"
    );
    std::fs::write(&file, instances).expect("the file can be written");
    Service::start_with(world, &[("BUZON_CONFIG", file.to_str().expect("the value is text"))]).await
}

async fn deliver(service: &Service, path: &str, secret: &str, body: &[u8]) -> Answer {
    answer(service.post(path, body).header("X-Whapi-Signature", sign(secret, body))).await
}

const LEDGER: &str = "SELECT instance_id, state, reason FROM events ORDER BY seq";

#[test]
async fn the_path_the_body_or_the_secret_decides_the_instance_of_an_event() {
    on_both(async |world| {
        let service = service(&world).await;
        let body = |instance: &str, n: u8| received("A", json!({"instance_id": instance, "body": n.to_string()}));
        for (path, secret, body) in [
            ("/webhook/7", OLD, ack("A", "read")),
            ("/webhook/7/", NEW, ack("A", "sent")),
            ("/webhook/9", SECRET, ack("A", "read")),
            ("/webhook", SECRET, body("9", 1)),
            ("/webhook/", NEW, ack("A", "delivered")),
            ("/webhook", EIGHT, body("8", 2)),
            ("/webhook", SECRET, ack("A", "sent")),
        ] {
            assert!(!deliver(&service, path, secret, &body).await.accepted(), "{path}");
        }
        let instances = world.rows("SELECT instance_id FROM events ORDER BY seq").await;
        assert_eq!(instances, ["7", "7", "9", "9", "7", "8", "-"]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_path_of_an_instance_with_secrets_accepts_no_other_secret() {
    on_both(async |world| {
        let service = service(&world).await;
        for (path, secret) in [("/webhook/7", SECRET), ("/webhook/7", EIGHT), ("/webhook/9", EIGHT)] {
            let refused = deliver(&service, path, secret, &ack("A", "read")).await;
            assert_eq!(refused.code(), "signature_mismatch", "{path} {secret}");
        }
        assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_body_that_contradicts_its_path_or_secret_is_kept_but_not_applied() {
    on_both(async |world| {
        let service = service(&world).await;
        let foreign = |n: u8| sent("A", json!({"instance_id": 8, "body": n.to_string()}));
        assert!(!deliver(&service, "/webhook/7", NEW, &foreign(1)).await.accepted());
        assert!(!deliver(&service, "/webhook", NEW, &foreign(2)).await.accepted());
        // The shared secret is not enough for an instance that has secrets of its own.
        assert!(!deliver(&service, "/webhook", SECRET, &foreign(3)).await.accepted());
        let kept = "quarantined|instance_mismatch";
        assert_eq!(world.rows(LEDGER).await, [format!("7|{kept}"), format!("7|{kept}"), format!("-|{kept}")]);
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "0");
        service.stop().await;
    })
    .await;
}

#[test]
async fn an_event_that_names_no_instance_belongs_to_the_only_configured_one() {
    on_both(async |world| {
        let file = world.folder.path().join("buzon.toml");
        std::fs::write(&file, format!("webhook_secret = {SECRET:?}\n[[instances]]\nid = \"123\"\n"))
            .expect("the file can be written");
        let service = Service::start_with(&world, &[("BUZON_CONFIG", file.to_str().expect("the value is text"))]).await;
        service.deliver("/webhook", ack("A", "read")).await.accepted();
        service.deliver("/webhook", received("A", json!({"instance_id": "9"}))).await.accepted();
        assert_eq!(world.rows("SELECT instance_id FROM events ORDER BY seq").await, ["123", "9"]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_path_that_is_not_an_instance_id_is_404() {
    on_both(async |world| {
        let service = service(&world).await;
        for path in [
            format!("/webhook/{}", "7".repeat(65)),
            "/webhook/a%00b".to_owned(),
            "/webhook/7/more".to_owned(),
            "/webhook/%7Binstance_id%7D".to_owned(),
        ] {
            let refused = deliver(&service, &path, SECRET, &ack("A", "read")).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (404, "not_found"), "{path}");
        }
        service.stop().await;
    })
    .await;
}
