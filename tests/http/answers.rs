//! Answers have a limit in bytes: for each page, for the rows that belong to a row, and for all answers in progress.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buzon::http::limits::response_memory::ResponseLimits;
use buzon::store::Store;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::tokens::token;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{SECRET, ack, event, reaction, received};
use crate::support::eventually;
use crate::support::program::service::{Service, answer};

const SIGNED: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET)];
/// The maximum size of a page in bytes. A single row may be larger.
const PAGE: usize = 4 * 1024 * 1024;

async fn start(world: &World, answers: ResponseLimits) -> (Service, Arc<dyn Store>) {
    let store = world.open().await;
    (Service::start_limited(world, store.clone(), SIGNED, answers), store)
}

/// Makes messages of one second each, with bodies of many sizes: small ones, the longest that people send, some that
/// are twice as long in JSON, and two that are each larger than a page.
async fn fill(store: &Arc<dyn Store>) {
    for n in 0..160_usize {
        let body = match n {
            40 | 41 => "\"".repeat(2_090_000),
            _ if n % 2 == 0 => "á".repeat(32_768),
            _ if n % 5 == 0 => "\n".repeat(65_536),
            _ => format!("hola {n}"),
        };
        let chat = format!("57300{n:07}@c.us");
        let fields = json!({"chat_id": chat, "from": chat, "body": body, "timestamp": 1_724_716_800 + n / 2});
        record(store, &[event("7", received(&format!("A{n}"), fields), later(n as i64))]).await;
    }
    // Each of these characters is six times as long in JSON.
    for n in 0..120_usize {
        let body = [b"\x01".repeat(16_384), n.to_string().into_bytes()].concat();
        record(store, &[event("7", body, later(200))]).await;
    }
}

struct Page {
    len: usize,
    body: Value,
}

async fn page(service: &Service, path: &str) -> Page {
    let response = service.get(path).bearer_auth(service.token()).send().await.expect("the server answers");
    assert_eq!(response.status(), 200, "{path}");
    let text = response.text().await.expect("the answer is complete");
    Page { len: text.len(), body: serde_json::from_str(&text).expect("the value is JSON") }
}

/// Returns the keys of the rows of all pages from this one on, in the order of the list, and the last page.
async fn walk(service: &Service, list: &str, direction: &str, mut page_now: Page) -> (Vec<String>, Page) {
    let mut met = vec![];
    loop {
        let rows = page_now.body["data"].as_array().expect("a list has data");
        assert!(page_now.len <= PAGE || rows.len() == 1, "{list} {direction}: {} bytes", page_now.len);
        let rows = rows.iter().map(|row| format!("{} {}", row["id"], row["chat_id"]));
        match direction {
            "prev_cursor" => drop(met.splice(0..0, rows)),
            _ => met.extend(rows),
        }
        let Some(cursor) = page_now.body[direction].as_str() else { return (met, page_now) };
        page_now = page(service, &format!("/api/v1/{list}&cursor={cursor}")).await;
    }
}

