//! A message that was edited or deleted, and a chat with notices alone, as the API shows them.

use buzon::http::stream::streams::StreamPace;
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{SECRET, event, received};
use crate::support::program::service::{Service, answer};

async fn get(service: &Service, path: &str) -> Value {
    let answer = answer(service.get(path).bearer_auth(service.token())).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[test]
async fn a_message_shows_its_texts_and_when_it_was_edited_and_deleted() {
    on_both(async |world| {
        let store = world.open().await;
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];
        let service = Service::start_paced(&world, store.clone(), &settings, StreamPace::default());
        let copies = [
            json!({"body": "Dos pizas", "media_url": format!("data:image/png;base64,{}", "A".repeat(4_000))}),
            json!({"body": "Dos pizzas"}),
            json!({"body": "Tres pizzas", "timestamp": 1_724_716_860}),
            json!({"body": "", "type": "revoked", "timestamp": 1_724_716_920}),
        ];
        for (fields, n) in copies.into_iter().zip(0..) {
            record(&store, &[event("7", received("A", fields), later(1_000 * n))]).await;
        }
        record(&store, &[event("7", received("B", json!({"body": "Hola"})), ARRIVAL)]).await;
        let message = get(&service, "/api/v1/messages/7/A").await;
        let shown = ["body", "type", "sent_at", "occurred_at", "edited_at", "revoked_at", "is_service"];
        let at = |minute: &str| format!("2024-08-27T00:{minute}:00Z");
        assert_eq!(
            shown.map(|name| message[name].clone()),
            [
                json!("Tres pizzas"),
                json!("text"),
                json!(at("00")),
                json!(at("00")),
                json!(at("01")),
                json!(at("02")),
                json!(false)
            ]
        );
        let ids = world.event_ids().await;
        let text = |body: &str, sent_at: String, received_at: &str, number: usize| {
            json!({"body": body, "sent_at": sent_at, "received_at": received_at, "event_id": ids[number - 1]})
        };
        let versions = json!([
            text("Dos pizas", at("00"), "2024-08-27T00:06:40.004Z", 1),
            text("Dos pizzas", at("00"), "2024-08-27T00:06:41.004Z", 2),
            text("Tres pizzas", at("01"), "2024-08-27T00:06:42.004Z", 3),
        ]);
        assert_eq!((&message["versions"], &message["versions_truncated"]), (&versions, &json!(false)));
        let other = get(&service, "/api/v1/messages/7/B").await;
        assert_eq!((&other["edited_at"], &other["revoked_at"]), (&Value::Null, &Value::Null));
        assert_eq!(other["versions"].as_array().map(Vec::len), Some(1));
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_versions_of_a_message_are_limited_in_number_and_bytes() {
    on_both(async |world| {
        let store = world.open().await;
        let service =
            Service::start_paced(&world, store.clone(), &[("BUZON_WEBHOOK_SECRET", SECRET)], StreamPace::default());
        let copy = |id: &str, body: String, n: i64| event("7", received(id, json!({"body": body})), later(n));
        for (id, copies, size) in [("few", 200, 10), ("many", 201, 10), ("large", 3, 1_500_000), ("huge", 2, 4_000_000)]
        {
            let all: Vec<_> = (0..copies).map(|n| copy(id, format!("{n} {}", "x".repeat(size)), n)).collect();
            for batch in all.chunks(100) {
                record(&store, batch).await;
            }
        }
        for (id, versions, truncated) in
            [("few", 200, false), ("many", 200, true), ("large", 2, true), ("huge", 1, true)]
        {
            let message = get(&service, &format!("/api/v1/messages/7/{id}")).await;
            assert_eq!(message["versions"].as_array().map(Vec::len), Some(versions), "{id}");
            assert_eq!(message["versions_truncated"], truncated, "{id}");
        }
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_chat_with_notices_alone_is_in_no_list_and_is_found_by_its_id() {
    on_both(async |world| {
        let store = world.open().await;
        let service =
            Service::start_paced(&world, store.clone(), &[("BUZON_WEBHOOK_SECRET", SECRET)], StreamPace::default());
        let chat = "573007778899@c.us";
        let notice = received("N", json!({"chat_id": chat, "from": chat, "type": "call_log", "body": ""}));
        record(&store, &[event("7", received("A", json!({})), ARRIVAL), event("7", notice, ARRIVAL)]).await;
        for query in ["", "?contact=573007778899", "?unanswered=true", "?q=7778899"] {
            let chats = get(&service, &format!("/api/v1/chats{query}")).await;
            let found = chats["data"].as_array().expect("there is a page").iter();
            assert!(found.into_iter().all(|found| found["chat_id"] != chat), "{query}");
        }
        let one = get(&service, &format!("/api/v1/chats/7/{chat}")).await;
        let shown = ["message_count", "last_message_at", "last_message", "unanswered_since"].map(|name| &one[name]);
        assert_eq!(shown, [&json!(0), &Value::Null, &Value::Null, &Value::Null]);
        let messages = get(&service, &format!("/api/v1/chats/7/{chat}/messages")).await;
        let shown = ["id", "is_service"].map(|name| &messages["data"][0][name]);
        assert_eq!(shown, [&json!("N"), &json!(true)]);
        let counts = get(&service, "/api/v1/stats/messages?since=2024-08-01&until=2024-09-01").await;
        assert!(!counts.to_string().contains("call_log"), "{counts}");
        service.stop().await;
    })
    .await;
}
