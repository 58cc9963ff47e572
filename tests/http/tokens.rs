//! Tokens that the owner has made for others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buzon::domain::access::scope::Scope;
use buzon::domain::access::ticket::TicketKey;
use buzon::domain::access::token::TokenId;
use buzon::domain::audit::AuditActor;
use buzon::domain::time::timestamp::Timestamp;
use buzon::http::auth::access::{Access, Caller};
use buzon::http::auth::auth_failure_limiter::AuthFailureLimiter;
use buzon::http::store_handle::StoreHandle;
use buzon::platform::clock::{Clock, SystemClock};
use reqwest::RequestBuilder;

use super::media::given;
use crate::support::database::blocker::Blocker;
use crate::support::database::proxy::Proxy;
use crate::support::database::tokens::{revoke, token, token_until};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::SECRET;
use crate::support::eventually;
use crate::support::program::service::{Answer, Service, answer};

/// A request that an accepted token answers 404.
fn ask(service: &Service, token: &str) -> RequestBuilder {
    service.get("/api/v1/nothing").bearer_auth(token)
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.code())
}

const LET_IN: (u16, &str) = (404, "not_found");
const NOT_VALID: (u16, &str) = (401, "token_invalid");

#[test(flavor = "multi_thread")]
async fn a_token_is_accepted_until_it_is_revoked_or_expires() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let now = SystemClock.now();
        let mine = token(&world, &["7"]).await;
        let lasting = token_until(&world, &[], Some(now + Duration::from_secs(3600))).await;
        let over = token_until(&world, &[], Some(now)).await;
        assert_eq!(said(&answer(ask(&service, mine.text())).await), LET_IN);
        assert_eq!(said(&answer(ask(&service, lasting.text())).await), LET_IN);
        revoke(&world, &mine).await;
        let revoked = answer(ask(&service, mine.text())).await;
        let expired = answer(ask(&service, over.text())).await;
        let unknown = answer(ask(&service, &format!("buzon_{}", "0".repeat(64)))).await;
        for refused in [&revoked, &expired, &unknown] {
            assert_eq!(said(refused), NOT_VALID);
            assert_eq!(refused.header("www-authenticate"), "Bearer");
            assert_eq!(refused.body, unknown.body, "a token reveals nothing of another");
        }
        assert_eq!(said(&answer(ask(&service, lasting.text())).await), LET_IN, "other tokens are unchanged");
        assert_eq!(said(&answer(ask(&service, &service.token())).await), LET_IN);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_token_is_accepted_only_whole_and_in_the_header() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let known = token(&world, &[]).await;
    let text = known.text();
    for header in [format!("Bearer {text}"), format!("bearer {text}"), format!("BEARER   {text} ")] {
        let request = service.get("/api/v1/nothing").header("Authorization", &header);
        assert_eq!(said(&answer(request).await), LET_IN, "{header}");
    }
    let digest = hex::encode(known.token.digest().as_bytes());
    for other in [&text[..69], &format!("{text}0"), &text.to_uppercase(), known.token.prefix(), &digest] {
        assert_eq!(said(&answer(ask(&service, other)).await), NOT_VALID, "{other}");
    }
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_token_in_the_url_is_refused_whatever_the_header() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let known = token(&world, &[]).await;
    let text = known.text();
    for query in [
        "token=x".to_owned(),
        format!("access_token={text}"),
        "limit=1&api_key=x".to_owned(),
        "apikey".to_owned(),
        "TOKEN=x".to_owned(),
        "%74oken=x".to_owned(),
        "bearer=x".to_owned(),
        "Authorization=Bearer+x".to_owned(),
        "api_token=x".to_owned(),
        format!("ticket={text}"),
        format!("whatever={}", text.replace('_', "%5F")),
    ] {
        let path = format!("/api/v1/media/{}?{query}", "0".repeat(64));
        for request in [service.get(&path), service.get(&path).bearer_auth(text)] {
            let refused = answer(request).await;
            assert_eq!(said(&refused), (400, "token_in_query"), "{query}");
            let detail = refused.body["detail"].as_str().expect("the value is text");
            assert!(detail.contains("Authorization: Bearer TOKEN") && !detail.contains(text), "{detail}");
        }
    }
    assert_eq!(said(&answer(service.get("/api/v1/x?q=token&tokens=1").bearer_auth(text)).await), LET_IN);
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn the_use_of_a_token_is_recorded_once_a_minute_and_no_request_waits_for_it() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let known = token(&world, &[]).await;
        let used_at = async || world.value("SELECT last_used_at FROM api_tokens").await;
        let blocker = Blocker::new(&world, "api_tokens").await;
        assert_eq!(
            said(&answer(ask(&service, known.text())).await),
            LET_IN,
            "while the database is locked for writing"
        );
        assert_eq!(used_at().await, "NULL");
        blocker.release().await;
        eventually("the use is recorded", async || used_at().await != "NULL").await;
        let noted = used_at().await;
        for _ in 0..20 {
            assert_eq!(said(&answer(ask(&service, known.text())).await), LET_IN);
        }
        assert_eq!(used_at().await, noted);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn while_the_database_is_unavailable_no_token_is_called_invalid() {
    let mut world = World::new(Backend::Postgres).await;
    let proxy = Proxy::start(&mut world.url).await;
    let service = Service::start(&world).await;
    let known = token(&world, &["7"]).await;
    assert_eq!(said(&answer(ask(&service, known.text())).await), LET_IN);
    proxy.stop();
    assert_eq!(said(&answer(ask(&service, known.text())).await), (503, "store_unavailable"));
    assert_eq!(said(&answer(ask(&service, &service.token())).await), LET_IN, "the owner's token needs no database");
    proxy.resume();
    eventually("the token is accepted again", async || said(&answer(ask(&service, known.text())).await) == LET_IN)
        .await;
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_those_of_the_api_are_private() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/", "/health/live", "/webhook", "/webhook/7", "/api/v1/x", "/api/v1/media/x", "/api/v1/tickets"] {
        for request in [service.get(path), service.get(path).bearer_auth(service.token()), service.post(path, "{}")] {
            let given = given(request).await;
            let id = given.header("x-request-id");
            assert!(uuid::Uuid::parse_str(id).is_ok(), "{path} {id}");
            assert!(ids.insert(id.to_owned()), "{path} {id}");
            if path.starts_with("/api/") {
                let caching = if given.status == 201 { "no-store" } else { "private, no-cache" };
                assert_eq!(given.header("x-content-type-options"), "nosniff", "{path}");
                assert_eq!(given.header("cache-control"), caching, "{path}");
            }
        }
    }
    service.stop().await;
}

