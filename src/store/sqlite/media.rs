use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::json;
use crate::domain::media::MediaJob;
use crate::store::StoreError;
use crate::store::media::MediaRows;

#[derive(Serialize)]
struct JobRow<'j> {
    instance_id: &'j str,
    message_id: &'j str,
    source_sha256: String,
    source_url: &'j str,
    due_at: String,
}

impl<'j> From<&'j MediaJob> for JobRow<'j> {
    fn from(job: &'j MediaJob) -> Self {
        Self {
            instance_id: job.instance_id.as_str(),
            message_id: &job.message_id,
            source_sha256: hex::encode(job.source_sha256),
            source_url: &job.source_url,
            due_at: job.due_at.to_rfc3339(),
        }
    }
}

#[async_trait]
impl MediaRows for SqliteConnection {
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        let rows = json(jobs.iter().map(JobRow::from));
        sqlx::query!(
            r#"
            INSERT INTO media (
                instance_id, message_id, source_sha256, source_url, next_attempt_at, state, attempts, lease_token
            )
            SELECT
                value ->> 'instance_id',
                value ->> 'message_id',
                unhex(value ->> 'source_sha256'),
                value ->> 'source_url',
                value ->> 'due_at',
                'pending',
                0,
                0
            FROM json_each(?1)
            WHERE true
            ON CONFLICT (instance_id, message_id, source_sha256) DO NOTHING
            "#,
            rows,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError> {
        let rows = json(jobs.iter().map(JobRow::from));
        sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, next_attempt_at = job.value ->> 'due_at'
            FROM json_each(?1) AS job
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
