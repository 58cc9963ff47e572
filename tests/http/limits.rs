//! Requests that are refused before they become events, and how.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received, sign};
use crate::support::program::service::{Service, answer};

const LIMIT: usize = 4 * 1024 * 1024;

/// Sends raw bytes, and reads until the other end closes or sends no more.
async fn raw(service: &Service, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.address).await.expect("the server listens");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n{") {
        match timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer arrives") {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn of_length(length: usize) -> Vec<u8> {
    let empty = received("A", json!({"body": ""})).len();
    received("A", json!({"body": "x".repeat(length - empty)}))
}

#[test]
async fn a_body_of_exactly_the_limit_is_accepted_and_a_larger_one_is_413() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    assert!(!service.deliver("/webhook/7", of_length(LIMIT)).await.accepted());
    let refused = raw(
        &service,
        format!(
            "POST /webhook/7 HTTP/1.1\r\nHost: x\r\nX-Whapi-Signature: {}\r\nContent-Length: {}\r\n\r\n",
            "a".repeat(64),
            LIMIT + 1
        )
        .as_bytes(),
    )
    .await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    assert!(refused.contains("body_too_large"), "{refused}");
    assert_eq!(world.value("SELECT count(*) FROM events").await, "1");
    service.stop().await;
}

/// Each limit that knows the size of a body is raised with it: the bodies that are read, the queue, and the answers.
#[test]
async fn with_a_larger_limit_a_larger_message_is_stored_and_lists_go_on_behind_it() {
    on_both(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MAX_BODY", "24MiB")];
        let service = Service::start_with(&world, &settings).await;
        let size = 24 << 20;
        assert!(!service.deliver("/webhook/7", of_length(size)).await.accepted());
        assert_eq!(world.value("SELECT length(body) FROM events").await, size.to_string());
        assert!(!service.deliver("/webhook/7", received("B", json!({"body": "otro"}))).await.accepted());
        let mut next = Some("/api/v1/messages?limit=1".to_owned());
        let mut ids = Vec::new();
        while let Some(path) = next {
            let page = service.get(&path).bearer_auth(service.token()).send().await.expect("it answers");
            let page: serde_json::Value = page.json().await.expect("it is JSON");
            ids.push(page["data"][0]["id"].as_str().expect("there is a message").to_owned());
            next = page["next_cursor"].as_str().map(|cursor| format!("/api/v1/messages?limit=1&cursor={cursor}"));
        }
        ids.sort();
        assert_eq!(ids, ["A", "B"]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_body_without_a_length_is_counted_as_it_arrives() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let head = format!(
        "POST /webhook/7 HTTP/1.1\r\nHost: x\r\nX-Whapi-Signature: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        "a".repeat(64)
    );
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20)).repeat(5);
    let refused = raw(&service, format!("{head}{chunk}").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    service.stop().await;
}

#[test]
async fn an_encoded_body_is_415_whatever_its_signature() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let body = received("A", json!({}));
    let signed = || service.post("/webhook", &body).header("X-Whapi-Signature", sign(SECRET, &body));
    for encoding in ["gzip", "br", "zstd", "gzip, identity", ""] {
        let refused = answer(signed().header("Content-Encoding", encoding)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (415, "content_encoding"), "{encoding}");
    }
    assert!(!answer(signed().header("Content-Encoding", "Identity")).await.accepted());
    service.stop().await;
}

#[test]
async fn a_body_that_stalls_is_408() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let head = format!(
        "POST /webhook/7 HTTP/1.1\r\nHost: x\r\nX-Whapi-Signature: {}\r\nContent-Length: 100\r\n\r\n{{",
        "a".repeat(64)
    );
    let refused = raw(&service, head.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 408"), "{refused}");
    assert!(refused.contains("body_timeout"), "{refused}");
    service.stop().await;
}

#[test]
async fn a_body_in_pieces_is_one_body() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let body = received("A", json!({}));
    let signature = sign(SECRET, &body);
    let mut chunks = format!(
        "POST /webhook/7 HTTP/1.1\r\nHost: x\r\nX-Whapi-Signature: {signature}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for byte in &body {
        chunks.extend_from_slice(b"1\r\n");
        chunks.extend_from_slice(&[*byte, b'\r', b'\n']);
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let accepted = raw(&service, &chunks).await;
    assert!(accepted.starts_with("HTTP/1.1 200"), "{accepted}");
    assert_eq!(world.rows("SELECT body FROM events").await, [hex::encode(&body)]);
    service.stop().await;
}

#[test]
async fn the_answer_to_a_wrong_url_or_method_says_what_to_do() {
    let world = World::new(Backend::Sqlite).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_PUBLIC_URL", "https://buzon.example.com/")];
    let service = Service::start_with(&world, &settings).await;
    for path in ["/webhook", "/webhook/", "/webhook/7"] {
        let refused = answer(service.get(path)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (405, "method_not_allowed"), "{path}");
        assert_eq!(refused.header("allow"), "POST");
        assert_eq!(refused.body["detail"], "this receives POSTs; it is running");
    }
    for path in ["/", "/webhooks", "/api/webhook", "/webhook/7/8"] {
        let refused = answer(service.post(path, "{}")).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (404, "not_found"), "{path}");
        let detail = refused.body["detail"].as_str().expect("there is a detail");
        assert!(detail.contains("https://buzon.example.com/webhook/{instance_id}"), "{detail}");
    }
    service.stop().await;
}
