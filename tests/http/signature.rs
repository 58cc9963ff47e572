//! If there is a secret, only signed events are accepted.

use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received, sign};
use crate::support::program::service::{Answer, Service, answer};
use serde_json::json;

const HEADER: &str = "X-Whapi-Signature";

async fn post(service: &Service, body: &[u8], signatures: &[&str]) -> Answer {
    let request = service.post("/webhook", body);
    answer(signatures.iter().fold(request, |request, signature| request.header(HEADER, *signature))).await
}

#[test]
async fn a_good_signature_passes_in_either_case_and_with_its_prefix() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let body = |n: u8| received(&format!("A{n}"), json!({}));
    let signed = |n: u8| sign(SECRET, &body(n));
    for (n, signature) in [
        (1, signed(1)),
        (2, signed(2).to_uppercase()),
        (3, format!("sha256={}", signed(3))),
        (4, format!("sha256={}", signed(4).to_uppercase())),
        (5, format!(" {} ", signed(5))),
    ] {
        assert!(!post(&service, &body(n), &[&signature]).await.accepted(), "{signature}");
    }
    assert_eq!(world.rows("SELECT DISTINCT signed FROM events").await, ["1"]);
    service.stop().await;
}

#[test]
async fn any_other_signature_is_401_and_nothing_is_stored() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let body = received("A", json!({}));
    let good = sign(SECRET, &body);
    let mut flipped = good.clone().into_bytes();
    flipped[10] = if flipped[10] == b'0' { b'1' } else { b'0' };
    let flipped = String::from_utf8(flipped).expect("the value is text");
    let long = "a".repeat(10_000);
    for (signatures, code) in [
        (&[][..], "signature_missing"),
        (&[""], "signature_missing"),
        (&[&good, &good], "signature_mismatch"),
        (&[&good[..63]], "signature_mismatch"),
        (&[&format!("{good}0")], "signature_mismatch"),
        (&[&long], "signature_mismatch"),
        (&[&"g".repeat(64)], "signature_mismatch"),
        (&[&flipped], "signature_mismatch"),
        (&[&sign("another secret, just as long", &body)], "signature_mismatch"),
        (&[&sign(SECRET, b"another body")], "signature_mismatch"),
        (&[&format!("sha1={good}")], "signature_mismatch"),
    ] {
        let refused = post(&service, &body, signatures).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (401, code), "{signatures:?}");
    }
    assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    service.stop().await;
}

#[test]
async fn the_signature_is_over_the_bytes_and_not_over_their_meaning() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let body = br#"{"event_type":"test_webhook","n":1}"#;
    let rewritten = br#"{"event_type": "test_webhook", "n": 1}"#;
    let refused = post(&service, rewritten, &[&sign(SECRET, body)]).await;
    assert_eq!(refused.code(), "signature_mismatch");
    service.stop().await;
}

#[test]
async fn an_empty_body_can_be_signed_too() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    assert_eq!(post(&service, b"", &[]).await.code(), "signature_missing");
    assert!(!post(&service, b"", &[&sign(SECRET, b"")]).await.accepted());
    assert_eq!(world.rows("SELECT state, reason FROM events").await, ["quarantined|not_json"]);
    service.stop().await;
}
