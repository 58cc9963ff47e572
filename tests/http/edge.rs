//! Which clients are served, and how often. Strangers are limited, and correctly signed events never are.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::clients::raw_http::Connection;
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received, sign};
use crate::support::program::service::{Answer, Service, answer};

const HEADER: &str = "X-Whapi-Signature";
/// The tests connect from loopback, and name the client that they forward for.
const BEHIND_A_PROXY: [(&str, &str); 2] = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_TRUSTED_PROXIES", "127.0.0.1")];
/// More refusals than an address may have before it is told to wait, and than it may have while they are sent.
const MANY: usize = 200;

fn settings(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&BEHIND_A_PROXY[..], more].concat()
}

async fn signed(service: &Service, id: &str, forwarded: &[&str]) -> Answer {
    let body = received(id, json!({}));
    let request = service.post("/webhook/7", &body).header(HEADER, sign(SECRET, &body));
    answer(forwarded.iter().fold(request, |request, value| request.header("X-Forwarded-For", *value))).await
}

/// Sends the head of a request whose body never comes, and reads the answer.
async fn without_its_body(service: &Service, headers: &str) -> String {
    let mut stream = TcpStream::connect(service.address).await.expect("the server listens");
    let head = format!("POST /webhook/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut said = Vec::new();
    while !said.ends_with(b"}\n") {
        let read = timeout(PATIENCE, stream.read_buf(&mut said)).await.expect("an answer arrives");
        assert!(read.expect("the server answers") > 0, "the server answers before it closes");
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
async fn events_are_accepted_from_the_allowed_networks_and_no_header_adds_a_stranger_to_them() {
    let world = World::new(Backend::Sqlite).await;
    let settings = settings(&[("BUZON_WEBHOOK_ALLOW_FROM", "203.0.113.0/24, ::ffff:192.0.2.0/120, 2001:db8::/32")]);
    let service = Service::start_with(&world, &settings).await;
    let named: [&[&str]; 5] =
        [&["203.0.113.9"], &["::ffff:203.0.113.9"], &["192.0.2.77"], &["2001:db8::9"], &["198.51.100.1, 203.0.113.9"]];
    for forwarded in named {
        signed(&service, &format!("{forwarded:?}"), forwarded).await.accepted();
    }
    let strangers: [&[&str]; 7] = [
        &["198.51.100.1"],
        &["203.0.113.9, 198.51.100.1"],
        &["203.0.113.9", "198.51.100.1"],
        &["203.0.114.9"],
        &["203.0.113.9, nonsense"],
        &[""],
        // This one is the proxy itself.
        &[],
    ];
    for forwarded in strangers {
        let refused = signed(&service, "stranger", forwarded).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "client_not_allowed"), "{forwarded:?}");
    }
    assert_eq!(world.value("SELECT count(*) FROM messages").await, named.len().to_string());
    let read = service.get("/api/v1/messages").bearer_auth(service.token());
    assert_eq!(answer(read).await.status, 200, "the rule does not apply to the API");
    service.stop().await;
}

#[test]
async fn without_a_trusted_proxy_the_peer_is_the_client_whatever_its_headers() {
    let world = World::new(Backend::Sqlite).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_WEBHOOK_ALLOW_FROM", "203.0.113.9")];
    let service = Service::start_with(&world, &settings).await;
    assert_eq!(signed(&service, "A", &["203.0.113.9"]).await.code(), "client_not_allowed");
    service.stop().await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_WEBHOOK_ALLOW_FROM", "127.0.0.0/8")];
    let service = Service::start_with(&world, &settings).await;
    assert!(!signed(&service, "A", &["203.0.113.9"]).await.accepted());
    service.stop().await;
}

#[test]
async fn a_request_that_cannot_become_an_event_is_refused_before_its_body() {
    let world = World::new(Backend::Sqlite).await;
    let settings = settings(&[("BUZON_WEBHOOK_ALLOW_FROM", "203.0.113.9")]);
    let service = Service::start_with(&world, &settings).await;
    let (named, good) = ("X-Forwarded-For: 203.0.113.9\r\n", format!("X-Whapi-Signature: {}\r\n", "a".repeat(64)));
    for (headers, status, code) in [
        (good.clone(), "403", "client_not_allowed"),
        (named.to_owned(), "401", "signature_missing"),
        (format!("{named}X-Whapi-Signature: 00\r\n"), "401", "signature_mismatch"),
        (format!("{named}{good}{good}"), "401", "signature_mismatch"),
    ] {
        let said = without_its_body(&service, &headers).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")) && said.contains(code), "{headers}: {said}");
    }
    service.stop().await;
}

#[test]
async fn an_address_that_is_refused_too_often_must_wait_and_its_signed_events_are_still_accepted() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &BEHIND_A_PROXY).await;
    let body = received("A", json!({}));
    // Some requests are unsigned, and some have a wrong signature.
    for (address, signature) in [("203.0.113.9", None), ("2001:db8::1", Some(sign("another secret, as long", &body)))] {
        let attempt = async |address: &str| {
            let request = service.post("/webhook/7", &body).header("X-Forwarded-For", address);
            answer(signature.iter().fold(request, |request, signature| request.header(HEADER, signature))).await
        };
        let expected = if signature.is_some() { "signature_mismatch" } else { "signature_missing" };
        assert_eq!(attempt(address).await.code(), expected);
        let mut limited = None;
        for _ in 0..MANY {
            let refused = attempt(address).await;
            if refused.status == 429 {
                limited = Some(refused);
                break;
            }
            assert_eq!(refused.code(), expected);
        }
        let limited = limited.expect("the limit is reached");
        assert_eq!(limited.code(), "too_many_refused");
        assert!(limited.header("retry-after").parse::<u32>().expect("the header has a number of seconds") >= 1);
        for n in 0..MANY / 4 {
            signed(&service, &format!("{address} {n}"), &[address]).await.accepted();
        }
        assert_eq!(attempt("198.51.100.1").await.status, 401, "another address is not limited");
    }
    service.stop().await;
}

