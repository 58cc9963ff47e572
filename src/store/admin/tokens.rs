//! The tokens of the read API.

use async_trait::async_trait;

use crate::StoreError;
use domain::access::scope::Scope;
use domain::access::token::{ApiToken, NewToken, TokenDigest, TokenId};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The contract of tokens.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Keeps a new token, and returns its id; `None` if one that is active at its `created_at` has its name.
    async fn create_token(&self, token: &NewToken) -> Result<Option<TokenId>, StoreError>;

    /// All tokens there ever were, the newest first.
    async fn list_tokens(&self) -> Result<Vec<ApiToken>, StoreError>;

    /// Ends a token at `now`. Returns whether it was there and not revoked before.
    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<bool, StoreError>;

    /// The token with this digest, whether it is active or not.
    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, StoreError>;

    /// The token with this id, whether it is active or not.
    async fn token_by_id(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError>;

    /// Notes that a token was used at `now`, unless a use after `noted_since` is noted already.
    async fn note_token_use(&self, id: TokenId, now: Timestamp, noted_since: Timestamp) -> Result<(), StoreError>;
}

/// Fails unless the table is as a statement should have left it: a trigger can drop a row without an error.
pub(crate) fn not_swallowed(is_as_it_should_be: bool) -> Result<(), StoreError> {
    if is_as_it_should_be { Ok(()) } else { Err(StoreError::Swallowed { table: "api_tokens" }) }
}

/// A row of `api_tokens`.
pub(crate) struct TokenRow<T> {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) sha256: Vec<u8>,
    pub(crate) instances: Option<String>,
    pub(crate) created_at: T,
    pub(crate) expires_at: Option<T>,
    pub(crate) revoked_at: Option<T>,
    pub(crate) last_used_at: Option<T>,
}

impl<T> TokenRow<T> {
    pub(crate) fn read(self, time: impl Fn(T) -> Result<Timestamp, StoreError>) -> Result<ApiToken, StoreError> {
        let sha256 = self.sha256.try_into().map_err(|_| unreadable("sha256"))?;
        Ok(ApiToken {
            id: TokenId(self.id),
            name: self.name,
            prefix: self.prefix,
            digest: TokenDigest::from_store(sha256),
            scope: scope(self.instances.as_deref())?,
            created_at: time(self.created_at)?,
            expires_at: self.expires_at.map(&time).transpose()?,
            revoked_at: self.revoked_at.map(&time).transpose()?,
            last_used_at: self.last_used_at.map(&time).transpose()?,
        })
    }
}

/// A scope as the column `instances` holds it: a JSON array, or NULL for everything.
pub(crate) fn instances(scope: &Scope) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Instances(ids) => {
            let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
            Some(serde_json::to_string(&ids).expect("texts are JSON"))
        }
    }
}

fn scope(instances: Option<&str>) -> Result<Scope, StoreError> {
    let Some(json) = instances else { return Ok(Scope::All) };
    let ids: Vec<String> = serde_json::from_str(json).map_err(|_| unreadable("instances"))?;
    Ok(Scope::Instances(ids.iter().map(|id| InstanceId::from_store(id)).collect()))
}

fn unreadable(column: &str) -> StoreError {
    StoreError::unreadable("api_tokens", column)
}
