//! The sessions of browsers.

use async_trait::async_trait;

use crate::StoreError;
use domain::access::session::{BrowserSession, NewSession, SessionDigest, SessionId};
use domain::access::token::{TokenDigest, TokenId};
use domain::time::timestamp::Timestamp;

/// The contract of sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a new session, and returns its id; `None` if its login code has opened another one. Removes the sessions that
    /// had expired by its `created_at`, and of its token all but the latest
    /// [`MOST_SESSIONS`](domain::access::session::MOST_SESSIONS).
    async fn create_session(&self, session: &NewSession) -> Result<Option<SessionId>, StoreError>;

    /// Returns all sessions, also those that ended and would not have expired yet, the newest first.
    async fn list_sessions(&self) -> Result<Vec<BrowserSession>, StoreError>;

    /// Returns the session with this digest, whether it is active or not.
    async fn session_by_digest(&self, digest: &SessionDigest) -> Result<Option<BrowserSession>, StoreError>;

    /// Returns the session with this id, whether it is active or not.
    async fn session_by_id(&self, id: SessionId) -> Result<Option<BrowserSession>, StoreError>;

    /// Stores that a session was used at `now`, and that it expires at `expires_at`, unless it has ended.
    async fn prolong_session(&self, id: SessionId, now: Timestamp, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Ends a session at `now`. Returns whether the session exists and had not been ended before.
    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError>;
}

/// Fails unless the table is as a statement should have left it. A trigger can drop a row without an error.
pub(crate) fn not_swallowed(is_as_it_should_be: bool) -> Result<(), StoreError> {
    if is_as_it_should_be { Ok(()) } else { Err(StoreError::Swallowed { table: "sessions" }) }
}

/// The columns of a row of `sessions`.
pub(crate) struct SessionColumns {
    pub(crate) id: i64,
    pub(crate) token_id: Option<i64>,
    pub(crate) token_sha256: Vec<u8>,
    pub(crate) device: String,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}

impl TryFrom<SessionColumns> for BrowserSession {
    type Error = StoreError;

    fn try_from(row: SessionColumns) -> Result<Self, StoreError> {
        let sha256 = row.token_sha256.try_into().map_err(|_| StoreError::unreadable("sessions", "token_sha256"))?;
        Ok(Self {
            id: SessionId(row.id),
            token: row.token_id.map(TokenId),
            token_digest: TokenDigest::from_store(sha256),
            device: row.device,
            created_at: row.created_at,
            used_at: row.used_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
        })
    }
}
