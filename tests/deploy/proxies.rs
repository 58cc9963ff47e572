//! The parts of a buzon that the internet can reach behind the shipped proxy configurations.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use super::reverse_proxy::{HOST, OWNER, Proxy, RunningProxy, STRANGER, Upstreams};
use super::{project, text};
use crate::support::clients::sse::Stream;
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::program::service::answer;

const TOKEN: &str = "0123456789abcdef-token-of-the-owner";
const SETTINGS: [(&str, &str); 4] = [
    ("BUZON_WEBHOOK_SECRET", SECRET),
    ("BUZON_API_TOKEN", TOKEN),
    ("BUZON_TRUSTED_PROXIES", "127.0.0.1"),
    ("BUZON_PUBLIC_URL", "https://buzon.example.com"),
];

/// Runs `test` behind each proxy, with the listeners that the shipped files expect.
async fn behind_each(settings: &[(&str, &str)], test: impl AsyncFn(&World, &RunningProxy)) {
    let settings = [&[("BUZON_API_LISTEN", "127.0.0.2:0")], settings].concat();
    for proxy in [Proxy::Nginx, Proxy::Caddy] {
        println!("behind {proxy:?}");
        let world = World::empty(Backend::Sqlite).await;
        let buzon = Buzon::serve(&world, &settings).await;
        let front = RunningProxy::start(proxy, Upstreams::of(buzon.address, buzon.api_address)).await;
        test(&world, &front).await;
        buzon.kill().await;
    }
}

#[test]
async fn signed_events_of_anybody_arrive_at_each_url_that_can_be_registered() {
    behind_each(&SETTINGS, async |world, front| {
        for (id, path) in [("A", "/webhook"), ("B", "/webhook/"), ("C", "/webhook/7"), ("D", "/webhook/7/")] {
            let post = front.post(path, received(id, json!({"instance_id": "7"})));
            assert!(!answer(post).await.accepted(), "{path}");
        }
        assert_eq!(world.rows("SELECT instance_id, id FROM messages ORDER BY id").await, ["7|A", "7|B", "7|C", "7|D"]);
        let unsigned = front.client(STRANGER).post(front.url("/webhook/7")).body(received("E", json!({})));
        assert_eq!(answer(unsigned).await.code(), "signature_missing");
        assert_eq!(answer(front.get("/webhook/7")).await.code(), "method_not_allowed");
    })
    .await;
}

#[test]
async fn ids_with_reserved_characters_in_a_url_arrive_unchanged() {
    behind_each(&SETTINGS, async |world, front| {
        for (n, instance) in ["50%25", "100%25%20%2B%C3%B1", "a%3Fb%23c"].iter().enumerate() {
            let post = front.post(&format!("/webhook/{instance}"), received(&format!("{n} +%"), json!({})));
            assert!(!answer(post).await.accepted(), "{instance}");
            let message = front.get(&format!("/api/v1/messages/{instance}/{n}%20%2B%25")).bearer_auth(TOKEN);
            assert_eq!(answer(message).await.body["id"], format!("{n} +%"), "{instance}");
        }
        let instances = world.rows("SELECT instance_id FROM messages ORDER BY id").await;
        assert_eq!(instances, ["50%", "100% +ñ", "a?b#c"]);
    })
    .await;
}

/// The proxy is on this machine, and its clients are not.
#[test]
async fn without_a_secret_nothing_is_taken_through_it() {
    behind_each(&[], async |world, front| {
        let post = front.client(STRANGER).post(front.url("/webhook/7")).header("Host", "localhost");
        let refused = post.body(received("A", json!({}))).send().await.expect("it answers");
        assert_ne!(refused.status(), StatusCode::OK);
        let post = front.client(STRANGER).post(front.url("/webhook/7")).body(received("A", json!({})));
        assert_eq!(answer(post).await.code(), "signature_missing");
        assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    })
    .await;
}

#[test]
async fn a_large_event_goes_through_and_one_that_is_too_large_is_told_so() {
    const MIB: usize = 1024 * 1024;
    behind_each(&SETTINGS, async |world, front| {
        let sized = |size: usize| received("A", json!({"body": "x".repeat(size - 4096)}));
        assert!(!answer(front.post("/webhook/7", sized(4 * MIB))).await.accepted());
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "1");
        // The proxy lets the request through, and buzon explains the problem.
        let refused = answer(front.post("/webhook/7", sized(5 * MIB))).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (413, "body_too_large"));
        let refused = front.post("/webhook/7", sized(6 * MIB)).send().await.expect("it answers");
        assert_eq!(refused.status(), 413);
        assert_eq!(world.value("SELECT count(*) FROM events").await, "1");
    })
    .await;
}

