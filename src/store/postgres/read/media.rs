use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgPool};

use crate::StoreError;
use crate::postgres::PostgresStore;
use crate::read::media::{FileRow, JobFilter, JobReport, JobReportRow, JobsRow, MEDIA, MediaReports};
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::media::{MediaJobCount, MediaState, StoredFile};
use domain::time::timestamp::Timestamp;

#[async_trait]
impl MediaReports for PostgresStore {
    async fn count_media(&self) -> Result<Vec<MediaJobCount>, StoreError> {
        let rows = sqlx::query_as!(
            JobsRow,
            r#"
            SELECT state AS "state: _", count(*) AS "count!", min(occurred_at) AS "oldest!: _"
            FROM media
            GROUP BY state
            ORDER BY state
            "#
        )
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(JobsRow::read).collect()
    }

    async fn retry_media(&self, filter: &JobFilter, now: Timestamp) -> Result<u64, StoreError> {
        let state = filter.state.map(MediaState::as_str);
        let mut unit = self.begin(&self.job_writer).await?;
        let done = sqlx::query!(
            r#"
            UPDATE media
            SET state = 'pending', reason = NULL, attempts = 0, denials = 0, next_attempt_at = $1, settled_seq = NULL
            WHERE (state = 'stored') = $5
                AND ($2::text IS NULL OR state = $2)
                AND ($3::text IS NULL OR instance_id = $3)
                AND ($4::text IS NULL OR message_id = $4)
            "#,
            now as _,
            state,
            filter.instance_id.as_deref(),
            filter.message_id.as_deref(),
            filter.stored,
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await?;
        Ok(done.rows_affected())
    }

    async fn stored_file(&self, object_key: &ObjectKey, scope: &Scope) -> Result<Option<StoredFile>, StoreError> {
        let row = match scope {
            Scope::All => any_file(&self.read_pool, object_key).await?,
            Scope::Instances(instances) => file_of(&self.read_pool, object_key, instances).await?,
        };
        row.map_or(Ok(None), FileRow::read)
    }

    async fn media_of_message(&self, instance_id: &InstanceId, message_id: &str) -> Result<Vec<JobReport>, StoreError> {
        let text = format!(
            "SELECT {} FROM media WHERE instance_id = $1 AND message_id = $2 \
             ORDER BY stored_at IS NULL, stored_at DESC, occurred_at DESC, source_sha256",
            MEDIA.columns
        );
        let rows = sqlx::query_as(AssertSqlSafe(text)).bind(instance_id).bind(message_id);
        rows.fetch_all(&self.read_pool).await?.into_iter().map(JobReportRow::read).collect()
    }
}

async fn any_file(read_pool: &PgPool, object_key: &ObjectKey) -> Result<Option<FileRow>, StoreError> {
    Ok(sqlx::query_as!(
        FileRow,
        r#"
        SELECT object_key AS "object_key: _", size, content_type, file_name
        FROM media
        WHERE object_key = $1
        ORDER BY instance_id, stored_at
        LIMIT 1
        "#,
        object_key.as_str(),
    )
    .fetch_optional(read_pool)
    .await?)
}

async fn file_of(
    read_pool: &PgPool,
    object_key: &ObjectKey,
    instances: &BTreeSet<InstanceId>,
) -> Result<Option<FileRow>, StoreError> {
    let instances: Vec<&str> = instances.iter().map(InstanceId::as_str).collect();
    Ok(sqlx::query_as!(
        FileRow,
        r#"
        SELECT file.object_key AS "object_key: _", file.size, file.content_type, file.file_name
        FROM unnest($2::text[]) AS instance (id)
            CROSS JOIN LATERAL (
                SELECT instance_id, object_key, size, content_type, file_name
                FROM media
                WHERE object_key = $1 AND instance_id = instance.id
                ORDER BY stored_at
                LIMIT 1
            ) AS file
        ORDER BY file.instance_id
        LIMIT 1
        "#,
        object_key.as_str(),
        instances as _,
    )
    .fetch_optional(read_pool)
    .await?)
}
