//! Requests from web pages of other origins.

use reqwest::{Method, RequestBuilder};

use super::media::{Given, given};
use crate::support::client;
use crate::support::database::world::{Backend, World};
use crate::support::events::SECRET;
use crate::support::program::service::{Service, answer};

const PANEL: &str = "https://panel.example.com";
const LOCAL: &str = "http://localhost:5173";
const STRANGER: &str = "https://panel.example.com.evil.example";

async fn service(world: &World, origins: &str) -> Service {
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CORS_ORIGINS", origins)];
    Service::start_with(world, &settings).await
}

/// Sends the preflight request of a browser before a request with a token.
fn preflight(service: &Service, path: &str, origin: &str, method: &str, headers: &str) -> RequestBuilder {
    let url = format!("http://{}{path}", service.api_address);
    let request = client().request(Method::OPTIONS, url).header("Origin", origin);
    request.header("Access-Control-Request-Method", method).header("Access-Control-Request-Headers", headers)
}

/// Returns the words of a list in a header, in lower case and sorted.
fn words(given: &Given, name: &str) -> Vec<String> {
    let mut words: Vec<String> = given.header(name).split(',').map(|word| word.trim().to_lowercase()).collect();
    words.sort();
    words
}

#[test]
async fn a_page_of_a_configured_origin_may_read_with_its_token() {
    let world = World::new(Backend::Sqlite).await;
    let service = service(&world, &format!("{PANEL}/, {LOCAL}")).await;
    for origin in [PANEL, LOCAL] {
        for path in ["/api/v1/nothing", "/api/v1/tickets", "/api/v1/media/x"] {
            let headers = "authorization, if-none-match, range, last-event-id";
            let asked = given(preflight(&service, path, origin, "GET", headers)).await;
            assert_eq!(asked.status, 200, "{asked:?}");
            assert_eq!(asked.header("access-control-allow-origin"), origin);
            assert_eq!(words(&asked, "access-control-allow-methods"), ["get", "head", "post"]);
            let allowed = ["authorization", "cache-control", "content-type", "if-none-match", "last-event-id", "range"];
            assert_eq!(words(&asked, "access-control-allow-headers"), allowed);
            assert_eq!(asked.header("access-control-allow-credentials"), "");
        }
        for request in [service.get("/api/v1/nothing").bearer_auth(service.token()), service.get("/api/v1/nothing")] {
            let read = given(request.header("Origin", origin)).await;
            assert!([401, 404].contains(&read.status));
            assert_eq!(read.header("access-control-allow-origin"), origin);
            let exposed =
                ["accept-ranges", "content-disposition", "content-range", "etag", "retry-after", "x-request-id"];
            assert_eq!(words(&read, "access-control-expose-headers"), exposed);
            assert_eq!(read.header("access-control-allow-credentials"), "");
            let varies = read.headers.get_all("vary").iter().map(|value| value.to_str().expect("the value is text"));
            let varies = varies.collect::<Vec<_>>().join(",").to_lowercase();
            assert!(varies.contains("origin"), "{varies}");
        }
    }
    service.stop().await;
}

#[test]
async fn a_page_of_any_other_origin_may_not_read() {
    let world = World::new(Backend::Sqlite).await;
    let service = service(&world, PANEL).await;
    for origin in [STRANGER, "null", "http://panel.example.com", "https://panel.example.com:8443", "*"] {
        let asked = answer(preflight(&service, "/api/v1/nothing", origin, "GET", "authorization")).await;
        assert_eq!((asked.status.as_u16(), asked.code()), (400, "cors_refused"), "{origin}");
        assert_eq!(asked.header("access-control-allow-origin"), "");
        let read = answer(service.get("/api/v1/nothing").bearer_auth(service.token()).header("Origin", origin)).await;
        assert_eq!(read.status.as_u16(), 404, "a browser keeps the answer from the page");
        assert_eq!(read.header("access-control-allow-origin"), "", "{origin}");
    }
    for (method, headers) in [("DELETE", "authorization"), ("GET", "x-anything")] {
        let asked = answer(preflight(&service, "/api/v1/nothing", PANEL, method, headers)).await;
        assert_eq!((asked.status.as_u16(), asked.code()), (400, "cors_refused"));
    }
    service.stop().await;
}

#[test]
async fn the_answer_to_a_page_that_may_not_read_names_the_setting_for_it() {
    let (world, other) = (World::new(Backend::Sqlite).await, World::new(Backend::Sqlite).await);
    for service in [Service::start(&world).await, service(&other, LOCAL).await] {
        for (path, method) in [("/api/v1/messages", "GET"), ("/api/v1/tickets", "POST"), ("/openapi.json", "GET")] {
            for (origin, named) in [
                (PANEL, "cors_origins = [\"https://panel.example.com\"]"),
                (PANEL, "BUZON_CORS_ORIGINS=https://panel.example.com"),
                ("null", "Origin: null"),
                ("null", "serve it from an address"),
                ("https://panel.example.com/", "cors_origins names those that may"),
                ("*", "cors_origins names those that may"),
            ] {
                let asked = answer(preflight(&service, path, origin, method, "authorization")).await;
                assert_eq!((asked.status.as_u16(), asked.code()), (400, "cors_refused"), "{path} {origin}");
                let detail = asked.body["detail"].as_str().expect("the value is text");
                assert!(detail.contains(named), "{detail}");
                assert_eq!(asked.header("www-authenticate"), "");
            }
        }
        let plain = client().request(Method::OPTIONS, format!("http://{}/api/v1/messages", service.api_address));
        assert_eq!(answer(plain).await.code(), "token_missing", "the request is not a preflight request");
        service.stop().await;
    }
}

/// These requests are not attempts to guess a token.
#[test]
async fn pages_that_may_not_read_do_not_count_as_failed_attempts() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    for _ in 0..100 {
        let asked = answer(preflight(&service, "/api/v1/messages", PANEL, "GET", "authorization")).await;
        assert_eq!(asked.code(), "cors_refused");
    }
    assert_eq!(answer(service.get("/api/v1/messages")).await.code(), "token_missing");
    service.stop().await;
}

#[test]
async fn without_the_setting_and_outside_the_api_no_page_may_read() {
    let world = World::new(Backend::Sqlite).await;
    let (with, other) = (service(&world, PANEL).await, World::new(Backend::Sqlite).await);
    let without = Service::start(&other).await;
    let of_cors = |given: &Given| {
        let names = given.headers.keys().map(|name| name.as_str().to_owned());
        names.filter(|name| name.starts_with("access-control-")).collect::<Vec<_>>()
    };
    for (service, path) in
        [(&without, "/api/v1/nothing"), (&without, "/api/v1/tickets"), (&with, "/webhook"), (&with, "/health/live")]
    {
        let asked = given(preflight(service, path, PANEL, "GET", "authorization")).await;
        let read = given(service.get(path).bearer_auth(service.token()).header("Origin", PANEL)).await;
        assert_eq!((of_cors(&asked), of_cors(&read)), (vec![], vec![]), "{path}");
    }
    with.stop().await;
    without.stop().await;
}
