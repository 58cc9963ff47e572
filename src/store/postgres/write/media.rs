use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{Executor, PgConnection};

use crate::StoreError;
use crate::postgres::{PostgresStore, column, keys};
use crate::write::media::{
    JobClaim, LeaseColumns, LeasedColumns, MediaRows, MediaStore, SettledColumns, claimed, read_leases, settled_columns,
};
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::media::{Lease, LeasedJob, MediaJob, MediaKey, Settlement};
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

/// A short limit on waits for locks. A unit of work that holds the ledger's clock delays events. So it does not wait
/// for a job that another session is changing, such as `buzon media retry`, but fails and is tried again.
const NOT_FOR_LONG: &str = "SET LOCAL lock_timeout = '200ms'";

/// The columns of the keys of some rows.
struct MediaKeyArrays<'k> {
    instance_ids: Vec<&'k InstanceId>,
    message_ids: Vec<&'k str>,
    source_sha256s: Vec<&'k [u8]>,
}

impl<'k> MediaKeyArrays<'k> {
    fn new<R>(rows: &'k [R], key: impl Fn(&'k R) -> &'k MediaKey) -> Self {
        Self {
            instance_ids: column(rows, |row| &key(row).instance_id),
            message_ids: column(rows, |row| key(row).message_id.as_str()),
            source_sha256s: column(rows, |row| key(row).source_sha256.as_slice()),
        }
    }
}