#[test]
async fn nothing_else_of_buzon_is_public() {
    behind_each(&SETTINGS, async |_, front| {
        for path in [
            "/metrics",
            "/health/live",
            "/health/ready",
            "/docs",
            "/docs/",
            "/openapi.json",
            "/webhooks",
            "/webhook/7/x",
            "/api",
            "/api/v2/messages",
            "/api/v1/%2e%2e/%2e%2e/metrics",
            "/webhook/%2e%2e/metrics",
            "/webhook/..%2fmetrics",
            "/api/v1/..%2f..%2fmetrics",
            "/api/v1/messages/7%2fA",
            "//metrics",
            "/assets/",
            "/assets/0/../../metrics",
            "/assets/0/..%2f..%2fmetrics",
            "/assets/..%2fmetrics",
        ] {
            let hidden = front.get(path).bearer_auth(TOKEN).send().await.expect("it answers");
            assert_eq!(hidden.status(), 404, "{path}");
            assert!(!hidden.headers().contains_key("x-request-id"), "{path} is buzon's");
        }
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_page_and_its_login_are_for_ones_own_networks() {
    behind_each(&SETTINGS, async |_, front| {
        let page = front.get("/").header("Accept", "text/html").send().await.expect("it answers");
        assert_eq!(page.status(), 200);
        let page = page.text().await.expect("it is text");
        let assets = page.split('"').filter(|text| text.starts_with("assets/"));
        for asset in assets.map(|asset| format!("/{asset}")) {
            assert_eq!(front.get(&asset).send().await.expect("it answers").status(), 200, "{asset}");
        }
        let login = front.client(OWNER).post(front.url("/api/v1/session")).header("Content-Type", "application/json");
        let login = login.header("Origin", format!("https://{HOST}")).body(json!({ "token": TOKEN }).to_string());
        let login = answer(login).await;
        let cookie = login.header("set-cookie");
        assert!(cookie.starts_with("__Host-buzon=") && cookie.contains("; Secure"), "{login:?}");
        let cookie = cookie.split(';').next().expect("there is a pair").to_owned();
        let read = front.get("/api/v1/messages").header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin");
        assert_eq!(answer(read).await.status, 200);
        for path in ["/", "/api/v1/session"] {
            let stranger = front.client(STRANGER).get(front.url(path)).header("Accept", "text/html");
            let stranger = stranger.send().await.expect("it answers");
            assert!([403, 404].contains(&stranger.status().as_u16()), "{stranger:?}");
            assert!(!stranger.headers().contains_key("x-request-id"));
        }
    })
    .await;
}

#[test]
async fn the_api_is_for_ones_own_networks_and_always_asks_for_a_token() {
    behind_each(&SETTINGS, async |_, front| {
        let read = answer(front.get("/api/v1/messages").bearer_auth(TOKEN)).await;
        assert_eq!((read.status.as_u16(), &read.body["data"]), (200, &json!([])));
        assert_eq!(answer(front.get("/api/v1/messages")).await.code(), "token_missing");
        let stranger = front.client(STRANGER).get(front.url("/api/v1/messages")).bearer_auth(TOKEN);
        let stranger = stranger.header("X-Forwarded-For", "127.0.0.1").send().await.expect("it answers");
        assert!([403, 404].contains(&stranger.status().as_u16()), "{stranger:?}");
        assert!(!stranger.headers().contains_key("x-request-id"));
    })
    .await;
}

/// Returns spellings of one path from `from` to `to`, with slashes and dots that are encoded, doubled or neither.
fn spellings(from: &str, up: usize, to: &str) -> Vec<String> {
    const SLASHES: [&str; 10] = ["/", "%2f", "%2F", "%252f", "//", "/./", "/%2e/", ";/", "\\", "%5c"];
    const DOTS: [&str; 5] = ["..", "%2e%2e", ".%2E", "%252e%252e", "..;"];
    let each = SLASHES.iter().flat_map(|slash| DOTS.iter().map(move |dots| (slash, dots)));
    let spelt = each.flat_map(|(slash, dots)| {
        let out = format!("{slash}{dots}").repeat(up);
        let (in_plain, in_kind) = (format!("/{to}"), to.split('/').map(|part| format!("{slash}{part}")).collect());
        [in_plain, in_kind].map(|into: String| format!("{from}{out}{into}"))
    });
    spelt.collect()
}

fn odd_paths() -> Vec<String> {
    let odd = [
        "//api/v1/messages",
        "/./api/v1/messages",
        "/api//v1/messages",
        "/api%2fv1/messages",
        "/%61pi/v1/messages",
        "/API/v1/messages",
        "/api/v1/messages%3f/../../../../webhook",
        "/api/v1/messages?/../../../webhook",
        "/api/v1/chats/7%2fA",
        "/webhook//",
        "/webhook?/../api/v1/messages",
        "/webhook/..",
        "/webhook/%2e%2e",
    ];
    let spelt = [
        spellings("/webhook", 1, "api/v1/messages"),
        spellings("/webhook/7", 2, "api/v1/messages"),
        spellings("/api/v1/messages", 3, "webhook"),
        spellings("/api/v1/messages", 3, "webhook/7"),
        spellings("/api/v1/media/7", 4, "webhook"),
    ];
    odd.map(str::to_owned).into_iter().chain(spelt.concat()).collect()
}

/// Returns the paths that reached a listener, exactly as they reached it.
fn paths(listener: &FileServer) -> Vec<String> {
    let targets = listener.requests().into_iter().filter_map(|head| Some(head.split(' ').nth(1)?.to_owned()));
    targets.map(|target| target.split('?').next().unwrap_or_default().to_owned()).collect()
}

/// Both listeners are stand-ins that record what is passed on.
#[test(flavor = "multi_thread")]
async fn a_path_is_passed_on_only_to_the_listener_that_it_names_however_it_is_written() {
    for (proxy, version) in
        [Proxy::Nginx, Proxy::Caddy].into_iter().flat_map(|proxy| [(proxy, "http1.1"), (proxy, "http2")])
    {
        let (webhook, api) = (FileServer::start().await, FileServer::start().await);
        for listener in [&webhook, &api] {
            listener.reply_to_all(|_| Reply::file(b"passed on"));
        }
        let front = RunningProxy::start(proxy, Upstreams::of(webhook.address, api.address)).await;
        // Its first request asked for the page.
        api.forget();
        for from in [STRANGER, OWNER] {
            let plain = ["/webhook/7", "/webhook/a%2Fb", "/api/v1/chats/7/573%40c.us"].map(str::to_owned);
            front.ask_verbatim(from, version, &[odd_paths(), plain.to_vec()].concat()).await;
            let (events, reads) = (paths(&webhook), paths(&api));
            let beneath = |path: &String| path.strip_prefix("/webhook/").is_some_and(|id| !id.contains('/'));
            for path in events.iter().filter(|path| *path != "/webhook") {
                assert!(beneath(path), "{proxy:?}: {path} reaches the webhook");
            }
            assert!(events.iter().any(|path| path == "/webhook/a%2Fb"), "an id may hold a slash: {events:?}");
            for path in &reads {
                let encoded = path.to_ascii_lowercase().contains("%2f");
                let is_page = path == "/" || path.starts_with("/?");
                assert!((path.starts_with("/api/v1/") || is_page) && !encoded, "{proxy:?}: {path} reaches the API");
            }
            let expected =
                if from == OWNER { reads.iter().any(|path| path.ends_with("573%40c.us")) } else { reads.is_empty() };
            assert!(expected, "{proxy:?} as {from}: {reads:?}");
            webhook.forget();
            api.forget();
        }
    }
}

#[test]
async fn without_tls_there_is_nothing_but_the_way_to_it() {
    behind_each(&SETTINGS, async |world, front| {
        for path in ["/api/v1/messages", "/metrics", "/health/live", "/docs/", "/"] {
            let refused = front.plain(path).bearer_auth(TOKEN).send().await.expect("it answers");
            assert_eq!(refused.status(), 403, "{path}");
            assert!(!refused.headers().contains_key("x-request-id"), "{path} is buzon's");
        }
        let moved = front.plainly(Method::POST, "/webhook/7").body("{}").send().await.expect("it answers");
        let to = moved.headers().get("location").and_then(|to| to.to_str().ok());
        assert_eq!((moved.status().as_u16(), to), (308, Some("https://buzon.example.com/webhook/7")));
        assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    })
    .await;
}

#[test]
async fn the_stream_is_not_held_back() {
    behind_each(&SETTINGS, async |_, front| {
        let mut stream = Stream::open(front.get("/api/v1/stream?after=beginning").bearer_auth(TOKEN)).await;
        assert_eq!(stream.header("content-type"), "text/event-stream");
        // A small event is passed on at once, before the next one exists.
        for id in ["A", "B", "C"] {
            assert!(!answer(front.post("/webhook/7", received(id, json!({})))).await.accepted());
            let data = stream.event().await.data.expect("it is an event");
            assert_eq!(data["changes"][0]["message_id"], id);
        }
    })
    .await;
}

/// Returns the client addresses in the complete lines of a log.
fn clients(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| Some(line["fields"]["client.address"].as_str()?.to_owned())).collect()
}

/// buzon trusts a client on this machine, such as a tunnel. It would therefore believe a claimed address that the proxy
/// passed on.
#[test]
async fn the_log_names_the_clients_own_address_whatever_it_claims() {
    for from in [STRANGER, OWNER] {
        behind_each(&SETTINGS, async |world, front| {
            let post = front.client(from).post(front.url("/webhook/7")).header("X-Whapi-Signature", "a".repeat(64));
            let post = post.header("X-Forwarded-For", "6.6.6.6").header("X-Forwarded-For", "203.0.113.7, 127.0.0.1");
            let post = post.header("X-Real-IP", "6.6.6.6").header("Forwarded", "for=6.6.6.6").body("{}");
            assert_eq!(answer(post).await.code(), "signature_mismatch");
            eventually("it is warned of", async || !clients(&Buzon::log(world).await).is_empty()).await;
            let clients = clients(&Buzon::log(world).await);
            assert_eq!(clients, [from.to_string()]);
        })
        .await;
    }
}

#[test]
async fn caddys_file_has_the_form_that_caddy_gives_it() {
    let output = Command::new("caddy").arg("fmt").arg(project("deploy/Caddyfile")).output().await;
    let output = output.expect("caddy is there; scripts/test --install brings it");
    assert_eq!(String::from_utf8_lossy(&output.stdout), text("deploy/Caddyfile"));
}
