//! Without a secret, events are accepted from this machine only, unless the owner allows others.

use crate::support::database::world::{Backend, World};
use crate::support::events::{GUIDE, sign};
use crate::support::program::service::{Service, answer};

#[test]
async fn requests_through_a_proxy_a_tunnel_or_a_browser_are_not_from_this_machine() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[]).await;
    for (header, value) in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 nginx"),
        ("CF-Connecting-IP", "127.0.0.1"),
        ("Host", "buzon.example.com"),
        ("Origin", "https://evil.example.com"),
    ] {
        let refused = answer(service.post("/webhook", GUIDE[0].1).header(header, value)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (401, "signature_missing"), "{header}");
        assert!(refused.body["detail"].as_str().is_some_and(|detail| detail.contains("BUZON_WEBHOOK_SECRET")));
    }
    assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    assert!(!answer(service.post("/webhook", GUIDE[0].1)).await.accepted());
    service.stop().await;
}

#[test]
async fn if_the_owner_allows_it_unsigned_events_come_from_anywhere_and_a_signature_proves_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[("BUZON_ALLOW_UNSIGNED", "true")]).await;
    let request = service.post("/webhook", GUIDE[0].1).header("X-Forwarded-For", "203.0.113.9");
    assert!(!answer(request.header("X-Whapi-Signature", sign("whatever it was", GUIDE[0].1))).await.accepted());
    assert_eq!(world.rows("SELECT signed FROM events").await, ["0"]);
    service.stop().await;
}
