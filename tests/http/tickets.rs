//! Tickets, which are used in URLs where no header can be sent.

use std::time::Duration;

use buzon::domain::access::ticket::{TicketHolder, TicketKey};
use buzon::domain::time::timestamp::Timestamp;
use buzon::platform::clock::{Clock, SystemClock};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use sha2::Sha256;

use super::media::given;
use crate::media::{JPEG, all_end, deliver, key};
use crate::support::client;
use crate::support::database::tokens::{StoredToken, revoke, token, token_until};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::SECRET;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::{Answer, Service, answer};

const OF_MESSAGE: &str = "/api/v1/messages/7/A/media";

fn by_hash() -> String {
    format!("/api/v1/media/{}", key(JPEG))
}

/// Starts a service in which instance 7 has a file.
async fn with_a_file(world: &World) -> (Service, FileServer) {
    let gateway = FileServer::start().await;
    gateway.reply("/a.jpg", Reply::file(JPEG));
    let service = crate::media::service(world, &gateway, &[]).await;
    deliver(&service, "A", "/a.jpg").await;
    all_end(world).await;
    (service, gateway)
}

async fn issued(service: &Service, token: &str) -> Answer {
    answer(service.post("/api/v1/tickets", "").bearer_auth(token)).await
}

/// Requests a new ticket, and returns its text.
async fn ticket(service: &Service, token: &str) -> String {
    issued(service, token).await.body["ticket"].as_str().expect("the value is text").to_owned()
}

async fn status(service: &Service, path: &str, ticket: &str) -> u16 {
    given(service.get(&format!("{path}?ticket={ticket}"))).await.status
}