#[test(flavor = "multi_thread")]
async fn a_page_ends_at_4_mib_and_walking_forth_and_back_misses_and_repeats_nothing() {
    on_both(async |world| {
        let (service, store) = start(&world, ResponseLimits::default()).await;
        fill(&store).await;
        for (list, count) in [
            ("messages?limit=200", 160),
            ("messages?limit=200&order=asc", 160),
            ("messages?limit=200&time=received", 160),
            ("messages?limit=200&q=hola", 63),
            ("chats?limit=200", 160),
            ("events?limit=200&state=quarantined", 120),
        ] {
            let first = page(&service, &format!("/api/v1/{list}")).await;
            let (there, last) = walk(&service, list, "next_cursor", first).await;
            assert_eq!(there.len(), count, "{list}");
            assert_eq!(BTreeSet::from_iter(&there).len(), count, "{list} repeats");
            let (back, _) = walk(&service, list, "prev_cursor", last).await;
            assert_eq!(back, there, "{list}");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn acks_and_reactions_of_a_message_are_limited_and_marked_as_truncated() {
    on_both(async |world| {
        let (service, store) = start(&world, ResponseLimits::default()).await;
        let person = |n: usize| format!("57300{n:07}@c.us");
        let reacted = |id: &str, from: &str, emoji: &str, at: usize| {
            event("7", reaction(id, from, json!(emoji), json!(1_724_716_800 + at)), ARRIVAL)
        };
        record(&store, &["A", "B", "C"].map(|id| event("7", received(id, json!({"ack": ""})), ARRIVAL))).await;
        // The limit of persons react to A, and one more to B. On C, one person changes a reaction before a second
        // person reacts.
        let mut reactions: Vec<_> = (0..200).map(|n| reacted("A", &person(n), "👍", n)).collect();
        reactions.extend((0..201).map(|n| reacted("B", &person(n), "👍", n)));
        reactions.extend((0..150).map(|n| reacted("C", &person(0), "👍", n)));
        reactions.extend((0..150).map(|n| reacted("C", &person(1), "👍", n)));
        reactions.extend((0..201).map(|n| event("7", ack("B", &format!("word {n}")), later(n))));
        for batch in reactions.chunks(100) {
            record(&store, batch).await;
        }
        let one = async |id: &str| page(&service, &format!("/api/v1/messages/7/{id}")).await.body;
        for (id, shown, truncated) in [("A", 200, false), ("B", 200, true), ("C", 1, true)] {
            let message = one(id).await;
            assert_eq!(message["reactions"].as_array().expect("the message has some").len(), shown, "{id}");
            assert_eq!(message["reactions_truncated"], truncated, "{id}");
        }
        let message = one("B").await;
        assert_eq!(message["acks"].as_array().expect("the message has some").len(), 200);
        assert_eq!((&message["acks_truncated"], &one("A").await["acks_truncated"]), (&json!(true), &json!(false)));
        let chat = page(&service, "/api/v1/chats?limit=1").await.body;
        assert_eq!(chat["data"][0]["last_message"]["reactions_truncated"], true);
        let rest = page(&service, "/api/v1/reactions?message_id=B&limit=200").await.body;
        assert!(rest["next_cursor"].is_string(), "the list has another page");
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_body_that_is_not_text_is_shown_in_base64() {
    on_both(async |world| {
        let (service, store) = start(&world, ResponseLimits::default()).await;
        for body in [b"a\tb\r\nc".as_slice(), b"a\x01b", b"\xff"] {
            record(&store, &[event("7", body, ARRIVAL)]).await;
        }
        let ids = world.event_ids().await;
        let one = async |number: usize| {
            let event = page(&service, &format!("/api/v1/events/{}", ids[number - 1])).await.body;
            (event["body"].clone(), event["body_base64"].clone())
        };
        assert_eq!(one(1).await, (json!("a\tb\r\nc"), json!(null)));
        assert_eq!(one(2).await, (json!(null), json!("YQFi")));
        assert_eq!(one(3).await, (json!(null), json!("/w==")));
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_statistic_with_more_types_than_any_gateway_has_is_refused() {
    on_both(async |world| {
        let (service, store) = start(&world, ResponseLimits::default()).await;
        record(&store, &[event("7", received("A", json!({})), ARRIVAL)]).await;
        let number = match world.backend {
            Backend::Sqlite => "CAST(n AS TEXT)",
            Backend::Postgres => "n::text",
        };
        world
            .execute(&format!(
                "INSERT INTO messages (instance_id, id, kind, from_me, type, is_group, ack, ack_rank, received_at, \
                     occurred_at, seq, event_seq) \
                 WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 66000) \
                 SELECT instance_id, {number}, kind, from_me, {number}, is_group, ack, ack_rank, received_at, occurred_at, \
                     n, event_seq \
                 FROM messages CROSS JOIN numbers"
            ))
            .await;
        let counts = "/api/v1/stats/messages?since=2024-08-01&until=2024-09-01";
        let refused = answer(service.get(counts).bearer_auth(service.token())).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "answer_too_large"));
        let before = "/api/v1/stats/messages?since=2024-07-01&until=2024-08-01";
        assert_eq!(answer(service.get(before).bearer_auth(service.token())).await.status, 200);
        service.stop().await;
    })
    .await;
}

/// A client that requests a page and reads only its beginning.
async fn unread(address: SocketAddr, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket can be opened");
    socket.set_recv_buffer_size(1_024).expect("the socket accepts the option");
    let mut stream = socket.connect(address).await.expect("the server listens");
    let head = format!("GET /api/v1/messages?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.expect("the server answers");
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

/// Makes more messages than one page has.
async fn long_messages(store: &Arc<dyn Store>) {
    for n in 0..70 {
        let fields = json!({"body": "x".repeat(65_536), "timestamp": 1_724_716_800 + n});
        record(store, &[event("7", received(&format!("A{n}"), fields), ARRIVAL)]).await;
    }
}

async fn status(service: &Service, token: &str) -> u16 {
    let path = "/api/v1/messages?limit=1";
    service.get(path).bearer_auth(token).send().await.expect("the server answers").status().as_u16()
}

/// A quarter of the limit is 6 MiB, which is enough for one page.
const LITTLE: ResponseLimits =
    ResponseLimits { bytes: 24 * 1024 * 1024, patience: Duration::from_millis(50), time: Duration::from_secs(3_600) };

#[test(flavor = "multi_thread")]
async fn a_token_whose_answers_are_not_read_must_wait_and_the_owner_never_must() {
    on_both(async |world| {
        let (service, store) = start(&world, LITTLE).await;
        long_messages(&store).await;
        let mut tokens = vec![];
        for _ in 0..5 {
            tokens.push(token(&world, &["7"]).await);
        }
        let mut first = unread(service.api_address, tokens[0].text()).await;
        let refused = answer(service.get("/api/v1/chats").bearer_auth(tokens[0].text())).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "too_many_answers"));
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(status(&service, tokens[1].text()).await, 200, "another token has its own share");
        let second = unread(service.api_address, tokens[1].text()).await;
        let _others =
            [unread(service.api_address, tokens[2].text()).await, unread(service.api_address, tokens[3].text()).await];
        assert_eq!(status(&service, tokens[4].text()).await, 503, "the rest is reserved for the owner");
        assert_eq!(status(&service, &service.token()).await, 200);
        let reading = tokio::spawn(async move { first.read_to_end(&mut Vec::new()).await });
        eventually("an answer that was read frees its share", async || status(&service, tokens[0].text()).await == 200)
            .await;
        reading.abort();
        drop(second);
        eventually("a client that has gone frees its share", async || status(&service, tokens[1].text()).await == 200)
            .await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_answer_that_is_read_too_slowly_is_aborted_and_frees_its_memory() {
    on_both(async |world| {
        let limits = ResponseLimits { time: Duration::from_millis(200), ..LITTLE };
        let (service, store) = start(&world, limits).await;
        long_messages(&store).await;
        let seven = token(&world, &["7"]).await;
        let mut slow = unread(service.api_address, seven.text()).await;
        eventually("the slow answer is aborted", async || status(&service, seven.text()).await == 200).await;
        let mut rest = Vec::new();
        // The connection may end in either way, closed or reset.
        let _ = slow.read_to_end(&mut rest).await;
        assert!(rest.len() < 4_000_000, "{}", rest.len());
        service.stop().await;
    })
    .await;
}
