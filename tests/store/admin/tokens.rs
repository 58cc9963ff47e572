use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use buzon::domain::access::scope::Scope;
use buzon::domain::access::token::{ApiToken, NewToken, Token, TokenId, TokenName};
use buzon::domain::instance::InstanceId;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::Store;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::on_both;

fn of_instances(ids: &[&str]) -> Scope {
    let ids: BTreeSet<_> = ids.iter().map(|id| InstanceId::new(id).expect("it is an id")).collect();
    Scope::Instances(ids)
}

pub fn new(name: &str, random: u8, scope: Scope, expires_at: Option<Timestamp>) -> NewToken {
    let token = Token::from_random([random; 32]);
    NewToken {
        name: TokenName::new(name).expect("it is a name"),
        prefix: token.prefix().to_owned(),
        digest: token.digest(),
        scope,
        created_at: ARRIVAL,
        expires_at,
        can_export: false,
    }
}

async fn create(store: &Arc<dyn Store>, token: &NewToken) -> Option<TokenId> {
    store.create_token(token).await.expect("the store answers")
}

async fn by_id(store: &Arc<dyn Store>, id: TokenId) -> ApiToken {
    store.token_by_id(id).await.expect("the store answers").expect("it is there")
}

#[test]
async fn a_token_is_kept_as_its_digest_and_found_by_it_and_by_its_id() {
    on_both(async |world| {
        let store = world.open().await;
        let all = new("all", 1, Scope::All, None);
        let some = new("de José", 2, of_instances(&["8", "7\"]", "ñ"]), Some(later(1000)));
        let some = NewToken { can_export: true, ..some };
        let (first, second) = (create(&store, &all).await.expect("it is new"), create(&store, &some).await);
        let second = second.expect("it is new");
        assert_ne!(first, second);
        let expected = ApiToken {
            id: second,
            name: "de José".to_owned(),
            prefix: "buzon_02020202".to_owned(),
            digest: some.digest.clone(),
            scope: some.scope.clone(),
            created_at: ARRIVAL,
            expires_at: Some(later(1000)),
            revoked_at: None,
            last_used_at: None,
            can_export: true,
        };
        assert_eq!(by_id(&store, second).await, expected);
        let found = store.token_by_digest(&some.digest).await.expect("the store answers");
        assert_eq!(found, Some(expected.clone()));
        assert_eq!(by_id(&store, first).await.scope, Scope::All);
        let unknown = Token::from_random([3; 32]).digest();
        assert_eq!(store.token_by_digest(&unknown).await.expect("the store answers"), None);
        assert_eq!(store.token_by_id(TokenId(99)).await.expect("the store answers"), None);
        let listed = store.list_tokens().await.expect("the store answers");
        assert_eq!(listed, [expected, by_id(&store, first).await]);
        let row =
            world.value("SELECT name, prefix, sha256, instances FROM api_tokens WHERE instances IS NOT NULL").await;
        let digest = hex::encode(some.digest.as_bytes());
        assert_eq!(row, format!("de José|buzon_02020202|{digest}|[\"7\\\"]\",\"8\",\"ñ\"]"));
    })
    .await;
}

#[test]
async fn two_active_tokens_do_not_have_one_name() {
    on_both(async |world| {
        let store = world.open().await;
        let taken = async |random| create(&store, &new("panel", random, Scope::All, None)).await.is_none();
        let first = create(&store, &new("panel", 1, Scope::All, None)).await.expect("it is new");
        assert!(taken(2).await);
        assert!(create(&store, &new("Panel", 3, Scope::All, None)).await.is_some());
        assert!(store.revoke_token(first, ARRIVAL).await.expect("the store answers"));
        // A token that expires at this very moment has expired.
        assert!(create(&store, &new("panel", 4, Scope::All, Some(ARRIVAL))).await.is_some());
        assert!(create(&store, &new("panel", 5, Scope::All, Some(later(1)))).await.is_some());
        assert!(taken(6).await);
        let rows = world.rows("SELECT name FROM api_tokens ORDER BY id").await;
        assert_eq!(rows, ["panel", "Panel", "panel", "panel"]);
    })
    .await;
}

#[test]
async fn of_many_that_ask_for_a_name_at_once_one_has_it() {
    on_both(async |world| {
        let stores = match world.backend {
            crate::support::database::world::Backend::Sqlite => vec![world.open().await],
            crate::support::database::world::Backend::Postgres => vec![world.open().await, world.open().await],
        };
        let attempts = (0..20u8).map(|n| {
            let store = stores[usize::from(n) % stores.len()].clone();
            tokio::spawn(async move { create(&store, &new("panel", n, Scope::All, None)).await })
        });
        let outcomes = futures_util::future::join_all(attempts).await;
        let made = outcomes.into_iter().filter(|outcome| outcome.as_ref().expect("it ends").is_some());
        assert_eq!(made.count(), 1);
    })
    .await;
}

#[test]
async fn a_token_is_revoked_once_and_for_all() {
    on_both(async |world| {
        let store = world.open().await;
        let id = create(&store, &new("panel", 1, Scope::All, None)).await.expect("it is new");
        let other = create(&store, &new("other", 2, Scope::All, None)).await.expect("it is new");
        let revoke = async |id, now| store.revoke_token(id, now).await.expect("the store answers");
        assert!(revoke(id, later(5)).await);
        assert!(!revoke(id, later(9)).await);
        assert!(!revoke(TokenId(99), later(9)).await);
        assert_eq!(by_id(&store, id).await.revoked_at, Some(later(5)));
        assert_eq!(by_id(&store, other).await.revoked_at, None);
    })
    .await;
}

#[test]
async fn a_use_is_noted_unless_another_was_just_before() {
    on_both(async |world| {
        let store = world.open().await;
        let id = create(&store, &new("panel", 1, Scope::All, None)).await.expect("it is new");
        let other = create(&store, &new("other", 2, Scope::All, None)).await.expect("it is new");
        let used = async |now: Timestamp| {
            store.note_token_use(id, now, now - Duration::from_secs(60)).await.expect("the store answers");
            by_id(&store, id).await.last_used_at
        };
        assert_eq!(used(ARRIVAL).await, Some(ARRIVAL));
        assert_eq!(used(later(59_999)).await, Some(ARRIVAL));
        assert_eq!(used(later(60_000)).await, Some(later(60_000)));
        assert_eq!(by_id(&store, other).await.last_used_at, None);
    })
    .await;
}
