use async_trait::async_trait;

use crate::StoreError;
use crate::postgres::PostgresStore;
use crate::write::objects::{ObjectStore, byte_count};
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl ObjectStore for PostgresStore {
    async fn database_id(&self) -> Result<String, StoreError> {
        let id = sqlx::query_scalar!("SELECT database_id FROM installation").fetch_one(&self.read_pool).await?;
        Ok(id)
    }

    async fn bytes_stored(&self) -> Result<u64, StoreError> {
        let bytes = sqlx::query_scalar!(
            r#"
            SELECT coalesce(sum(size), 0)::int8 AS "bytes!"
            FROM (SELECT DISTINCT object_key, size FROM media WHERE object_key IS NOT NULL) AS objects
            "#
        )
        .fetch_one(&self.read_pool)
        .await?;
        Ok(byte_count(bytes))
    }

    async fn objects_without_row(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT object.key AS "object_key!: ObjectKey"
            FROM unnest($1::text[]) AS object (key)
            WHERE NOT EXISTS (SELECT FROM media WHERE media.object_key = object.key)
            "#,
            keys as _,
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn lock_object(&self, key: &ObjectKey, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let locked = sqlx::query!(
            r#"
            INSERT INTO media_object_locks (object_key, locked_until)
            VALUES ($1, $3)
            ON CONFLICT (object_key) DO UPDATE
            SET locked_until = excluded.locked_until
            WHERE media_object_locks.locked_until <= $2
            "#,
            key as _,
            now as _,
            until as _,
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await?;
        Ok(locked.rows_affected() == 1)
    }

    async fn unlock_object(&self, key: &ObjectKey, until: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!(
            "DELETE FROM media_object_locks WHERE object_key = $1 AND locked_until = $2",
            key as _,
            until as _,
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await
    }
}