/// A clock that the test sets.
struct Told(Mutex<Timestamp>);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("the lock is not poisoned")
    }
}

#[test(flavor = "multi_thread")]
async fn a_stream_can_check_whether_its_token_is_still_accepted() {
    on_both(async |world| {
        let store = world.open().await;
        let start = SystemClock.now();
        let clock = Arc::new(Told(Mutex::new(start)));
        let (tickets, failures) =
            (TicketKey::new("a key".to_owned().into()), Arc::new(AuthFailureLimiter::new(vec![])));
        let access = Access::new(StoreHandle::new(store), clock.clone(), "the owner's token", tickets, failures, None);
        let revoked = token(&world, &["7"]).await;
        let ending = token_until(&world, &["7"], Some(start + Duration::from_secs(60))).await;
        let reader = |token: Option<TokenId>| Caller {
            scope: Scope::All,
            token,
            session: None,
            can_export: false,
            actor: AuditActor::Owner,
        };
        let admitted = async |token| access.still_admits(&reader(token)).await.expect("the store answers");
        let of_all = async || [admitted(None).await, admitted(Some(revoked.id)).await, admitted(Some(ending.id)).await];
        assert_eq!(of_all().await, [true, true, true]);
        revoke(&world, &revoked).await;
        assert_eq!(of_all().await, [true, false, true]);
        *clock.0.lock().expect("the lock is not poisoned") = start + Duration::from_secs(60);
        assert_eq!(of_all().await, [true, false, false]);
        assert!(!admitted(Some(TokenId(99))).await);
    })
    .await;
}