/// A customer with IPv6 has a whole network of addresses.
#[test]
async fn the_addresses_of_an_ipv6_network_are_counted_as_one() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &BEHIND_A_PROXY).await;
    let mut statuses = vec![];
    for n in 0..MANY {
        let request = service.post("/webhook/7", "{}").header("X-Forwarded-For", format!("2001:db8::{n:x}"));
        statuses.push(answer(request).await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    service.stop().await;
}

#[test]
async fn an_address_with_too_many_bad_tokens_must_wait_and_its_valid_token_is_accepted() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &BEHIND_A_PROXY).await;
    let ask = |token: &str, address: &'static str| {
        let request = service.get("/api/v1/messages").bearer_auth(token).header("X-Forwarded-For", address);
        answer(request)
    };
    let unknown = format!("buzon_{}", "0".repeat(64));
    let mut codes = vec![];
    for token in ["nonsense", unknown.as_str()].iter().cycle().take(MANY) {
        codes.push(ask(token, "203.0.113.9").await.code().to_owned());
    }
    assert_eq!(codes[0], "token_invalid");
    assert!(codes.iter().any(|code| code == "too_many_refused"), "{codes:?}");
    for _ in 0..MANY / 4 {
        assert_eq!(ask(&service.token(), "203.0.113.9").await.status, 200);
    }
    service.stop().await;
}

#[test]
async fn programs_on_this_machine_are_not_counted() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    for _ in 0..MANY {
        assert_eq!(answer(service.post("/webhook/7", "{}")).await.code(), "signature_missing");
    }
    service.stop().await;
}

#[test]
async fn connections_beyond_the_limit_wait_until_another_ends() {
    const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[("BUZON_MAX_CONNECTIONS", "1")]).await;
    let mut first = Connection::open(service.address).await.expect("the server listens");
    first.send(LIVE).await.expect("the server reads");
    assert_eq!(first.reply().await.expect("the server answers").status, 200);
    let mut second = Connection::open(service.address).await.expect("the socket accepts the option");
    second.send(LIVE).await.expect("the socket accepts the option");
    {
        let mut waiting = std::pin::pin!(second.reply());
        for _ in 0..20 {
            first.send(LIVE).await.expect("the server reads");
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("the connection beyond the limit waits"),
                reply = first.reply() => assert_eq!(reply.expect("the server answers").status, 200),
            }
        }
    }
    drop(first);
    assert_eq!(
        timeout(PATIENCE, second.reply()).await.expect("an answer arrives").expect("the server answers").status,
        200
    );
    service.stop().await;
}

#[test]
async fn only_the_owner_can_have_the_service_prove_its_identity() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let zeros = "0".repeat(64);
    for question in ["", "nonsense", &format!("{zeros}.{zeros}")] {
        for path in ["/webhook", "/webhook/7"] {
            let refused = answer(service.get(path).header("X-Buzon-Question", question)).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (405, "method_not_allowed"), "{question}");
        }
    }
    service.stop().await;
}
