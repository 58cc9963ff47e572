use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{SqliteStore, json, timestamp};
use crate::write::media::{
    JobClaim, LeaseRow, LeasedRow, MediaRows, MediaStore, SettledColumns, read_leases, settled_columns,
};
use domain::media::{Lease, LeasedJob, MediaJob, MediaKey, Settlement};
use domain::time::timestamp::Timestamp;

#[derive(Serialize)]
struct KeyColumns<'k> {
    instance_id: &'k str,
    message_id: &'k str,
    source_sha256: String,
}

impl<'k> From<&'k MediaKey> for KeyColumns<'k> {
    fn from(key: &'k MediaKey) -> Self {
        Self {
            instance_id: key.instance_id.as_str(),
            message_id: &key.message_id,
            source_sha256: hex::encode(key.source_sha256),
        }
    }
}

#[derive(Serialize)]
struct JobRow<'j> {
    #[serde(flatten)]
    key: KeyColumns<'j>,
    source_url: &'j str,
    source_host: &'j str,
    occurred_at: String,
    due_at: String,
}

impl<'j> From<&'j MediaJob> for JobRow<'j> {
    fn from(job: &'j MediaJob) -> Self {
        Self {
            key: KeyColumns::from(&job.key),
            source_url: &job.source_url,
            source_host: &job.source_host,
            occurred_at: job.occurred_at.to_rfc3339(),
            due_at: job.due_at.to_rfc3339(),
        }
    }
}

#[derive(Serialize)]
struct HeldRow<'l> {
    #[serde(flatten)]
    key: KeyColumns<'l>,
    lease_token: i64,
}

impl<'l> From<&'l Lease> for HeldRow<'l> {
    fn from(lease: &'l Lease) -> Self {
        Self { key: KeyColumns::from(&lease.key), lease_token: lease.token }
    }
}

#[derive(Serialize)]
struct SettledRow<'s> {
    #[serde(flatten)]
    lease: HeldRow<'s>,
    attempts: u32,
    state: &'static str,
    reason: Option<&'s str>,
    uncounted: i32,
    denied: i32,
    next_attempt_at: Option<String>,
    object_key: Option<&'s str>,
    size: Option<u64>,
    content_type: Option<&'s str>,
    file_name: Option<&'s str>,
    stored_at: Option<String>,
    settled_seq: Option<i64>,
}

impl<'s> SettledRow<'s> {
    fn new(settlement: &'s Settlement, columns: SettledColumns<'s>) -> Self {
        Self {
            lease: HeldRow::from(&settlement.lease),
            attempts: settlement.attempts,
            state: columns.state.as_str(),
            reason: columns.reason,
            uncounted: columns.uncounted,
            denied: columns.denied,
            next_attempt_at: columns.next_attempt_at.map(Timestamp::to_rfc3339),
            object_key: columns.file.map(|file| file.object_key.as_str()),
            size: columns.file.map(|file| file.size),
            content_type: columns.file.map(|file| file.content_type.as_str()),
            file_name: columns.file.and_then(|file| file.file_name.as_deref()),
            stored_at: columns.stored_at.map(Timestamp::to_rfc3339),
            settled_seq: columns.settled_seq,
        }
    }
}

