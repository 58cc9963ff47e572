use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::PostgresStore;
use crate::write::erasure::ErasureRows;
use crate::write::erasure::retention::{Overdue, OverdueQuery, RetentionRows, RetentionStore, expire_piece};
use crate::write::events::take_numbers;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl RetentionRows for PgConnection {
    async fn old_messages(
        &mut self,
        instance_id: &InstanceId,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageKey>, StoreError> {
        Ok(sqlx::query_as!(
            MessageKey,
            r#"
            SELECT instance_id AS "instance_id: InstanceId", id
            FROM messages
            WHERE instance_id = $1 AND occurred_at < $2
            ORDER BY occurred_at
            LIMIT $3
            "#,
            instance_id.as_str(),
            before as _,
            i64::from(limit),
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
            SELECT seq
            FROM events
            WHERE instance_id = $1 AND received_at < $2 AND state NOT IN ('erased', 'expired')
                AND NOT EXISTS (
                    SELECT FROM messages
                    WHERE messages.instance_id = events.instance_id AND messages.id = events.message_id
                )
            ORDER BY seq
            LIMIT $3
            "#,
            instance_id.as_str(),
            before as _,
            i64::from(limit),
        )
        .fetch_all(self)
        .await?)
    }
}

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn overdue(&self, old: &OverdueQuery) -> Result<Overdue, StoreError> {
        Ok(sqlx::query_as!(
            Overdue,
            r#"
            SELECT
                count(*) FILTER (WHERE kind = 'message' AND at < $2) AS "messages!",
                count(*) FILTER (WHERE kind = 'message') AS "all_messages!",
                count(*) FILTER (WHERE kind = 'file' AND at < $3) AS "files!",
                count(*) FILTER (WHERE kind = 'file') AS "all_files!",
                coalesce(sum(size) FILTER (WHERE kind = 'file' AND at < $3), 0)::int8 AS "file_bytes!",
                min(at) FILTER (WHERE kind = 'message') AS "oldest: Timestamp"
            FROM (
                SELECT 'message' AS kind, occurred_at AS at, 0::int8 AS size FROM messages WHERE instance_id = $1
                UNION ALL
                SELECT 'file', occurred_at, size FROM media WHERE instance_id = $1 AND object_key IS NOT NULL
            ) AS things
            "#,
            old.instance_id.as_str(),
            old.messages_before as _,
            old.files_before as _,
        )
        .fetch_one(&self.reports)
        .await?)
    }

    async fn expire_events(&self, instance_id: &InstanceId, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let expired = expire_piece(&mut *unit, instance_id, before, limit).await?;
        unit.commit().await?;
        Ok(expired)
    }

    async fn expire_files(&self, instance_id: &InstanceId, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let seq = take_numbers(&mut *unit, 1).await?;
        let objects = sqlx::query_scalar!(
            r#"
            WITH old AS MATERIALIZED (
                SELECT instance_id, message_id, source_sha256, object_key
                FROM media
                WHERE instance_id = $1 AND occurred_at < $2 AND object_key IS NOT NULL
                ORDER BY occurred_at
                LIMIT $3
            ), removed AS (
                UPDATE media
                SET state = 'removed', reason = 'it is older than files are kept', object_key = NULL, size = NULL,
                    lease_until = NULL, settled_seq = $4
                FROM old
                WHERE media.instance_id = old.instance_id AND media.message_id = old.message_id
                    AND media.source_sha256 = old.source_sha256
            )
            SELECT object_key AS "object_key!: ObjectKey" FROM old
            "#,
            instance_id.as_str(),
            before as _,
            i64::from(limit),
            seq,
        )
        .fetch_all(&mut *unit)
        .await?;
        unit.add_removals(&objects).await?;
        unit.commit().await?;
        Ok(objects.len() as u64)
    }

    async fn forget_expired(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let forgotten = sqlx::query!(
            r#"
            DELETE FROM events
            WHERE seq IN (
                SELECT seq FROM events WHERE state <> 'applied' AND state = 'expired' AND last_received_at < $1 LIMIT $2
            )
            "#,
            before as _,
            i64::from(limit),
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await?;
        Ok(forgotten.rows_affected())
    }

    async fn begin_retention(&self, at: Timestamp) -> Result<i64, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let run = sqlx::query_scalar!("INSERT INTO retention_runs (begun_at) VALUES ($1) RETURNING id", at as _)
            .fetch_one(&mut *unit)
            .await?;
        unit.commit().await?;
        Ok(run)
    }

    async fn end_retention(&self, run: i64, at: Timestamp, events: u64, files: u64) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!(
            "UPDATE retention_runs SET ended_at = $2, events = $3, files = $4 WHERE id = $1",
            run,
            at as _,
            events.cast_signed(),
            files.cast_signed(),
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await
    }

    async fn last_retention(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT max(begun_at) AS "begun_at: Timestamp" FROM retention_runs AS run WHERE run.ended_at IS NOT NULL"#
        )
        .fetch_one(&self.read_pool)
        .await?)
    }
}
