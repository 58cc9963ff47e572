//! Tokens of the read API, created and revoked beside a running service.

use std::sync::Arc;

use buzon::domain::access::scope::Scope;
use buzon::domain::access::token::{NewToken, Token, TokenId, TokenName};
use buzon::domain::instance::InstanceId;
use buzon::domain::time::timestamp::Timestamp;
use buzon::platform::clock::{Clock, SystemClock};
use buzon::store::{self, OpenMode, Options, Pending, Store};

use super::world::World;

/// A token in the database.
pub struct StoredToken {
    pub id: TokenId,
    pub token: Token,
}

impl StoredToken {
    /// Returns the token as a client sends it.
    pub fn text(&self) -> &str {
        self.token.expose()
    }
}

/// Opens the store beside the server that uses it.
pub async fn open_beside_server(world: &World) -> Arc<dyn Store> {
    let options = Options { pending: Pending::Refuse, access: OpenMode::Beside, ..world.options() };
    store::open(&options).await.expect("the store opens")
}

/// Creates a token for these instances, or for all if there are none.
pub async fn token(world: &World, instances: &[&str]) -> StoredToken {
    token_until(world, instances, None).await
}

/// Creates a token that expires at this time, which may be in the past.
pub async fn token_until(world: &World, instances: &[&str], expires_at: Option<Timestamp>) -> StoredToken {
    create(world, instances, expires_at, false).await
}

/// Creates a token with the right to export.
pub async fn exporting(world: &World, instances: &[&str]) -> StoredToken {
    create(world, instances, None, true).await
}

async fn create(world: &World, instances: &[&str], expires_at: Option<Timestamp>, can_export: bool) -> StoredToken {
    let token = Token::from_random(*uuid::Uuid::now_v7().as_bytes().repeat(2).first_chunk().expect("it is as long"));
    let ids = instances.iter().map(|id| InstanceId::new(id).expect("it is an id"));
    let new = NewToken {
        name: TokenName::new(&format!("of the test {}", uuid::Uuid::now_v7())).expect("it is a name"),
        prefix: token.prefix().to_owned(),
        digest: token.digest(),
        scope: if instances.is_empty() { Scope::All } else { Scope::Instances(ids.collect()) },
        created_at: SystemClock.now(),
        expires_at,
        can_export,
    };
    let store = open_beside_server(world).await;
    let id = store.create_token(&new).await.expect("the store answers").expect("no other has its name");
    store.close().await;
    StoredToken { id, token }
}

pub async fn revoke(world: &World, token: &StoredToken) {
    let store = open_beside_server(world).await;
    assert!(store.revoke_token(token.id, SystemClock.now()).await.expect("the store answers"));
    store.close().await;
}
