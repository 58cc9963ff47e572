//! The token of the read API, and the health of the service.

use serde_json::json;

use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received, sign};
use crate::support::program::service::{Service, answer};

#[test]
async fn the_read_api_always_needs_the_token() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let token = std::fs::read_to_string(world.data_dir().join("api-token")).expect("the first start generated a token");
    let token = token.trim();
    assert_eq!(token.len(), 64);
    for (authorization, code) in [
        (None, "token_missing"),
        (Some("Basic YTpi".to_owned()), "token_missing"),
        (Some("Bearer ".to_owned()), "token_missing"),
        (Some(format!("Bearer {}", &token[..63])), "token_invalid"),
        (Some(format!("Bearer {token}0")), "token_invalid"),
    ] {
        let request = service.get("/api/v1/messages");
        let request = authorization.iter().fold(request, |request, value| request.header("Authorization", value));
        let refused = answer(request).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (401, code), "{authorization:?}");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    let passed = answer(service.get("/api/v1/nothing").bearer_auth(token)).await;
    assert_eq!((passed.status.as_u16(), passed.code()), (404, "not_found"));
    service.stop().await;
}

#[test]
async fn answers_end_with_a_line_break_for_people_at_a_terminal() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let (token, body) = (service.token(), received("A", json!({})));
    let post = |path: &str| service.post(path, &body);
    for (request, status) in [
        (post("/webhook/7").header("X-Whapi-Signature", sign(SECRET, &body)), 200),
        (post("/webhook/7"), 401),
        (post("/api/v1/tickets").bearer_auth(&token), 201),
        (service.get("/api/v1/messages/7/A").bearer_auth(&token), 200),
        (service.get("/api/v1/messages/7/B").bearer_auth(&token), 404),
        (service.get("/api/v1/messages"), 401),
        (service.get("/openapi.json"), 200),
        (service.get("/health/live"), 200),
        (service.get("/health/ready"), 200),
        (service.get("/nothing"), 404),
    ] {
        let response = request.send().await.expect("the server answers");
        let (url, answered) = (response.url().clone(), response.status().as_u16());
        let text = response.text().await.expect("the value is text");
        assert_eq!(answered, status, "{url}");
        assert!(text.ends_with("}\n"), "{url}: {text:?}");
    }
    service.stop().await;
}

#[test]
async fn a_configured_token_is_the_one_that_counts() {
    let world = World::new(Backend::Sqlite).await;
    let token = "0123456789abcdef0123456789abcdef";
    let service = Service::start_with(&world, &[("BUZON_API_TOKEN", token)]).await;
    assert_eq!(answer(service.get("/api/v1/nothing").bearer_auth(token)).await.status.as_u16(), 404);
    assert!(!world.data_dir().join("api-token").exists());
    service.stop().await;
}

#[test]
async fn the_api_can_listen_elsewhere_and_then_only_there() {
    let world = World::new(Backend::Sqlite).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_API_LISTEN", "127.0.0.2:0")];
    let service = Service::start_with(&world, &settings).await;
    assert_ne!(service.address, service.api_address);
    assert_eq!(answer(service.get("/api/v1/x")).await.code(), "token_missing");
    let on_webhook = crate::support::client().get(format!("http://{}/api/v1/x", service.address));
    assert_eq!(answer(on_webhook).await.code(), "not_found");
    assert_eq!(answer(service.get("/webhook")).await.code(), "not_found");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(answer(service.get(path)).await.status.as_u16(), 200);
    }
    service.stop().await;
}

#[test]
async fn a_service_that_can_store_is_live_and_ready() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        assert_eq!(answer(service.get("/health/live")).await.body["status"], "live");
        assert_eq!(answer(service.get("/health/ready")).await.body["status"], "ready");
        let head = crate::support::client().head(format!("http://{}/health/ready", service.address)).send().await;
        assert_eq!(head.expect("the server answers").status().as_u16(), 200);
        service.stop().await;
    })
    .await;
}
