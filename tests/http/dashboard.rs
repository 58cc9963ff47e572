//! The page at `/`: what is served, and to whom.

use crate::support::database::world::{Backend, World};
use crate::support::program::service::{Service, answer};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

async fn page(service: &Service) -> reqwest::Response {
    service.get("/").header("Accept", BROWSER).send().await.expect("the server answers")
}

/// Returns the paths of the files that the page names.
fn assets(page: &str) -> Vec<String> {
    let named = page.split(['"', '\'']).filter(|text| text.starts_with("assets/"));
    named.map(|path| format!("/{path}")).collect()
}

#[test]
async fn the_page_is_the_same_for_everybody_and_may_run_nothing_but_its_own_files() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let shown = page(&service).await;
    let header = |name: &str| shown.headers()[name].to_str().expect("it is text").to_owned();
    assert_eq!(
        (header("content-type"), header("cache-control")),
        ("text/html; charset=utf-8".into(), "no-cache".into())
    );
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    for part in ["require-trusted-types-for 'script'", "trusted-types 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("data:"), "{policy}");
    let page = shown.text().await.expect("it is text");
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains(&service.token()), "{page}");
    let assets = assets(&page);
    assert!(assets.len() > 10, "{assets:?}");
    for asset in assets {
        let file = service.get(&asset).header("Accept-Encoding", "gzip").send().await.expect("the server answers");
        assert_eq!(file.status(), 200, "{asset}");
        assert_eq!(file.headers()["cache-control"], "public, max-age=31536000, immutable", "{asset}");
        assert_eq!(file.headers()["x-content-type-options"], "nosniff", "{asset}");
    }
    for unknown in ["/assets/0000000000000000/app.js", "/assets/../Cargo.toml", "/assets/x/..%2f..%2fCargo.toml"] {
        assert_eq!(answer(service.get(unknown)).await.code(), "not_found", "{unknown}");
    }
    service.stop().await;
}

#[test]
async fn the_page_can_be_turned_off_and_needs_a_host_of_its_own() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[("BUZON_DASHBOARD", "false")]).await;
    let shown = page(&service).await.text().await.expect("it is text");
    assert!(!shown.contains("assets/") && shown.contains("href=\"/docs/\""), "{shown}");
    service.stop().await;
}