#[test(flavor = "multi_thread")]
async fn a_ticket_opens_files_without_a_header_for_five_minutes() {
    on_both(async |world| {
        let (service, _gateway) = with_a_file(&world).await;
        let known = token(&world, &["7"]).await;
        for token in [known.text(), &service.token()] {
            let before = SystemClock.now();
            let issued = issued(&service, token).await;
            let after = SystemClock.now();
            assert_eq!((issued.status.as_u16(), issued.header("cache-control")), (201, "no-store"));
            assert_eq!(issued.body.as_object().expect("the value is an object").len(), 2);
            let end =
                issued.body["expires_at"].as_str().and_then(Timestamp::from_rfc3339).expect("the value is a time");
            let five_minutes = Duration::from_secs(300);
            assert!(before + five_minutes <= end && end <= after + five_minutes, "{end:?}");
            let ticket = issued.body["ticket"].as_str().expect("the value is text");
            assert!(ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{ticket}");
            for path in [by_hash(), OF_MESSAGE.to_owned()] {
                let url = format!("http://{}{path}?ticket={ticket}", service.api_address);
                let file = given(client().get(&url)).await;
                assert_eq!((file.status, file.body.as_slice()), (200, JPEG), "{path}");
                assert_eq!(given(client().head(&url)).await.status, 200);
                let part = given(client().get(&url).header("Range", "bytes=1-2")).await;
                assert_eq!((part.status, part.body.as_slice()), (206, &JPEG[1..3]));
                // This is the request of a browser behind a proxy that asks for a password of its own.
                assert_eq!(given(client().get(&url).header("Authorization", "Basic YTpi")).await.status, 200);
            }
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_ticket_sees_what_its_token_sees() {
    on_both(async |world| {
        let (service, _gateway) = with_a_file(&world).await;
        let other = token(&world, &["8"]).await;
        let ticket = ticket(&service, other.text()).await;
        for path in [by_hash(), OF_MESSAGE.to_owned()] {
            assert_eq!(status(&service, &path, &ticket).await, 404, "{path}");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_ticket_is_accepted_only_for_files_and_streams() {
    let world = World::new(Backend::Sqlite).await;
    let (service, _gateway) = with_a_file(&world).await;
    let ticket = ticket(&service, &service.token()).await;
    for path in ["/api/v1/tickets", "/api/v1/nothing", "/api/v1/messages", "/api/v1/media", "/api/v1/messages/7/A"] {
        let path = format!("{path}?ticket={ticket}");
        for request in [service.get(&path), service.post(&path, ""), service.get(&path).bearer_auth(service.token())] {
            let refused = answer(request).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (400, "ticket_not_here"), "{path}");
        }
    }
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn if_there_is_also_a_token_the_token_counts() {
    let world = World::new(Backend::Sqlite).await;
    let (service, _gateway) = with_a_file(&world).await;
    let (mine, other) = (token(&world, &["7"]).await, token(&world, &["8"]).await);
    let both = async |token: &StoredToken, ticket: &str| {
        given(service.get(&format!("{OF_MESSAGE}?ticket={ticket}")).bearer_auth(token.text())).await.status
    };
    assert_eq!(both(&mine, "no-ticket").await, 200);
    assert_eq!(both(&other, &ticket(&service, mine.text()).await).await, 404);
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_ticket_that_is_expired_changed_or_of_an_ended_token_is_refused() {
    on_both(async |world| {
        let (service, _gateway) = with_a_file(&world).await;
        let (mine, other) = (token(&world, &["7"]).await, token(&world, &[]).await);
        let now = SystemClock.now();
        let digest = mine.token.digest();
        let holder = TicketHolder::Token(mine.id);
        let key = TicketKey::new(
            buzon::config::data_dir::ticket_key(&world.data_dir()).expect("the start generated a token"),
        );
        let good = key.issue(holder, &digest, now, None).to_text();
        assert_eq!(status(&service, OF_MESSAGE, &good).await, 200, "the token has this form");
        let expired = key.issue(holder, &digest, now - Duration::from_secs(301), None).to_text();
        let of_another = key.issue(TicketHolder::Token(other.id), &digest, now, None).to_text();
        let of_the_owner = key.issue(TicketHolder::Owner, &digest, now, None).to_text();
        let too_long = key.issue(holder, &digest, now + Duration::from_secs(3_600), None).to_text();
        let of_nobody = good.replacen(&mine.id.to_string(), "99", 1);
        let changed = [&good[1..], &format!("{good}0"), "", "x"];
        for bad in
            [&expired, &of_another, &of_the_owner, &too_long, &of_nobody].map(String::as_str).iter().chain(&changed)
        {
            let refused = answer(service.get(&format!("{OF_MESSAGE}?ticket={bad}"))).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (401, "ticket_invalid"), "{bad}");
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
        revoke(&world, &mine).await;
        assert_eq!(status(&service, OF_MESSAGE, &good).await, 401);
        let short = token_until(&world, &[], Some(now)).await;
        let short = key.issue(TicketHolder::Token(short.id), &short.token.digest(), now, None).to_text();
        assert_eq!(status(&service, OF_MESSAGE, &short).await, 401);
        service.stop().await;
    })
    .await;
}

/// Somebody who has a backup, or can read the column of digests, could try this.
#[test(flavor = "multi_thread")]
async fn a_ticket_cannot_be_made_from_what_the_database_contains() {
    on_both(async |world| {
        let (service, _gateway) = with_a_file(&world).await;
        let mine = token(&world, &["7"]).await;
        let end = (SystemClock.now() + Duration::from_secs(240)).millis();
        let digest = world.value("SELECT sha256 FROM api_tokens").await;
        let statement = format!("{}.{end}", mine.id);
        for secret in [hex::decode(&digest).expect("the text is hexadecimal"), digest.clone().into_bytes(), vec![]] {
            for body in [statement.clone(), format!("buzon ticket\n{statement}")] {
                let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("HMAC takes a key of any length");
                mac.update(body.as_bytes());
                let forged = format!("{statement}.{}", hex::encode(mac.finalize().into_bytes()));
                assert_eq!(status(&service, OF_MESSAGE, &forged).await, 401, "{forged}");
            }
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_ticket_is_valid_at_every_replica_with_its_key() {
    let world = World::new(Backend::Postgres).await;
    let owners = "0123456789abcdef0123456789abcdef";
    let (first, _gateway) = with_a_file(&world).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_API_TOKEN", owners)];
    let (second, third) = (Service::start_with(&world, &settings).await, Service::start_with(&world, &settings).await);
    let known = token(&world, &["7"]).await;
    assert_eq!(status(&second, OF_MESSAGE, &ticket(&first, known.text()).await).await, 200);
    assert_eq!(status(&third, OF_MESSAGE, &ticket(&second, owners).await).await, 200);
    assert_eq!(
        status(&first, OF_MESSAGE, &ticket(&second, owners).await).await,
        401,
        "the replica has another owner's token"
    );

    // Another machine has another folder, and the setting makes the key the same.
    let key = std::fs::read_to_string(world.data_dir().join("ticket-key")).expect("the first start generated a token");
    let elsewhere = world.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("the folder can be made");
    let media = format!("file://{}/media", world.data_dir().display());
    let elsewhere =
        [("BUZON_DATA_DIR", elsewhere.to_str().expect("the value is text")), ("BUZON_MEDIA_STORE", media.as_str())];
    let alone = Service::start_with(&world, &[&settings[..], &elsewhere].concat()).await;
    assert_eq!(
        status(&alone, OF_MESSAGE, &ticket(&first, known.text()).await).await,
        401,
        "the service has a key of its own"
    );
    let shared = ("BUZON_TICKET_KEY", key.trim_end());
    let fourth = Service::start_with(&world, &[&settings[..], &elsewhere, &[shared]].concat()).await;
    assert_eq!(status(&fourth, OF_MESSAGE, &ticket(&first, known.text()).await).await, 200);
    for service in [first, second, third, alone, fourth] {
        service.stop().await;
    }
}

#[test(flavor = "multi_thread")]
async fn a_ticket_is_made_by_a_post_and_needs_a_token() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    assert_eq!(answer(service.post("/api/v1/tickets", "")).await.code(), "token_missing");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let url = format!("http://{}/api/v1/tickets", service.api_address);
        let refused = answer(client().request(method, url).bearer_auth(service.token())).await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "POST"));
    }
    service.stop().await;
}
