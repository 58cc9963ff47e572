use async_trait::async_trait;

use crate::StoreError;
use crate::admin::tokens::{TokenColumns, TokenStore, instances, not_swallowed};
use crate::sqlite::SqliteStore;
use domain::access::token::{ApiToken, NewToken, TokenDigest, TokenId};
use domain::time::timestamp::Timestamp;

/// Reads rows of `api_tokens`; the literal is the end of the statement.
macro_rules! tokens {
    ($end:literal $(, $parameter:expr)?) => {
        sqlx::query_as!(
            TokenColumns,
            r#"
            SELECT
                id, name, prefix, sha256, instances,
                created_at AS "created_at: Timestamp",
                expires_at AS "expires_at: Timestamp",
                revoked_at AS "revoked_at: Timestamp",
                last_used_at AS "last_used_at: Timestamp",
                can_export AS "can_export: bool"
            FROM api_tokens
            "# + $end
            $(, $parameter)?
        )
    };
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn create_token(&self, token: &NewToken) -> Result<Option<TokenId>, StoreError> {
        let (name, prefix, sha256) = (token.name.as_str(), &token.prefix, token.digest.as_bytes().as_slice());
        let instances = instances(&token.scope);
        let mut unit = self.begin().await?;
        let id = sqlx::query_scalar!(
            r#"
            INSERT INTO api_tokens (name, prefix, sha256, instances, created_at, expires_at, can_export)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
            WHERE NOT EXISTS (
                SELECT 1
                FROM api_tokens
                WHERE name = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?5)
            )
            RETURNING id AS "id!: i64"
            "#,
            name,
            prefix,
            sha256,
            instances,
            token.created_at,
            token.expires_at,
            token.can_export,
        )
        .fetch_optional(&mut **unit)
        .await?;
        if id.is_none() {
            let is_taken = sqlx::query_scalar!(
                r#"
                SELECT EXISTS (
                    SELECT 1
                    FROM api_tokens
                    WHERE name = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
                ) AS "is_taken!: bool"
                "#,
                name,
                token.created_at,
            );
            not_swallowed(is_taken.fetch_one(&mut **unit).await?)?;
        }
        unit.commit().await?;
        Ok(id.map(TokenId))
    }

    async fn list_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = tokens!("ORDER BY id DESC").fetch_all(&self.read_pool).await?;
        rows.into_iter().map(ApiToken::try_from).collect()
    }

    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<bool, StoreError> {
        let mut unit = self.begin().await?;
        let done =
            sqlx::query!("UPDATE api_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", id.0, now)
                .execute(&mut **unit)
                .await?;
        let is_over = sqlx::query_scalar!(
            r#"SELECT NOT EXISTS (SELECT 1 FROM api_tokens WHERE id = ?1 AND revoked_at IS NULL) AS "is_over!: bool""#,
            id.0,
        );
        not_swallowed(is_over.fetch_one(&mut **unit).await?)?;
        unit.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, StoreError> {
        let sha256 = digest.as_bytes().as_slice();
        let row = tokens!("WHERE sha256 = ?1", sha256).fetch_optional(&self.read_pool).await?;
        row.map(ApiToken::try_from).transpose()
    }

    async fn token_by_id(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        let row = tokens!("WHERE id = ?1", id.0).fetch_optional(&self.read_pool).await?;
        row.map(ApiToken::try_from).transpose()
    }

    async fn note_token_use(&self, id: TokenId, now: Timestamp, noted_since: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        sqlx::query!(
            r#"
            UPDATE api_tokens
            SET last_used_at = ?2
            WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)
            "#,
            id.0,
            now,
            noted_since,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await
    }
}
