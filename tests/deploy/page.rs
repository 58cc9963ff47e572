//! The page at `/` behind the shipped proxies, for one's own networks and, in the variant that the files explain, for everybody.

use serde_json::json;

use super::reverse_proxy::{HOST, OWNER, Proxy, RunningProxy, STRANGER, Upstreams};
use crate::support::clients::steps::Browsing;
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received};
use crate::support::program::process::Buzon;
use crate::support::program::service::answer;

const TOKEN: &str = "0123456789abcdef-token-of-the-owner";
const SETTINGS: [(&str, &str); 5] = [
    ("BUZON_API_LISTEN", "127.0.0.2:0"),
    ("BUZON_WEBHOOK_SECRET", SECRET),
    ("BUZON_API_TOKEN", TOKEN),
    ("BUZON_TRUSTED_PROXIES", "127.0.0.1"),
    ("BUZON_PUBLIC_URL", "https://buzon.example.com"),
];

#[test(flavor = "multi_thread")]
async fn a_browser_uses_the_page_behind_each_proxy() {
    for proxy in [Proxy::Nginx, Proxy::Caddy] {
        println!("behind {proxy:?}");
        let world = World::empty(Backend::Sqlite).await;
        let buzon = Buzon::serve(&world, &SETTINGS).await;
        let front = RunningProxy::start(proxy, Upstreams::of(buzon.address, buzon.api_address)).await;
        assert!(!buzon.deliver(received("A", json!({}))).await.accepted());
        let (page, webhook) = (format!("https://{HOST}/"), format!("http://{}", buzon.address));
        let resolve = format!("MAP {HOST}:443 127.0.0.1:{}", front.port());
        let mut browsing = Browsing::start("proxied", (&page, &webhook), TOKEN, &[("RESOLVE", &resolve)]);
        assert_eq!(browsing.asked().await, None);
        buzon.kill().await;
    }
}

/// The variant opens the page and the API to everybody, and nothing else.
#[test(flavor = "multi_thread")]
async fn the_variant_for_the_whole_internet_shows_strangers_the_page_and_a_login() {
    for proxy in [Proxy::Nginx, Proxy::Caddy] {
        println!("behind {proxy:?}");
        let world = World::empty(Backend::Sqlite).await;
        let buzon = Buzon::serve(&world, &SETTINGS).await;
        let upstreams = Upstreams { open: true, ..Upstreams::of(buzon.address, buzon.api_address) };
        let front = RunningProxy::start(proxy, upstreams).await;
        for from in [OWNER, STRANGER] {
            let client = front.client(from);
            let page = client.get(front.url("/")).header("Accept", "text/html").send().await.expect("it answers");
            assert_eq!(page.status(), 200);
            let page = page.text().await.expect("it is text");
            for asset in page.split('"').filter(|text| text.starts_with("assets/")) {
                let file = client.get(front.url(&format!("/{asset}"))).send().await.expect("it answers");
                assert_eq!(file.status(), 200, "{asset}");
            }
            assert_eq!(answer(client.get(front.url("/api/v1/session"))).await.code(), "token_missing");
            let login = client.post(front.url("/api/v1/session")).header("Content-Type", "application/json");
            let login = login.header("Origin", format!("https://{HOST}")).body(json!({ "token": TOKEN }).to_string());
            assert_eq!(answer(login).await.status, 201);
            for path in ["/metrics", "/docs/", "/health/ready", "/openapi.json"] {
                let hidden = client.get(front.url(path)).bearer_auth(TOKEN).send().await.expect("it answers");
                assert_eq!(hidden.status(), 404, "{path}");
            }
        }
        buzon.kill().await;
    }
}