#[async_trait]
impl MediaRows for SqliteConnection {
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<u64, StoreError> {
        let rows = json(jobs.iter().map(JobRow::from));
        let written = sqlx::query!(
            r#"
            INSERT INTO media (
                instance_id, message_id, source_sha256, source_url, source_host, occurred_at, next_attempt_at,
                state, attempts, denials, lease_token
            )
            SELECT
                value ->> 'instance_id',
                value ->> 'message_id',
                unhex(value ->> 'source_sha256'),
                value ->> 'source_url',
                value ->> 'source_host',
                value ->> 'occurred_at',
                value ->> 'due_at',
                'pending',
                0,
                0,
                0
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, message_id, source_sha256) DO UPDATE
            SET occurred_at = min(media.occurred_at, excluded.occurred_at)
            "#,
            rows,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        let rows = json(jobs.iter().map(JobRow::from));
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, denials = 0, next_attempt_at = job.value ->> 'due_at',
                settled_seq = NULL
            FROM jsonb_each(?1) AS job
            WHERE media.instance_id = job.value ->> 'instance_id'
                AND media.message_id = job.value ->> 'message_id'
                AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
                AND media.state <> 'stored'
            "#,
            rows,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl MediaStore for SqliteStore {
    async fn claim_media(&self, claim: &JobClaim) -> Result<Vec<LeasedJob>, StoreError> {
        let (now, until) = (claim.now.to_rfc3339(), claim.lease_until.to_rfc3339());
        let lease_absurd_after = claim.lease_absurd_after.to_rfc3339();
        let attempt_absurd_after = claim.attempt_absurd_after.to_rfc3339();
        let busy_hosts = json(&claim.busy_hosts);
        let mut unit = self.begin().await?;
        sqlx::query!(
            "UPDATE media SET next_attempt_at = ?1 WHERE state = 'pending' AND next_attempt_at > ?2",
            now,
            attempt_absurd_after,
        )
        .execute(&mut *unit)
        .await?;
        let rows = sqlx::query_as!(
            LeasedRow::<String>,
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
                instance_id,
                message_id,
                source_sha256,
                lease_token,
                source_url,
                source_host,
                occurred_at,
                attempts AS "attempts: i32",
                denials AS "denials: i32"
            "#,
            now,
            until,
            busy_hosts,
            claim.limit,
            lease_absurd_after,
        )
        .fetch_all(&mut *unit)
        .await?;
        unit.commit().await?;
        rows.into_iter().map(|row| row.read(|at| timestamp(&at))).collect()
    }

    async fn renew_media(&self, leases: &[Lease], until: Timestamp) -> Result<HashSet<Lease>, StoreError> {
        let (rows, until) = (json(leases.iter().map(HeldRow::from)), until.to_rfc3339());
        let mut unit = self.begin().await?;
        let held = sqlx::query_as!(
            LeaseRow,
            r#"
            UPDATE media
            SET lease_until = ?2
            FROM jsonb_each(?1) AS job
            WHERE media.instance_id = job.value ->> 'instance_id'
                AND media.message_id = job.value ->> 'message_id'
                AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
                AND media.lease_token = job.value ->> 'lease_token'
                AND media.state = 'pending'
            RETURNING media.instance_id, media.message_id, media.source_sha256, media.lease_token
            "#,
            rows,
            until,
        )
        .fetch_all(&mut *unit)
        .await?;
        unit.commit().await?;
        read_leases(held)
    }

    async fn settle_media(&self, settlements: &[Settlement]) -> Result<HashSet<Lease>, StoreError> {
        let mut unit = self.begin().await?;
        let columns = settled_columns(&mut *unit, settlements).await?;
        let rows = json(settlements.iter().zip(columns).map(|(it, columns)| SettledRow::new(it, columns)));
        let mut settled = sqlx::query_as!(
            LeaseRow,
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
                object_key = job.value ->> 'object_key',
                size = job.value ->> 'size',
                content_type = job.value ->> 'content_type',
                file_name = job.value ->> 'file_name',
                stored_at = job.value ->> 'stored_at',
                settled_seq = job.value ->> 'settled_seq'
            FROM jsonb_each(?1) AS job
            WHERE media.instance_id = job.value ->> 'instance_id'
                AND media.message_id = job.value ->> 'message_id'
                AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
                AND media.lease_token = job.value ->> 'lease_token'
                AND media.state = 'pending'
                AND media.lease_until IS NOT NULL
                AND (media.attempts >= job.value ->> 'attempts' OR job.value ->> 'state' = 'stored')
            RETURNING media.instance_id, media.message_id, media.source_sha256, media.lease_token
            "#,
            rows,
        )
        .fetch_all(&mut *unit)
        .await?;
        if settled.len() < settlements.len() {
            settled.extend(give_up(&mut unit, rows).await?);
        }
        unit.commit().await?;
        read_leases(settled)
    }

    async fn next_media_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let now = now.to_rfc3339();
        let due = sqlx::query_scalar!(
            r#"
            SELECT coalesce(min(due, until), due, until) AS "due: String"
            FROM (SELECT min(next_attempt_at) AS due FROM media WHERE state = 'pending' AND next_attempt_at > ?1),
                (SELECT min(lease_until) AS until FROM media WHERE lease_until > ?1)
            "#,
            now,
        )
        .fetch_one(&self.read_pool)
        .await?;
        due.map(|at| timestamp(&at)).transpose()
    }
}

/// Gives up the leases of jobs that were made due again since they were claimed.
async fn give_up(connection: &mut SqliteConnection, rows: String) -> Result<Vec<LeaseRow>, StoreError> {
    let given_up = sqlx::query_as!(
        LeaseRow,
        r#"
        UPDATE media
        SET lease_until = NULL
        FROM jsonb_each(?1) AS job
        WHERE media.instance_id = job.value ->> 'instance_id'
            AND media.message_id = job.value ->> 'message_id'
            AND media.source_sha256 = unhex(job.value ->> 'source_sha256')
            AND media.lease_token = job.value ->> 'lease_token'
            AND media.attempts < job.value ->> 'attempts'
            AND media.lease_until IS NOT NULL
        RETURNING media.instance_id, media.message_id, media.source_sha256, media.lease_token
        "#,
        rows,
    )
    .fetch_all(connection)
    .await?;
    Ok(given_up)
}
