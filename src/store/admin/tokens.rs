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
    /// Stores a new token, and returns its id; `None` if another token with its name is active at its `created_at`.
    async fn create_token(&self, token: &NewToken) -> Result<Option<TokenId>, StoreError>;

    /// Returns all tokens that there ever were, the newest first.
    async fn list_tokens(&self) -> Result<Vec<ApiToken>, StoreError>;

    /// Revokes a token at `now`. Returns whether the token exists and was not revoked before.
    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<bool, StoreError>;

    /// Returns the token with this digest, whether it is active or not.
    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, StoreError>;

    /// Returns the token with this id, whether it is active or not.
    async fn token_by_id(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError>;

    /// Stores that a token was used at `now`, unless a use after `noted_since` is stored already.
    async fn note_token_use(&self, id: TokenId, now: Timestamp, noted_since: Timestamp) -> Result<(), StoreError>;
}

/// Fails unless the table is as a statement should have left it. A trigger can drop a row without an error.
pub(crate) fn not_swallowed(is_as_it_should_be: bool) -> Result<(), StoreError> {
    if is_as_it_should_be { Ok(()) } else { Err(StoreError::Swallowed { table: "api_tokens" }) }
}

/// The columns of a row of `api_tokens`.
pub(crate) struct TokenColumns {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) sha256: Vec<u8>,
    pub(crate) instances: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) can_export: bool,
}

impl TryFrom<TokenColumns> for ApiToken {
    type Error = StoreError;

    fn try_from(row: TokenColumns) -> Result<Self, StoreError> {
        let sha256 = row.sha256.try_into().map_err(|_| unreadable("sha256"))?;
        Ok(Self {
            id: TokenId(row.id),
            name: row.name,
            prefix: row.prefix,
            digest: TokenDigest::from_store(sha256),
            scope: scope(row.instances.as_deref())?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            can_export: row.can_export,
        })
    }
}

/// Returns the value of the column `instances` for a scope: a JSON array, or NULL for everything.
pub(crate) fn instances(scope: &Scope) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Instances(ids) => Some(serde_json::to_string(ids).expect("texts are JSON")),
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