#[async_trait]
impl MediaRows for PgConnection {
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<u64, StoreError> {
        let keys = MediaKeyArrays::new(jobs, |job| &job.key);
        let written = sqlx::query!(
            r#"
            INSERT INTO media (
                instance_id, message_id, source_sha256, source_url, source_host, occurred_at, next_attempt_at,
                state, attempts, denials, lease_token, chat_id, kind
            )
            SELECT job.*, 'pending', 0, 0, 0, messages.chat_id, messages.kind
            FROM unnest(
                $1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[]
            ) AS job (instance_id, message_id, source_sha256, source_url, source_host, occurred_at, next_attempt_at)
            LEFT JOIN messages ON messages.instance_id = job.instance_id AND messages.id = job.message_id
            ON CONFLICT (instance_id, message_id, source_sha256) DO UPDATE
            SET occurred_at = least(media.occurred_at, excluded.occurred_at), chat_id = excluded.chat_id,
                kind = excluded.kind
            "#,
            &keys.instance_ids as _,
            &keys.message_ids as _,
            &keys.source_sha256s as _,
            column(jobs, |job| job.source_url.as_str()) as _,
            column(jobs, |job| job.source_host.as_str()) as _,
            column(jobs, |job| job.occurred_at) as _,
            column(jobs, |job| job.due_at) as _,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn move_media(&mut self, messages: &[MessageKey]) -> Result<(), StoreError> {
        let (instance_ids, ids) = keys(messages);
        sqlx::query!(
            r#"
            UPDATE media
            SET chat_id = messages.chat_id, kind = messages.kind
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN messages ON messages.instance_id = key.instance_id AND messages.id = key.id
            WHERE media.instance_id = key.instance_id AND media.message_id = key.id
            "#,
            instance_ids as _,
            ids as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        let keys = MediaKeyArrays::new(jobs, |job| &job.key);
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, denials = 0, next_attempt_at = job.due_at,
                settled_seq = NULL
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[])
                AS job (instance_id, message_id, source_sha256, due_at)
            WHERE media.instance_id = job.instance_id
                AND media.message_id = job.message_id
                AND media.source_sha256 = job.source_sha256
                AND media.state NOT IN ('stored', 'removed')
            "#,
            &keys.instance_ids as _,
            &keys.message_ids as _,
            &keys.source_sha256s as _,
            column(jobs, |job| job.due_at) as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl MediaStore for PostgresStore {
    async fn claim_media(&self, claim: &JobClaim) -> Result<Vec<LeasedJob>, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        // Processes claim one after the other, because they would choose the same jobs at the same time.
        sqlx::query!("SELECT id FROM installation WHERE id = 1 FOR UPDATE").fetch_one(&mut *unit).await?;
        sqlx::query!(
            "UPDATE media SET next_attempt_at = $1 WHERE state = 'pending' AND next_attempt_at > $2",
            claim.now as _,
            claim.attempt_absurd_after as _,
        )
        .execute(&mut *unit)
        .await?;
        let rows = sqlx::query_as!(
            LeasedColumns,
            r#"
            UPDATE media
            SET attempts = attempts + 1, lease_until = $2, lease_token = lease_token + 1
            WHERE (instance_id, message_id, source_sha256) IN (
                SELECT instance_id, message_id, source_sha256
                FROM (
                    SELECT instance_id, message_id, source_sha256, occurred_at
                    FROM media
                    WHERE state = 'pending'
                        AND next_attempt_at <= $1
                        AND (lease_until IS NULL OR lease_until <= $1 OR lease_until > $5)
                        AND source_host <> ALL ($3)
                    ORDER BY next_attempt_at
                    LIMIT 1024
                ) AS due
                ORDER BY occurred_at
                LIMIT $4
            )
                -- Another process may have claimed it since it was selected.
                AND state = 'pending'
                AND next_attempt_at <= $1
                AND (lease_until IS NULL OR lease_until <= $1 OR lease_until > $5)
            RETURNING
                instance_id AS "instance_id: InstanceId", message_id, source_sha256, lease_token, source_url,
                source_host, occurred_at AS "occurred_at: Timestamp", attempts, denials,
                (
                    SELECT messages.type
                    FROM messages
                    WHERE messages.instance_id = media.instance_id AND messages.id = media.message_id
                ) AS kind,
                object_key IS NOT NULL AS "has_file!"
            "#,
            claim.now as _,
            claim.lease_until as _,
            &claim.busy_hosts,
            i64::from(claim.limit),
            claim.lease_absurd_after as _,
        )
        .fetch_all(&mut *unit);
        let claimed = claimed(rows.await)?;
        unit.commit().await?;
        claimed?.into_iter().map(LeasedJob::try_from).collect()
    }

    async fn renew_media(&self, leases: &[Lease], until: Timestamp) -> Result<HashSet<Lease>, StoreError> {
        let keys = MediaKeyArrays::new(leases, |lease| &lease.key);
        let mut unit = self.begin(&self.job_writer).await?;
        let held = sqlx::query_as!(
            LeaseColumns,
            r#"
            UPDATE media
            SET lease_until = $5
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int8[])
                AS job (instance_id, message_id, source_sha256, lease_token)
            WHERE media.instance_id = job.instance_id
                AND media.message_id = job.message_id
                AND media.source_sha256 = job.source_sha256
                AND media.lease_token = job.lease_token
                AND media.state = 'pending'
            RETURNING
                media.instance_id AS "instance_id: InstanceId", media.message_id, media.source_sha256,
                media.lease_token
            "#,
            &keys.instance_ids as _,
            &keys.message_ids as _,
            &keys.source_sha256s as _,
            &column(leases, |lease| lease.token),
            until as _,
        )
        .fetch_all(&mut *unit)
        .await?;
        unit.commit().await?;
        read_leases(held)
    }

    async fn settle_media(&self, settlements: &[Settlement]) -> Result<HashSet<Lease>, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let rows = settled_columns(&mut *unit, settlements).await?;
        let keys = MediaKeyArrays::new(&rows, |row| &row.lease.key);
        unit.execute(NOT_FOR_LONG).await?;
        let mut settled = sqlx::query_as!(
            LeaseColumns,
            r#"
            UPDATE media
            SET state = job.state,
                reason = coalesce(job.reason, CASE WHEN job.uncounted = 1 THEN media.reason END),
                attempts = media.attempts - job.uncounted,
                denials = media.denials + job.denied,
                next_attempt_at = coalesce(job.next_attempt_at, media.next_attempt_at),
                lease_until = NULL,
                object_key = coalesce(job.object_key, media.object_key),
                size = coalesce(job.size, media.size),
                content_type = coalesce(job.content_type, media.content_type),
                file_name = CASE WHEN job.object_key IS NULL THEN media.file_name ELSE job.file_name END,
                stored_at = coalesce(job.stored_at, media.stored_at),
                settled_seq = job.settled_seq
            FROM unnest(
                $1::text[], $2::text[], $3::bytea[], $4::int8[], $5::text[], $6::text[], $7::int4[], $8::int4[],
                $9::timestamptz[], $10::text[], $11::int8[], $12::text[], $13::text[], $14::timestamptz[], $15::int4[],
                $16::int8[]
            ) AS job (
                instance_id, message_id, source_sha256, lease_token, state, reason, uncounted, denied,
                next_attempt_at, object_key, size, content_type, file_name, stored_at, attempts,
                settled_seq
            )
            WHERE media.instance_id = job.instance_id
                AND media.message_id = job.message_id
                AND media.source_sha256 = job.source_sha256
                AND media.lease_token = job.lease_token
                AND media.state = 'pending'
                AND media.lease_until IS NOT NULL
                AND (media.attempts >= job.attempts OR job.object_key IS NOT NULL)
            RETURNING
                media.instance_id AS "instance_id: InstanceId", media.message_id, media.source_sha256,
                media.lease_token
            "#,
            &keys.instance_ids as _,
            &keys.message_ids as _,
            &keys.source_sha256s as _,
            &column(&rows, |row| row.lease.token),
            column(&rows, |row| row.state) as _,
            column(&rows, |row| row.reason) as _,
            &column(&rows, |row| row.uncounted),
            &column(&rows, |row| row.denied),
            column(&rows, |row| row.next_attempt_at) as _,
            column(&rows, |row| row.object_key) as _,
            column(&rows, |row| row.size) as _,
            column(&rows, |row| row.content_type) as _,
            column(&rows, |row| row.file_name) as _,
            column(&rows, |row| row.stored_at) as _,
            &column(&rows, |row| row.attempts),
            column(&rows, |row| row.settled_seq) as _,
        )
        .fetch_all(&mut *unit)
        .await?;
        if settled.len() < settlements.len() {
            settled.extend(give_up(&mut unit, &rows).await?);
        }
        unit.commit().await?;
        read_leases(settled)
    }

    async fn redo_media(&self, gone: &ObjectKey, now: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!(
            r#"
            UPDATE media
            SET lease_until = NULL, lease_token = lease_token + 1, attempts = attempts - 1, next_attempt_at = $1
            WHERE state = 'pending' AND lease_until IS NOT NULL
            "#,
            now as _,
        )
        .execute(&mut *unit)
        .await?;
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, denials = 0, next_attempt_at = $2, object_key = NULL,
                size = NULL, content_type = NULL, file_name = NULL, stored_at = NULL, settled_seq = NULL
            WHERE object_key = $1 AND state <> 'removed'
            "#,
            gone as _,
            now as _,
        )
        .execute(&mut *unit)
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
            SELECT seq, body AS "body!"
            FROM events
            WHERE instance_id = $1
                AND message_id = $2
                AND event_type IN ('message_received', 'message_sent')
                AND state = 'applied'
                AND body IS NOT NULL
                AND seq > $3
            ORDER BY seq
            LIMIT 1
            "#,
            instance_id as _,
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
            SELECT least(
                (SELECT min(next_attempt_at) FROM media WHERE state = 'pending' AND next_attempt_at > $1),
                (SELECT min(lease_until) FROM media WHERE lease_until > $1)
            ) AS "due: Timestamp"
            "#,
            now as _,
        )
        .fetch_one(&self.read_pool)
        .await?)
    }
}

/// Gives up the leases of jobs that were made due again since they were claimed.
async fn give_up(connection: &mut PgConnection, rows: &[SettledColumns<'_>]) -> Result<Vec<LeaseColumns>, StoreError> {
    let keys = MediaKeyArrays::new(rows, |row| &row.lease.key);
    Ok(sqlx::query_as!(
        LeaseColumns,
        r#"
        UPDATE media
        SET lease_until = NULL
        FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int8[], $5::int4[])
            AS job (instance_id, message_id, source_sha256, lease_token, attempts)
        WHERE media.instance_id = job.instance_id
            AND media.message_id = job.message_id
            AND media.source_sha256 = job.source_sha256
            AND media.lease_token = job.lease_token
            AND media.attempts < job.attempts
            AND media.lease_until IS NOT NULL
        RETURNING
            media.instance_id AS "instance_id: InstanceId", media.message_id, media.source_sha256,
            media.lease_token
        "#,
        &keys.instance_ids as _,
        &keys.message_ids as _,
        &keys.source_sha256s as _,
        &column(rows, |row| row.lease.token),
        &column(rows, |row| row.attempts),
    )
    .fetch_all(connection)
    .await?)
}
