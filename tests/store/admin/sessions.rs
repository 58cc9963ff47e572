use std::sync::Arc;
use std::time::Duration;

use buzon::domain::access::session::{BrowserSession, MOST_SESSIONS, NewSession, SessionDigest, SessionId};
use buzon::domain::access::token::{TokenDigest, TokenId};
use buzon::store::Store;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::on_both;

fn digest(text: &str) -> SessionDigest {
    SessionDigest::from_store(*TokenDigest::of(text.as_bytes()).as_bytes())
}

fn new(secret: &str, code: Option<&str>) -> NewSession {
    NewSession {
        digest: digest(secret),
        token: Some(TokenId(7)),
        token_digest: TokenDigest::of(b"token"),
        code: code.map(digest),
        device: "Firefox de José".to_owned(),
        created_at: ARRIVAL,
    }
}

async fn create(store: &Arc<dyn Store>, session: &NewSession) -> Option<SessionId> {
    store.create_session(session).await.expect("the store answers")
}

#[test]
async fn a_session_is_kept_as_its_digest_and_found_by_it_and_by_its_id() {
    on_both(async |world| {
        let store = world.open().await;
        let (first, second) = (new("first", None), NewSession { token: None, ..new("second", Some("code")) });
        let id = create(&store, &first).await.expect("it is new");
        let owners = create(&store, &second).await.expect("it is new");
        let expected = BrowserSession {
            id,
            token: Some(TokenId(7)),
            token_digest: TokenDigest::of(b"token"),
            device: "Firefox de José".to_owned(),
            created_at: ARRIVAL,
            used_at: ARRIVAL,
            expires_at: first.expires_at(),
            ended_at: None,
        };
        let by_id = async |id| store.session_by_id(id).await.expect("the store answers");
        assert_eq!(by_id(id).await, Some(expected.clone()));
        assert_eq!(store.session_by_digest(&digest("first")).await.expect("the store answers"), Some(expected.clone()));
        assert_eq!(by_id(owners).await.expect("it is there").token, None);
        assert_eq!(store.session_by_digest(&digest("third")).await.expect("the store answers"), None);
        let listed = store.list_sessions().await.expect("the store answers");
        assert_eq!(listed.iter().map(|session| session.id).collect::<Vec<_>>(), [owners, id]);

        store.prolong_session(id, later(90_000), later(900_000)).await.expect("the store answers");
        let prolonged = BrowserSession { used_at: later(90_000), expires_at: later(900_000), ..expected };
        assert_eq!(by_id(id).await, Some(prolonged.clone()));
        assert!(store.end_session(id, later(90_001)).await.expect("the store answers"));
        assert!(!store.end_session(id, later(90_002)).await.expect("the store answers"));
        assert!(!store.end_session(SessionId(99), later(90_002)).await.expect("the store answers"));
        store.prolong_session(id, later(180_000), later(990_000)).await.expect("the store answers");
        assert_eq!(by_id(id).await, Some(BrowserSession { ended_at: Some(later(90_001)), ..prolonged }));
    })
    .await;
}

#[test]
async fn a_login_code_opens_one_session_even_when_it_is_used_twice_at_once() {
    on_both(async |world| {
        let store = world.open().await;
        let spend = |secret: String| {
            let store = store.clone();
            async move { create(&store, &new(&secret, Some("code"))).await }
        };
        let opened = futures_util::future::join_all((0..4).map(|n| spend(n.to_string()))).await;
        assert_eq!(opened.iter().flatten().count(), 1, "{opened:?}");
        let id = opened.into_iter().flatten().next().expect("one is there");
        store.end_session(id, later(1)).await.expect("the store answers");
        assert_eq!(spend("after its end".to_owned()).await, None);
        assert!(create(&store, &new("without a code", None)).await.is_some());
    })
    .await;
}

#[test]
async fn sessions_that_expired_and_the_oldest_of_too_many_are_removed_when_another_begins() {
    on_both(async |world| {
        let store = world.open().await;
        let old = create(&store, &new("old", None)).await.expect("it is new");
        let other = NewSession { token_digest: TokenDigest::of(b"another"), ..new("of another token", None) };
        let other = create(&store, &other).await.expect("it is new");
        for n in 0..MOST_SESSIONS {
            create(&store, &new(&n.to_string(), None)).await.expect("it is new");
        }
        let ids = async || {
            let listed = store.list_sessions().await.expect("the store answers");
            listed.iter().map(|session| session.id).collect::<Vec<_>>()
        };
        let left = ids().await;
        assert_eq!(left.len(), MOST_SESSIONS as usize + 1);
        assert!(left.contains(&other) && !left.contains(&old), "{left:?}");
        let much_later = new("x", None).expires_at() + Duration::from_secs(1);
        let last = create(&store, &NewSession { created_at: much_later, ..new("last", None) }).await;
        assert_eq!(ids().await, [last.expect("it is new")]);
    })
    .await;
}
