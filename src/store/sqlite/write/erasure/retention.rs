use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{SqliteStore, json};
use crate::write::erasure::ErasureRows;
use crate::write::erasure::retention::{Overdue, OverdueQuery, RetentionRows, RetentionStore, expire_piece};
use crate::write::events::take_numbers;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl RetentionRows for SqliteConnection {
    async fn old_messages(
        &mut self,
        instance_id: &InstanceId,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageKey>, StoreError> {
        Ok(sqlx::query_as!(
            MessageKey,
            r#"
            SELECT instance_id AS "instance_id!: InstanceId", id AS "id!: String"
            FROM messages
            WHERE instance_id = ?1 AND occurred_at < ?2
            ORDER BY occurred_at
            LIMIT ?3
            "#,
            instance_id,
            before,
            limit,
        )
        .fetch_all(self)
        .await?)
    }

    async fn old_events(
        &mut self,
        instance_id: &InstanceId,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT seq AS "seq!: i64"
            FROM events
            WHERE instance_id = ?1 AND received_at < ?2 AND state NOT IN ('erased', 'expired')
                AND NOT EXISTS (
                    SELECT 1 FROM messages
                    WHERE messages.instance_id = events.instance_id AND messages.id = events.message_id
                )
            ORDER BY seq
            LIMIT ?3
            "#,
            instance_id,
            before,
            limit,
        )
        .fetch_all(self)
        .await?)
    }
}

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn overdue(&self, old: &OverdueQuery) -> Result<Overdue, StoreError> {
        Ok(sqlx::query_as!(
            Overdue,
            r#"
            SELECT
                count(*) FILTER (WHERE kind = 'message' AND at < ?2) AS "messages!: i64",
                count(*) FILTER (WHERE kind = 'message') AS "all_messages!: i64",
                count(*) FILTER (WHERE kind = 'file' AND at < ?3) AS "files!: i64",
                count(*) FILTER (WHERE kind = 'file') AS "all_files!: i64",
                coalesce(sum(size) FILTER (WHERE kind = 'file' AND at < ?3), 0) AS "file_bytes!: i64",
                min(at) FILTER (WHERE kind = 'message') AS "oldest: Timestamp"
            FROM (
                SELECT 'message' AS kind, occurred_at AS at, 0 AS size FROM messages WHERE instance_id = ?1
                UNION ALL
                SELECT 'file', occurred_at, size FROM media WHERE instance_id = ?1 AND object_key IS NOT NULL
            ) AS things
            "#,
            old.instance_id,
            old.messages_before,
            old.files_before,
        )
        .fetch_one(&self.reports)
        .await?)
    }

    async fn expire_events(&self, instance_id: &InstanceId, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut unit = self.begin_erasing().await?;
        let expired = expire_piece(&mut **unit, instance_id, before, limit).await?;
        unit.commit_erased().await?;
        Ok(expired)
    }

    async fn expire_files(&self, instance_id: &InstanceId, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut unit = self.begin_erasing().await?;
        let seq = take_numbers(&mut **unit, 1).await?;
        let found = sqlx::query!(
            r#"
            SELECT rowid AS "rowid!: i64", object_key AS "object_key!: ObjectKey"
            FROM media
            WHERE instance_id = ?1 AND occurred_at < ?2 AND object_key IS NOT NULL
            ORDER BY occurred_at
            LIMIT ?3
            "#,
            instance_id,
            before,
            limit,
        )
        .fetch_all(&mut **unit)
        .await?;
        let rows = json(found.iter().map(|file| file.rowid));
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'removed', reason = 'it is older than files are kept', object_key = NULL, size = NULL,
                lease_until = NULL, settled_seq = ?2
            WHERE rowid IN (SELECT value FROM json_each(?1))
            "#,
            rows,
            seq,
        )
        .execute(&mut **unit)
        .await?;
        let objects: Vec<ObjectKey> = found.into_iter().map(|file| file.object_key).collect();
        unit.add_removals(&objects).await?;
        unit.commit_erased().await?;
        Ok(objects.len() as u64)
    }

    async fn forget_expired(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut unit = self.begin_erasing().await?;
        let forgotten = sqlx::query!(
            r#"
            DELETE FROM events
            WHERE seq IN (
                SELECT seq FROM events WHERE state <> 'applied' AND state = 'expired' AND last_received_at < ?1 LIMIT ?2
            )
            "#,
            before,
            limit,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit_erased().await?;
        Ok(forgotten.rows_affected())
    }

    async fn begin_retention(&self, at: Timestamp) -> Result<i64, StoreError> {
        let mut unit = self.begin().await?;
        let run =
            sqlx::query_scalar!(r#"INSERT INTO retention_runs (begun_at) VALUES (?1) RETURNING id AS "id!: i64""#, at)
                .fetch_one(&mut **unit)
                .await?;
        unit.commit().await?;
        Ok(run)
    }

    async fn end_retention(&self, run: i64, at: Timestamp, events: u64, files: u64) -> Result<(), StoreError> {
        let (events, files) = (events.cast_signed(), files.cast_signed());
        let mut unit = self.begin().await?;
        sqlx::query!(
            "UPDATE retention_runs SET ended_at = ?2, events = ?3, files = ?4 WHERE id = ?1",
            run,
            at,
            events,
            files,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await
    }

    async fn last_retention(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT max(begun_at) AS "begun_at: Timestamp" FROM retention_runs WHERE ended_at IS NOT NULL"#
        )
        .fetch_one(&self.read_pool)
        .await?)
    }
}
