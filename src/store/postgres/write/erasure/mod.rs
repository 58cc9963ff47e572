use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::StoreError;
use crate::postgres::{PostgresStore, dial};
use crate::write::erasure;
use crate::write::erasure::contract::{
    ErasureColumns, ErasureExport, ErasureOrder, ErasurePiece, ErasureReport, ErasureScan, ErasureStage, ErasureStore,
    ExportedErasure, SuspectedEvent, UnfinishedErasure,
};
use domain::chat::chat_id;
use domain::erasure::marks::{Mark, MarkKey};
use domain::event::Event;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

mod retention;
mod rows;
mod scrub;

/// The tables that hold something of persons, which are written anew.
const WRITTEN_ANEW: [&str; 18] = [
    "events",
    "messages",
    "message_acks",
    "message_reactions",
    "message_search",
    "chats",
    "chat_links",
    "chat_links_owner",
    "chat_names",
    "chat_aliases",
    "chat_moves",
    "responses",
    "media",
    "media_object_locks",
    "media_removals",
    "forward_failures",
    "erasures",
    "erasure_ids",
];

fn mark(bytes: &[u8]) -> Result<Mark, StoreError> {
    Mark::from_slice(bytes).ok_or_else(|| StoreError::unreadable("erasure_marks", "mark"))
}

