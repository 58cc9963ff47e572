use async_trait::async_trait;

use crate::StoreError;
use crate::sqlite::{SqliteStore, json};
use crate::write::objects::{ObjectStore, byte_count};
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl ObjectStore for SqliteStore {
    async fn database_id(&self) -> Result<String, StoreError> {
        let id =
            sqlx::query_scalar!("SELECT database_id FROM installation WHERE id = 1").fetch_one(&self.read_pool).await?;
        Ok(id)
    }

    async fn bytes_stored(&self) -> Result<u64, StoreError> {
        let bytes = sqlx::query_scalar!(
            r#"
            SELECT coalesce(sum(size), 0) AS "bytes!: i64"
            FROM (SELECT DISTINCT object_key, size FROM media WHERE object_key IS NOT NULL)
            "#
        )
        .fetch_one(&self.read_pool)
        .await?;
        Ok(byte_count(bytes))
    }

    async fn objects_without_row(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT key.value ->> 0 AS "object_key!: ObjectKey"
            FROM json_each(?1) AS key
            WHERE NOT EXISTS (SELECT 1 FROM media WHERE media.object_key = key.value ->> 0)
            "#,
            json(keys.iter().map(|key| [key.as_str()])),
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn lock_object(&self, key: &ObjectKey, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let mut unit = self.begin().await?;
        let locked = sqlx::query!(
            r#"
            INSERT INTO media_object_locks (object_key, locked_until)
            VALUES (?1, ?3)
            ON CONFLICT (object_key) DO UPDATE
            SET locked_until = excluded.locked_until
            WHERE media_object_locks.locked_until <= ?2
            "#,
            key,
            now,
            until,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await?;
        Ok(locked.rows_affected() == 1)
    }

    async fn unlock_object(&self, key: &ObjectKey, until: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        sqlx::query!("DELETE FROM media_object_locks WHERE object_key = ?1 AND locked_until = ?2", key, until)
            .execute(&mut **unit)
            .await?;
        unit.commit().await
    }
}
