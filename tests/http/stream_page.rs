//! The example page of the contract, in a real browser.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::clients::browser;
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::program::service::{Service, answer};

/// Serves a page at `/page`, forwards all other requests to the API, and records them.
struct RecordingProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl RecordingProxy {
    async fn start(api: SocketAddr, page: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let asked = Arc::new(Mutex::new(vec![]));
        tokio::spawn({
            let asked = asked.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass(client, api, page.clone(), asked.clone()));
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self, beginning: &str) -> usize {
        self.asked.lock().expect("the lock is not poisoned").iter().filter(|path| path.starts_with(beginning)).count()
    }
}

/// Handles one request for each connection, so that every request is recorded.
async fn pass(mut client: TcpStream, api: SocketAddr, page: String, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    asked.lock().expect("the lock is not poisoned").push(path.clone());
    match path.as_str() {
        "/page" | "/shown" | "/cleared" => {
            let body = if path == "/page" { page } else { String::new() };
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n");
            client.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await.ok()?;
        }
        _ => {
            let mut server = TcpStream::connect(api).await.ok()?;
            let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1).replace("Connection: keep-alive\r\n", "");
            server.write_all(head.as_bytes()).await.ok()?;
            copy_bidirectional(&mut client, &mut server).await.ok()?;
        }
    }
    Some(())
}

/// Returns the script in the description of the stream.
async fn example(service: &Service) -> String {
    let contract = answer(service.get("/openapi.json")).await.body;
    let description = contract["paths"]["/api/v1/stream"]["get"]["description"].as_str().expect("the value is text");
    let (_, script) = description.split_once("```js\n").expect("the description has an example");
    script.split_once("```").expect("the example has an end").0.to_owned()
}

#[test(flavor = "multi_thread")]
async fn the_documented_page_shows_every_item_whatever_the_types_of_the_events() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let kinds = ["error", "open", "close", "message"];
    for kind in kinds {
        service.deliver("/webhook/7", json!({"event_type": kind}).to_string()).await.accepted();
    }
    // The file is refused because there is no gateway, and the stream has an item about that.
    let picture = received("A", json!({"type": "image", "media_url": "/menu.jpg"}));
    service.deliver("/webhook/7", picture).await.accepted();
    let script = example(&service).await.replacen("let after = '';", "let after = 'AAAAAAAAAAAAAAAAAAAAAA';", 1);
    let page = format!(
        "<!doctype html><title>x</title><pre id=out></pre><script>const token = '{}';\n\
         const clear = () => fetch('/cleared');\n\
         const show = item => {{ out.textContent += JSON.stringify(item) + '\\n'; fetch('/shown'); }};\n{script}</script>",
        service.token()
    );
    let proxy = RecordingProxy::start(service.api_address, page).await;
    let url = format!("http://{}/page", proxy.address);
    let shown = tokio::spawn(async move { browser::open(&url).await.expect("the browser shows the page") });
    eventually("every item is shown", async || proxy.asked("/shown") >= kinds.len() + 2).await;
    assert_eq!(proxy.asked("/cleared"), 1, "a position of another history begins the page again");
    assert_eq!(proxy.asked("/api/v1/stream"), 1, "the page has stayed on its first stream");
    // The browser waits for the end of the stream, and finds no server when it connects again.
    service.stop().await;
    let shown = shown.await.expect("the browser task does not panic");
    for kind in kinds {
        assert!(shown.contains(&format!("\"event_type\":\"{kind}\"")), "{shown}");
    }
    assert!(shown.contains("\"kind\":\"media\"") && shown.contains("\"state\":\"refused\""), "{shown}");
}