#[async_trait]
impl ErasureStore for PostgresStore {
    async fn instances_of_persons(&self, ids: &[String]) -> Result<Vec<InstanceId>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT instance_id AS "instance_id!: InstanceId" FROM chats WHERE chat_id = ANY($1)
            UNION
            SELECT instance_id FROM chat_links WHERE a = ANY($1) OR b = ANY($1)
            UNION
            SELECT instance_id FROM chat_links_owner WHERE a = ANY($1) OR b = ANY($1)
            ORDER BY 1
            "#,
            ids,
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn begin_erasure(&self, order: &ErasureOrder) -> Result<i64, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let id = erasure::begin(&mut *unit, order).await?;
        unit.commit().await?;
        Ok(id)
    }

    async fn unfinished_erasure(&self) -> Result<Option<UnfinishedErasure>, StoreError> {
        let found = sqlx::query_as!(
            ErasureColumns,
            r#"
            SELECT
                id, name, instance_id AS "instance_id: InstanceId", begun_at AS "begun_at: Timestamp", stage,
                reached_seq, until_seq, events, messages, files, forwards, removed_at AS "removed_at: Timestamp",
                scrubbed_at AS "scrubbed_at: Timestamp"
            FROM erasures
            WHERE stage <> 'ended'
            ORDER BY stage = 'backups', id
            LIMIT 1
            "#
        )
        .fetch_optional(&self.read_pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let ids = sqlx::query_scalar!("SELECT id FROM erasure_ids WHERE erasure_id = $1", found.id)
            .fetch_all(&self.read_pool)
            .await?;
        found.unfinished(ids).map(Some)
    }

    async fn suspects(&self, scan: &ErasureScan) -> Result<(Vec<SuspectedEvent>, i64), StoreError> {
        let names: Vec<&[u8]> = scan.ids.iter().map(|id| chat_id::name(id).as_bytes()).collect();
        let found = sqlx::query_as!(
            SuspectedEvent,
            r#"
            SELECT seq, instance_id AS "instance_id: InstanceId", body AS "body!", received_at AS "received_at: Timestamp", signed
            FROM events
            WHERE seq > $1 AND seq <= $2 AND body IS NOT NULL
                AND ($3::text IS NULL OR instance_id IN ($3, '-'))
                AND (
                    $4
                    OR chat_id = ANY($6)
                    OR EXISTS (SELECT FROM unnest($5::bytea[]) AS names (name) WHERE position(names.name IN events.body) > 0)
                )
            ORDER BY seq
            LIMIT $7
            "#,
            scan.after,
            scan.until,
            scan.instance_id.as_ref().map(InstanceId::as_str),
            scan.ids.is_empty(),
            names as _,
            &scan.ids,
            i64::from(scan.limit),
        )
        .fetch_all(&self.read_pool)
        .await?;
        let is_all = found.len() < scan.limit as usize;
        let reached = found.last().filter(|_| !is_all).map_or(scan.until, |last| last.seq);
        Ok((found, reached))
    }

    async fn judge(&self, events: &[Event]) -> Result<Vec<bool>, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let keys = erasure::ErasureRows::mark_keys(&mut *unit).await?;
        let verdicts = erasure::verdicts(&mut *unit, events, &keys, true).await?;
        unit.commit().await?;
        Ok(verdicts.iter().map(Option::is_some).collect())
    }

    async fn erase_piece(&self, piece: &ErasurePiece) -> Result<bool, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let done = erasure::erase_piece(&mut *unit, piece).await?;
        unit.commit().await?;
        Ok(done)
    }

    async fn advance_erasure(
        &self,
        id: i64,
        from: ErasureStage,
        to: ErasureStage,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let moved = sqlx::query!(
            r#"
            UPDATE erasures
            SET stage = $3, removed_at = CASE WHEN $3 IN ('backups', 'ended') THEN coalesce(removed_at, $4) ELSE removed_at END
            WHERE id = $1 AND stage = $2
            "#,
            id,
            from.as_str(),
            to.as_str(),
            at as _,
        )
        .execute(&mut *unit)
        .await?;
        if from == ErasureStage::Rows {
            sqlx::query!("DELETE FROM erasure_ids WHERE erasure_id = $1", id).execute(&mut *unit).await?;
        }
        unit.commit().await?;
        Ok(moved.rows_affected() > 0)
    }

    fn scrubs_beside(&self) -> bool {
        false
    }

    /// Removed rows stay in their pages until these are used again.
    async fn scrub_beside(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        let mut connection = dial(&self.options).await?;
        connection.execute("SET statement_timeout = 0").await?;
        scrub::wait_for_others(&mut connection).await?;
        for table in WRITTEN_ANEW {
            connection.execute(AssertSqlSafe(format!("VACUUM (FULL, ANALYZE) {table}"))).await?;
            scrub::forget_samples(&mut connection, table).await?;
        }
        // Samples of the columns are in there. Only the owner of the database may do this.
        let _ = connection.execute("VACUUM (FULL) pg_catalog.pg_statistic").await;
        Ok(connection.close().await?)
    }

    async fn note_scrubbed(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!(
            "UPDATE erasures SET scrubbed_at = $1 WHERE scrubbed_at IS NULL AND stage NOT IN ('rows', 'files')",
            at as _,
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await
    }

    async fn erasures(&self) -> Result<Vec<ErasureReport>, StoreError> {
        let found = sqlx::query_as!(
            ErasureColumns,
            r#"
            SELECT
                id, name, instance_id AS "instance_id: InstanceId", begun_at AS "begun_at: Timestamp", stage,
                reached_seq, until_seq, events, messages, files, forwards, removed_at AS "removed_at: Timestamp",
                scrubbed_at AS "scrubbed_at: Timestamp"
            FROM erasures
            ORDER BY id
            "#
        )
        .fetch_all(&self.read_pool)
        .await?;
        found.into_iter().map(ErasureReport::try_from).collect()
    }

    async fn removals(&self, limit: u32) -> Result<Vec<ObjectKey>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT object_key AS "object_key: ObjectKey" FROM media_removals ORDER BY object_key LIMIT $1"#,
            i64::from(limit),
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn removed(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!("DELETE FROM media_removals WHERE object_key = $1", key as _).execute(&mut *unit).await?;
        unit.commit().await
    }

    async fn export_erasures(&self) -> Result<ErasureExport, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let keys: Vec<MarkKey> = erasure::ErasureRows::mark_keys(&mut *unit).await?;
        let mut erasures = vec![];
        for erasure in self.erasures().await? {
            let rows = sqlx::query!(
                r#"
                SELECT mark, until AS "until: Timestamp"
                FROM erasure_marks
                WHERE erasure_id = $1
                ORDER BY mark
                "#,
                erasure.id,
            )
            .fetch_all(&mut *unit)
            .await?;
            let marks =
                rows.into_iter().map(|row| Ok((mark(&row.mark)?, row.until))).collect::<Result<_, StoreError>>()?;
            let ErasureReport { name, instance_id, begun_at, .. } = erasure;
            erasures.push(ExportedErasure { name, instance_id, begun_at, marks });
        }
        unit.commit().await?;
        Ok(ErasureExport { keys, erasures })
    }

    async fn import_erasures(&self, export: &ErasureExport, at: Timestamp) -> Result<usize, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        let imported = erasure::import(&mut *unit, export, at).await?;
        unit.commit().await?;
        Ok(imported)
    }
}
