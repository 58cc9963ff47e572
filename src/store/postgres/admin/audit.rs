use async_trait::async_trait;

use crate::StoreError;
use crate::admin::audit::{AuditColumns, AuditStore};
use crate::error::all_written;
use crate::postgres::PostgresStore;
use domain::audit::{AuditEntry, AuditedDeed, KEPT};
use domain::pseudonym::PseudonymKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl AuditStore for PostgresStore {
    async fn audit(&self, deed: &AuditedDeed) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!("DELETE FROM audit WHERE at < $1", (deed.at - KEPT) as _).execute(&mut *unit).await?;
        let written = sqlx::query!(
            "INSERT INTO audit (at, actor, action, subject_hmac, detail) VALUES ($1, $2, $3, $4, $5)",
            deed.at as _,
            deed.actor.to_string(),
            deed.action,
            deed.subject_hmac,
            deed.detail.to_string(),
        )
        .execute(&mut *unit)
        .await?;
        all_written("audit", 1, written.rows_affected())?;
        unit.commit().await
    }

    async fn audit_entries(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = sqlx::query_as!(
            AuditColumns,
            r#"
            SELECT seq AS "seq!", at AS "at: Timestamp", actor, action, subject_hmac, detail
            FROM audit
            WHERE seq < $1
            ORDER BY seq DESC
            LIMIT $2
            "#,
            before.unwrap_or(i64::MAX),
            i64::from(limit),
        )
        .fetch_all(&self.read_pool)
        .await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }

    async fn pseudonym_key(&self, purpose: &str) -> Result<Option<PseudonymKey>, StoreError> {
        let secret = sqlx::query_scalar!("SELECT secret FROM pseudonym_keys WHERE purpose = $1", purpose)
            .fetch_optional(&self.read_pool)
            .await?;
        Ok(secret.map(PseudonymKey::new))
    }
}
