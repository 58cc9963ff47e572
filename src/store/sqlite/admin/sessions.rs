use async_trait::async_trait;

use crate::StoreError;
use crate::admin::sessions::{SessionColumns, SessionStore, not_swallowed};
use crate::sqlite::SqliteStore;
use domain::access::session::{BrowserSession, MOST_SESSIONS, NewSession, SessionDigest, SessionId};
use domain::time::timestamp::Timestamp;

/// Reads rows of `sessions`; the literal is the end of the statement.
macro_rules! sessions {
    ($end:literal $(, $parameter:expr)?) => {
        sqlx::query_as!(
            SessionColumns,
            r#"
            SELECT
                id, token_id, token_sha256, device,
                created_at AS "created_at: Timestamp",
                used_at AS "used_at: Timestamp",
                expires_at AS "expires_at: Timestamp",
                ended_at AS "ended_at: Timestamp"
            FROM sessions
            "# + $end
            $(, $parameter)?
        )
    };
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(&self, session: &NewSession) -> Result<Option<SessionId>, StoreError> {
        let (hmac, token_id) = (session.digest.as_bytes().as_slice(), session.token.map(|token| token.0));
        let code_hmac = session.code.as_ref().map(|code| code.as_bytes().as_slice());
        let token_sha256 = session.token_digest.as_bytes().as_slice();
        let expires_at = session.expires_at();
        let mut unit = self.begin().await?;
        sqlx::query!("DELETE FROM sessions WHERE expires_at <= ?1", session.created_at).execute(&mut **unit).await?;
        let id = sqlx::query_scalar!(
            r#"
            INSERT INTO sessions (hmac, code_hmac, token_id, token_sha256, device, created_at, used_at, expires_at)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7
            WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE code_hmac = ?2)
            RETURNING id AS "id!: i64"
            "#,
            hmac,
            code_hmac,
            token_id,
            token_sha256,
            session.device,
            session.created_at,
            expires_at,
        )
        .fetch_optional(&mut **unit)
        .await?;
        if id.is_none() {
            let is_spent = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT 1 FROM sessions WHERE code_hmac = ?1) AS "is_spent!: bool""#,
                code_hmac,
            );
            not_swallowed(is_spent.fetch_one(&mut **unit).await?)?;
        }
        sqlx::query!(
            r#"
            DELETE FROM sessions
            WHERE id IN (SELECT id FROM sessions WHERE token_sha256 = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)
            "#,
            token_sha256,
            MOST_SESSIONS,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await?;
        Ok(id.map(SessionId))
    }

    async fn list_sessions(&self) -> Result<Vec<BrowserSession>, StoreError> {
        let rows = sessions!("ORDER BY id DESC").fetch_all(&self.read_pool).await?;
        rows.into_iter().map(BrowserSession::try_from).collect()
    }

    async fn session_by_digest(&self, digest: &SessionDigest) -> Result<Option<BrowserSession>, StoreError> {
        let hmac = digest.as_bytes().as_slice();
        let row = sessions!("WHERE hmac = ?1", hmac).fetch_optional(&self.read_pool).await?;
        row.map(BrowserSession::try_from).transpose()
    }

    async fn session_by_id(&self, id: SessionId) -> Result<Option<BrowserSession>, StoreError> {
        let row = sessions!("WHERE id = ?1", id.0).fetch_optional(&self.read_pool).await?;
        row.map(BrowserSession::try_from).transpose()
    }

    async fn prolong_session(&self, id: SessionId, now: Timestamp, expires_at: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        sqlx::query!(
            "UPDATE sessions SET used_at = ?2, expires_at = ?3 WHERE id = ?1 AND ended_at IS NULL AND used_at < ?2",
            id.0,
            now,
            expires_at,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let mut unit = self.begin().await?;
        let done = sqlx::query!("UPDATE sessions SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL", id.0, now)
            .execute(&mut **unit)
            .await?;
        let is_over = sqlx::query_scalar!(
            r#"SELECT NOT EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND ended_at IS NULL) AS "is_over!: bool""#,
            id.0,
        );
        not_swallowed(is_over.fetch_one(&mut **unit).await?)?;
        unit.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}
