//! Answers are compressed for clients that accept it, and request bodies are never decompressed.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::media::given;
use crate::media::{all_end, deliver, key};
use crate::support::client;
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received, sign};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::program::service::{Service, answer};

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(plain).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

#[test]
async fn json_is_compressed_for_clients_that_accept_it() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let ask = async |encoding: &str| {
        let request = service.get("/api/v1/nothing").bearer_auth(service.token());
        given(if encoding.is_empty() { request } else { request.header("Accept-Encoding", encoding) }).await
    };
    for (encoding, answered) in
        [("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("", ""), ("identity", ""), ("br", ""), ("gzip;q=0", "")]
    {
        let given = ask(encoding).await;
        assert_eq!((given.status, given.header("content-encoding")), (404, answered), "{encoding}");
        assert!(given.header("vary").eq_ignore_ascii_case("accept-encoding"), "{encoding}: {given:?}");
        let mut plain = String::new();
        match answered {
            "gzip" => GzDecoder::new(given.body.as_slice()).read_to_string(&mut plain).expect("the body is gzip"),
            _ => given.body.as_slice().read_to_string(&mut plain).expect("the value is text"),
        };
        let body: Value = serde_json::from_str(&plain).expect("the value is JSON");
        assert_eq!(body["code"], "not_found");
    }
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_file_is_served_without_compression() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let content = format!("%PDF-1.7\n{}", "well compressible ".repeat(1000)).into_bytes();
    gateway.reply("/a.pdf", Reply::file(&content));
    let service = crate::media::service(&world, &gateway, &[]).await;
    deliver(&service, "A", "/a.pdf").await;
    all_end(&world).await;
    for path in [format!("/api/v1/media/{}", key(&content)), "/api/v1/messages/7/A/media".to_owned()] {
        let request = service.get(&path).bearer_auth(service.token()).header("Accept-Encoding", "gzip");
        let file = given(request).await;
        assert_eq!((file.header("content-encoding"), file.header("content-length")), ("", "18009"));
        assert!(file.body == content);
    }
    service.stop().await;
}

#[test]
async fn a_compressed_event_is_never_decompressed() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let plain = received("A", json!({}));
    let packed = packed(&plain);
    // The request is refused for its headers, whether it is signed or not.
    for signature in [sign(SECRET, &packed), sign(SECRET, &plain)] {
        let request = service.post("/webhook/7", &packed).header("Content-Encoding", "gzip");
        let refused = answer(request.header("X-Whapi-Signature", signature)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (415, "content_encoding"));
    }
    // If the headers name no encoding, the bytes are the event, and the signature is over them.
    let request = service.post("/webhook/7", &packed).header("X-Whapi-Signature", sign(SECRET, &plain));
    assert_eq!(answer(request).await.code(), "signature_mismatch");
    assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    assert!(!service.deliver("/webhook/7", &packed).await.accepted());
    let row = world.value("SELECT body, state FROM events").await;
    assert_eq!(row, format!("{}|quarantined", hex::encode(&packed)));
    service.stop().await;
}

/// The bodies have 194 KB, and would decompress to 200 MB each.
#[test(flavor = "multi_thread")]
async fn compression_bombs_take_no_more_memory_than_they_have_bytes() {
    const BOMBS: usize = 8;
    let world = World::new(Backend::Sqlite).await;
    let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let bomb = packed(&vec![b' '; 200_000_000]);
    assert!((190_000..200_000).contains(&bomb.len()), "{}", bomb.len());
    let token =
        std::fs::read_to_string(world.folder.path().join("data/api-token")).expect("the start generated a token");
    let bombs = (0..BOMBS).flat_map(|n| {
        let url = |path: &str| format!("http://{}{path}", buzon.address);
        let body = [bomb.as_slice(), &[n as u8]].concat();
        let signed = |request: RequestBuilder| request.header("X-Whapi-Signature", sign(SECRET, &body));
        let ticket = client().post(url("/api/v1/tickets")).bearer_auth(token.trim());
        [
            (signed(client().post(url("/webhook/7")).header("Content-Encoding", "gzip").body(body.clone())), 415),
            (signed(client().post(url("/webhook/7")).body(body.clone())), 200),
            (ticket.header("Content-Encoding", "gzip").body(body.clone()), 201),
        ]
    });
    let sent = bombs.map(async |(bomb, status)| assert_eq!(given(bomb).await.status, status));
    futures_util::future::join_all(sent).await;
    assert_eq!(world.value("SELECT count(*) FROM events").await, BOMBS.to_string());
    let peak = buzon.peak_memory();
    assert!(peak < 200_000_000, "{peak}: less than one decompressed body");
    buzon.kill().await;
}
