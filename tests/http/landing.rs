//! The pages for somebody who opens an address of the service and does not know where to go. At `/` it is shown where the
//! page for browsers is turned off, and to other clients.

use crate::support::client;
use crate::support::clients::browser;
use crate::support::database::world::{Backend, World};
use crate::support::program::service::{Service, answer};

const PAGES: [&str; 5] = ["/", "/api/v1", "/api/v1/", "/health", "/health/"];
const NO_DASHBOARD: &[(&str, &str)] = &[("BUZON_DASHBOARD", "false")];
/// The `Accept` header of Chromium.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

fn links(page: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.map(str::to_owned).collect()
}

#[test]
async fn a_browser_is_shown_a_sentence_and_links_that_lead_somewhere() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, NO_DASHBOARD).await;
    for path in PAGES {
        let shown = service.get(path).header("Accept", BROWSER).send().await.expect("the server answers");
        assert_eq!(shown.status(), 200, "{path}");
        let header = |name: &str| shown.headers()[name].to_str().expect("the value is text").to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("vary"), "Accept");
        assert!(header("content-security-policy").starts_with("default-src 'none';"), "{path}");
        let page = shown.text().await.expect("the value is text");
        assert!(page.contains("<p>") && !page.contains(&service.token()), "{path}: {page}");
        let links = links(&page);
        assert!(!links.is_empty(), "{path}: {page}");
        for link in links {
            let there = service.get(&link).send().await.expect("the server answers");
            assert_eq!(there.status(), 200, "{path} leads to {link}");
        }
    }
    service.stop().await;
}

#[test]
async fn another_client_is_shown_the_same_as_text() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, NO_DASHBOARD).await;
    for path in PAGES {
        let page = service.get(path).header("Accept", BROWSER).send().await.expect("the server answers");
        let links = links(&page.text().await.expect("the value is text"));
        // curl accepts anything, and some clients send no `Accept` header.
        for request in [service.get(path).header("Accept", "*/*"), service.get(path)] {
            let shown = request.send().await.expect("the server answers");
            assert_eq!(shown.headers()["content-type"], "text/plain; charset=utf-8", "{path}");
            let text = shown.text().await.expect("the value is text");
            assert!(!text.contains('<') && text.ends_with('\n'), "{path}: {text}");
            assert!(links.iter().all(|link| text.contains(link)), "{path}: {text}");
        }
        let head = client().head(format!("http://{}{path}", service.address)).send().await.expect("the server answers");
        assert_eq!(
            (head.status().as_u16(), head.text().await.expect("the value is text").as_str()),
            (200, ""),
            "{path}"
        );
    }
    service.stop().await;
}

/// This is the listener that a tunnel publishes.
#[test]
async fn a_listener_for_events_only_says_that_it_runs_and_nothing_else() {
    let world = World::new(Backend::Sqlite).await;
    let service =
        Service::start_with(&world, &[("BUZON_API_LISTEN", "127.0.0.2:0"), ("BUZON_DASHBOARD", "false")]).await;
    let webhook = |path: &str| client().get(format!("http://{}{path}", service.address)).header("Accept", BROWSER);
    let page = webhook("/").send().await.expect("the server answers").text().await.expect("the value is text");
    assert!(page.contains("<p>This receives webhooks; it is running.</p>"), "{page}");
    for revealing in ["buzon", env!("CARGO_PKG_VERSION"), "href"] {
        assert!(!page.contains(revealing), "{revealing}: {page}");
    }
    for path in ["/api/v1", "/api/v1/", "/docs/"] {
        assert_eq!(answer(webhook(path)).await.code(), "not_found", "{path}");
    }
    let api = service.get("/").header("Accept", BROWSER).send().await.expect("the server answers");
    assert!(api.text().await.expect("the value is text").contains("href=\"/docs/\""));
    service.stop().await;
}

#[test]
async fn a_real_browser_shows_it() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, NO_DASHBOARD).await;
    let page = browser::open(&format!("http://{}/", service.api_address)).await.expect("the browser shows the page");
    assert!(page.contains("<title>buzon</title>") && page.contains("<a href=\"/docs/\">/docs/</a>"), "{page}");
    service.stop().await;
}
