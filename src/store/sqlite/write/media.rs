use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{SqliteStore, json};
use crate::write::media::{
    JobClaim, LeaseColumns, LeasedColumns, MediaRows, MediaStore, claimed, read_leases, settled_columns,
};
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::media::{Lease, LeasedJob, MediaJob, Settlement};
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl MediaRows for SqliteConnection {
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO media (
                instance_id, message_id, source_sha256, source_url, source_host, occurred_at, next_attempt_at,
                state, attempts, denials, lease_token, chat_id, kind
            )
            SELECT
                value ->> 'instance_id', value ->> 'message_id', unhex(value ->> 'source_sha256'),
                value ->> 'source_url', value ->> 'source_host', value ->> 'occurred_at', value ->> 'due_at', 'pending',
                0, 0, 0, messages.chat_id, messages.kind
            FROM jsonb_each(?1)
            LEFT JOIN messages
                ON messages.instance_id = value ->> 'instance_id' AND messages.id = value ->> 'message_id'
            WHERE true
            ON CONFLICT (instance_id, message_id, source_sha256) DO UPDATE
            SET occurred_at = min(media.occurred_at, excluded.occurred_at), chat_id = excluded.chat_id,
                kind = excluded.kind
            "#,
            json(jobs),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn move_media(&mut self, messages: &[MessageKey]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE media
            SET (chat_id, kind) = (
                SELECT messages.chat_id, messages.kind
                FROM messages
                WHERE messages.instance_id = media.instance_id AND messages.id = media.message_id
            )
            WHERE (instance_id, message_id) IN (SELECT value ->> 'instance_id', value ->> 'id' FROM jsonb_each(?1))
            "#,
            json(messages),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, denials = 0, next_attempt_at = job.value ->> 'due_at',
                settled_seq = NULL
            FROM jsonb_each(?1) AS job
            WHERE media.instance_id = job.value ->> 'instance_id'
                AND media.message_id = job.value ->> 'message_id'
                AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
                AND media.state NOT IN ('stored', 'removed')
            "#,
            json(jobs),
        )
        .execute(self)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl MediaStore for SqliteStore {
    async fn claim_media(&self, claim: &JobClaim) -> Result<Vec<LeasedJob>, StoreError> {
        let busy_hosts = json(&claim.busy_hosts);
        let mut unit = self.begin().await?;
        sqlx::query!(
            "UPDATE media SET next_attempt_at = ?1 WHERE state = 'pending' AND next_attempt_at > ?2",
            claim.now,
            claim.attempt_absurd_after,
        )
        .execute(&mut **unit)
        .await?;
        let rows = sqlx::query_as!(
            LeasedColumns,
            r#"
            UPDATE media
            SET attempts = attempts + 1, lease_until = ?2, lease_token = lease_token + 1
            WHERE (instance_id, message_id, source_sha256) IN (
                SELECT instance_id, message_id, source_sha256
                FROM (
                    SELECT instance_id, message_id, source_sha256, occurred_at
                    FROM media
                    WHERE state = 'pending'
                        AND next_attempt_at <= ?1
                        AND (lease_until IS NULL OR lease_until <= ?1 OR lease_until > ?5)
                        AND source_host NOT IN (SELECT value FROM jsonb_each(?3))
                    ORDER BY next_attempt_at
                    LIMIT 1024
                )
                ORDER BY occurred_at
                LIMIT ?4
            )
            RETURNING
                instance_id AS "instance_id: InstanceId",
                message_id,
                source_sha256,
                lease_token,
                source_url,
                source_host,
                occurred_at AS "occurred_at: Timestamp",
                attempts AS "attempts: i32",
                denials AS "denials: i32",
                (
                    SELECT messages.type
                    FROM messages
                    WHERE messages.instance_id = media.instance_id AND messages.id = media.message_id
                ) AS "kind: String",
                object_key IS NOT NULL AS "has_file!: bool"
            "#,
            claim.now,
            claim.lease_until,
            busy_hosts,
            claim.limit,
            claim.lease_absurd_after,
        )
        .fetch_all(&mut **unit);
        let claimed = claimed(rows.await)?;
        unit.commit().await?;
        claimed?.into_iter().map(LeasedJob::try_from).collect()
    }

    async fn renew_media(&self, leases: &[Lease], until: Timestamp) -> Result<HashSet<Lease>, StoreError> {
        let rows = json(leases);
        let mut unit = self.begin().await?;
        let held = sqlx::query_as!(
            LeaseColumns,
            r#"
            UPDATE media
            SET lease_until = ?2
            FROM jsonb_each(?1) AS job
            WHERE media.instance_id = job.value ->> 'instance_id'
                AND media.message_id = job.value ->> 'message_id'
                AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
                AND media.lease_token = job.value ->> 'token'
                AND media.state = 'pending'
            RETURNING
                media.instance_id AS "instance_id: InstanceId",
                media.message_id,
                media.source_sha256,
                media.lease_token
            "#,
            rows,
            until,
        )
        .fetch_all(&mut **unit)
        .await?;
        unit.commit().await?;
        read_leases(held)
    }

    async fn settle_media(&self, settlements: &[Settlement]) -> Result<HashSet<Lease>, StoreError> {
        let mut unit = self.begin().await?;
        let rows = json(settled_columns(&mut **unit, settlements).await?);
        let mut settled = sqlx::query_as!(
            LeaseColumns,
            r#"
            UPDATE media
            SET state = job.value ->> 'state',
                reason = coalesce(
                    job.value ->> 'reason', CASE WHEN job.value ->> 'uncounted' = 1 THEN media.reason END
                ),
                attempts = media.attempts - (job.value ->> 'uncounted'),
                denials = media.denials + (job.value ->> 'denied'),
                next_attempt_at = coalesce(job.value ->> 'next_attempt_at', media.next_attempt_at),
                lease_until = NULL,
                object_key = coalesce(job.value ->> 'object_key', media.object_key),
                size = coalesce(job.value ->> 'size', media.size),
                content_type = coalesce(job.value ->> 'content_type', media.content_type),
                file_name = CASE
                    WHEN job.value ->> 'object_key' IS NULL THEN media.file_name ELSE job.value ->> 'file_name'
                END,
                stored_at = coalesce(job.value ->> 'stored_at', media.stored_at),
                settled_seq = job.value ->> 'settled_seq'
            FROM jsonb_each(?1) AS job
            WHERE media.instance_id = job.value ->> 'instance_id'
                AND media.message_id = job.value ->> 'message_id'
                AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
                AND media.lease_token = job.value ->> 'token'
                AND media.state = 'pending'
                AND media.lease_until IS NOT NULL
                AND (media.attempts >= job.value ->> 'attempts' OR job.value ->> 'object_key' IS NOT NULL)
            RETURNING
                media.instance_id AS "instance_id: InstanceId",
                media.message_id,
                media.source_sha256,
                media.lease_token
            "#,
            rows,
        )
        .fetch_all(&mut **unit)
        .await?;
        if settled.len() < settlements.len() {
            settled.extend(give_up(&mut unit, rows).await?);
        }
        unit.commit().await?;
        read_leases(settled)
    }

    async fn redo_media(&self, gone: &ObjectKey, now: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        sqlx::query!(
            r#"
            UPDATE media
            SET lease_until = NULL, lease_token = lease_token + 1, attempts = attempts - 1, next_attempt_at = ?1
            WHERE state = 'pending' AND lease_until IS NOT NULL
            "#,
            now,
        )
        .execute(&mut **unit)
        .await?;
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, denials = 0, next_attempt_at = ?2, object_key = NULL,
                size = NULL, content_type = NULL, file_name = NULL, stored_at = NULL, settled_seq = NULL
            WHERE object_key = ?1 AND state <> 'removed'
            "#,
            gone,
            now,
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await
    }

    async fn copy_after(
        &self,
        instance_id: &InstanceId,
        message_id: &str,
        after: i64,
    ) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
        let copy = sqlx::query!(
            r#"
            SELECT seq AS "seq!: i64", body AS "body!: Vec<u8>"
            FROM events
            WHERE instance_id = ?1
                AND message_id = ?2
                AND event_type IN ('message_received', 'message_sent')
                AND state = 'applied'
                AND body IS NOT NULL
                AND seq > ?3
            ORDER BY seq
            LIMIT 1
            "#,
            instance_id,
            message_id,
            after,
        )
        .fetch_optional(&self.read_pool)
        .await?;
        Ok(copy.map(|copy| (copy.seq, copy.body)))
    }

    async fn next_media_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT coalesce(min(due, until), due, until) AS "due: Timestamp"
            FROM (SELECT min(next_attempt_at) AS due FROM media WHERE state = 'pending' AND next_attempt_at > ?1),
                (SELECT min(lease_until) AS until FROM media WHERE lease_until > ?1)
            "#,
            now,
        )
        .fetch_one(&self.read_pool)
        .await?)
    }
}

/// Gives up the leases of jobs that were made due again since they were claimed.
async fn give_up(connection: &mut SqliteConnection, rows: String) -> Result<Vec<LeaseColumns>, StoreError> {
    Ok(sqlx::query_as!(
        LeaseColumns,
        r#"
        UPDATE media
        SET lease_until = NULL
        FROM jsonb_each(?1) AS job
        WHERE media.instance_id = job.value ->> 'instance_id'
            AND media.message_id = job.value ->> 'message_id'
            AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
            AND media.lease_token = job.value ->> 'token'
            AND media.attempts < job.value ->> 'attempts'
            AND media.lease_until IS NOT NULL
        RETURNING
            media.instance_id AS "instance_id: InstanceId",
            media.message_id,
            media.source_sha256,
            media.lease_token
        "#,
        rows,
    )
    .fetch_all(connection)
    .await?)
}
