use async_trait::async_trait;
use sqlx::PgConnection;

use super::column;
use crate::domain::media::MediaJob;
use crate::store::StoreError;
use crate::store::media::MediaRows;

#[async_trait]
impl MediaRows for PgConnection {
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO media (
                instance_id, message_id, source_sha256, source_url, next_attempt_at, state, attempts, lease_token
            )
            SELECT job.*, 'pending', 0, 0
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::timestamptz[]) AS job
            ON CONFLICT (instance_id, message_id, source_sha256) DO NOTHING
            "#,
            column(jobs, |it| it.instance_id.as_str()) as _,
            column(jobs, |it| it.message_id.as_str()) as _,
            column(jobs, |it| it.source_sha256.as_slice()) as _,
            column(jobs, |it| it.source_url.as_str()) as _,
            &column(jobs, |it| it.due_at.to_utc()),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, next_attempt_at = job.due_at
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[])
                AS job (instance_id, message_id, source_sha256, due_at)
            WHERE media.instance_id = job.instance_id
                AND media.message_id = job.message_id
                AND media.source_sha256 = job.source_sha256
                AND media.state <> 'stored'
            "#,
            column(jobs, |it| it.instance_id.as_str()) as _,
            column(jobs, |it| it.message_id.as_str()) as _,
            column(jobs, |it| it.source_sha256.as_slice()) as _,
            &column(jobs, |it| it.due_at.to_utc()),
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
