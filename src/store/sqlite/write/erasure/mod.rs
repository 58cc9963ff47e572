use async_trait::async_trait;
use serde::Serialize;
use sqlx::{Executor, SqliteConnection};

use crate::StoreError;
use crate::sqlite::write::writing::WritingConnection;
use crate::sqlite::{SqliteStore, json};
use crate::write::erasure;
use crate::write::erasure::contract::{
    ErasureColumns, ErasureExport, ErasureOrder, ErasurePiece, ErasureReport, ErasureScan, ErasureStage, ErasureStore,
    ExportedErasure, SuspectedEvent, UnfinishedErasure,
};
use crate::write::writer::UnitOfWork;
use domain::chat::chat_id;
use domain::erasure::marks::{Mark, MarkKey};
use domain::event::Event;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;

mod retention;
mod rows;

/// The bytes of zeros that are written at once over free pages.
const ZEROS: i64 = 4 * 1024 * 1024;

/// The size of a file that is written anew in well under a second.
const SMALL_FILE: i64 = 64 * 1024 * 1024;

/// The number of steps of merging the words that are taken at once.
const MERGED_PAGES: i64 = -500;

/// A mark, in hexadecimal digits because JSON holds no bytes.
#[derive(Serialize)]
struct MarkRow {
    mark: String,
}

fn marks_json(marks: &[Mark]) -> String {
    json(marks.iter().map(|mark| MarkRow { mark: mark.to_hex() }))
}

fn mark(bytes: &[u8]) -> Result<Mark, StoreError> {
    Mark::from_slice(bytes).ok_or_else(|| StoreError::unreadable("erasure_marks", "mark"))
}

impl SqliteStore {
    /// Begins a unit of work that overwrites what it deletes.
    async fn begin_erasing(&self) -> Result<UnitOfWork<'_, WritingConnection>, StoreError> {
        let mut unit = self.writer.take(WritingConnection::open(&self.options)).await?;
        unit.execute("PRAGMA secure_delete = ON").await?;
        unit.execute(crate::sqlite::BEGIN).await?;
        Ok(unit)
    }
}

impl UnitOfWork<'_, WritingConnection> {
    async fn commit_erased(mut self) -> Result<(), StoreError> {
        self.execute(crate::sqlite::COMMIT).await?;
        self.execute("PRAGMA secure_delete = FAST").await?;
        self.give_back();
        Ok(())
    }
}

#[async_trait]
impl ErasureStore for SqliteStore {
    async fn instances_of_persons(&self, ids: &[String]) -> Result<Vec<InstanceId>, StoreError> {
        let ids = json(ids);
        Ok(sqlx::query_scalar!(
            r#"
            SELECT instance_id AS "instance_id!: InstanceId" FROM chats
            WHERE chat_id IN (SELECT value FROM json_each(?1))
            UNION
            SELECT instance_id FROM chat_links
            WHERE a IN (SELECT value FROM json_each(?1)) OR b IN (SELECT value FROM json_each(?1))
            UNION
            SELECT instance_id FROM chat_links_owner
            WHERE a IN (SELECT value FROM json_each(?1)) OR b IN (SELECT value FROM json_each(?1))
            ORDER BY 1
            "#,
            ids,
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn begin_erasure(&self, order: &ErasureOrder) -> Result<i64, StoreError> {
        let mut unit = self.begin_erasing().await?;
        let id = erasure::begin(&mut **unit, order).await?;
        unit.commit_erased().await?;
        Ok(id)
    }

    async fn unfinished_erasure(&self) -> Result<Option<UnfinishedErasure>, StoreError> {
        let found = sqlx::query_as!(
            ErasureColumns,
            r#"
            SELECT
                id AS "id!: i64", name AS "name!: String", instance_id AS "instance_id: InstanceId",
                begun_at AS "begun_at!: Timestamp", stage AS "stage!: String", reached_seq AS "reached_seq!: i64",
                until_seq AS "until_seq!: i64", events AS "events!: i64", messages AS "messages!: i64",
                files AS "files!: i64", forwards AS "forwards!: String", removed_at AS "removed_at: Timestamp",
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
        let ids = sqlx::query_scalar!(r#"SELECT id AS "id!: String" FROM erasure_ids WHERE erasure_id = ?1"#, found.id)
            .fetch_all(&self.read_pool)
            .await?;
        found.unfinished(ids).map(Some)
    }

    async fn suspects(&self, scan: &ErasureScan) -> Result<(Vec<SuspectedEvent>, i64), StoreError> {
        let names = json(scan.ids.iter().map(|id| chat_id::name(id)));
        let ids = json(&scan.ids);
        let all = scan.ids.is_empty();
        let found = sqlx::query_as!(
            SuspectedEvent,
            r#"
            SELECT
                seq AS "seq!: i64", instance_id AS "instance_id!: InstanceId", body AS "body!: Vec<u8>",
                received_at AS "received_at!: Timestamp", signed AS "signed!: bool"
            FROM events
            WHERE seq > ?1 AND seq <= ?2 AND body IS NOT NULL
                AND (?3 IS NULL OR instance_id IN (?3, '-'))
                AND (
                    ?4
                    OR chat_id IN (SELECT value FROM json_each(?6))
                    OR EXISTS (SELECT 1 FROM json_each(?5) WHERE instr(body, CAST(value AS BLOB)) > 0)
                )
            ORDER BY seq
            LIMIT ?7
            "#,
            scan.after,
            scan.until,
            scan.instance_id,
            all,
            names,
            ids,
            scan.limit,
        )
        .fetch_all(&self.read_pool)
        .await?;
        let is_all = found.len() < scan.limit as usize;
        let reached = found.last().filter(|_| !is_all).map_or(scan.until, |last| last.seq);
        Ok((found, reached))
    }

    async fn judge(&self, events: &[Event]) -> Result<Vec<bool>, StoreError> {
        let mut unit = self.begin().await?;
        let keys = erasure::ErasureRows::mark_keys(&mut **unit).await?;
        let verdicts = erasure::verdicts(&mut **unit, events, &keys, true).await?;
        unit.commit().await?;
        Ok(verdicts.iter().map(Option::is_some).collect())
    }

    async fn erase_piece(&self, piece: &ErasurePiece) -> Result<bool, StoreError> {
        let mut unit = self.begin_erasing().await?;
        let done = erasure::erase_piece(&mut **unit, piece).await?;
        unit.commit_erased().await?;
        Ok(done)
    }

    async fn advance_erasure(
        &self,
        id: i64,
        from: ErasureStage,
        to: ErasureStage,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (from, to) = (from.as_str(), to.as_str());
        let mut unit = self.begin_erasing().await?;
        let moved = sqlx::query!(
            r#"
            UPDATE erasures
            SET stage = ?3, removed_at = CASE WHEN ?3 IN ('backups', 'ended') THEN coalesce(removed_at, ?4) ELSE removed_at END
            WHERE id = ?1 AND stage = ?2
            "#,
            id,
            from,
            to,
            at,
        )
        .execute(&mut **unit)
        .await?;
        sqlx::query!("DELETE FROM erasure_ids WHERE erasure_id = ?1 AND ?2 = 'rows'", id, from)
            .execute(&mut **unit)
            .await?;
        unit.commit_erased().await?;
        Ok(moved.rows_affected() > 0)
    }

    fn scrubs_beside(&self) -> bool {
        true
    }

    /// Merges the words, which is how FTS5 gets rid of deleted ones, writes zeros over the free pages, and empties the log. What is
    /// moved from one page to another can leave a copy behind, so a small file is written anew as a whole.
    async fn scrub_beside(&self) -> Result<bool, StoreError> {
        loop {
            let mut unit = self.begin_erasing().await?;
            let before: i64 = sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut **unit).await?;
            sqlx::query("INSERT INTO message_words (message_words, rank) VALUES ('merge', ?1)")
                .bind(MERGED_PAGES)
                .execute(&mut **unit)
                .await?;
            let after: i64 = sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut **unit).await?;
            unit.commit_erased().await?;
            if after - before < 2 {
                break;
            }
        }
        self.overwrite_free_pages().await?;
        let mut unit = self.writer.take(WritingConnection::open(&self.options)).await?;
        let bytes: i64 = sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            .fetch_one(&mut **unit)
            .await?;
        let is_small = bytes <= SMALL_FILE;
        if is_small {
            unit.execute("VACUUM").await?;
        }
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut **unit).await?;
        unit.give_back();
        Ok(busy == 0 && is_small)
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        let mut unit = self.writer.take(WritingConnection::open(&self.options)).await?;
        unit.execute("PRAGMA temp_store = FILE").await?;
        unit.execute("VACUUM").await?;
        unit.execute("PRAGMA temp_store = MEMORY").await?;
        unit.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        unit.give_back();
        Ok(())
    }

    async fn note_scrubbed(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        sqlx::query!(
            "UPDATE erasures SET scrubbed_at = ?1 WHERE scrubbed_at IS NULL AND stage NOT IN ('rows', 'files')",
            at
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await
    }

    async fn erasures(&self) -> Result<Vec<ErasureReport>, StoreError> {
        let found = sqlx::query_as!(
            ErasureColumns,
            r#"
            SELECT
                id AS "id!: i64", name AS "name!: String", instance_id AS "instance_id: InstanceId",
                begun_at AS "begun_at!: Timestamp", stage AS "stage!: String", reached_seq AS "reached_seq!: i64",
                until_seq AS "until_seq!: i64", events AS "events!: i64", messages AS "messages!: i64",
                files AS "files!: i64", forwards AS "forwards!: String", removed_at AS "removed_at: Timestamp",
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
            r#"SELECT object_key AS "object_key!: ObjectKey" FROM media_removals ORDER BY object_key LIMIT ?1"#,
            limit,
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn removed(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let mut unit = self.begin_erasing().await?;
        sqlx::query!("DELETE FROM media_removals WHERE object_key = ?1", key).execute(&mut **unit).await?;
        unit.commit_erased().await
    }

    async fn export_erasures(&self) -> Result<ErasureExport, StoreError> {
        let mut unit = self.begin().await?;
        let keys: Vec<MarkKey> = erasure::ErasureRows::mark_keys(&mut **unit).await?;
        let mut erasures = vec![];
        for erasure in self.erasures().await? {
            let rows = sqlx::query!(
                r#"
                SELECT mark AS "mark!: Vec<u8>", until AS "until: Timestamp"
                FROM erasure_marks
                WHERE erasure_id = ?1
                ORDER BY mark
                "#,
                erasure.id,
            )
            .fetch_all(&mut **unit)
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
        let mut unit = self.begin_erasing().await?;
        let imported = erasure::import(&mut **unit, export, at).await?;
        unit.commit_erased().await?;
        Ok(imported)
    }
}

impl SqliteStore {
    /// Fills the free pages with zeros and frees them again. A page that was freed without that may hold what was deleted from
    /// it before.
    async fn overwrite_free_pages(&self) -> Result<(), StoreError> {
        let mut unit = self.begin_erasing().await?;
        let connection: &mut SqliteConnection = &mut unit;
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut *connection).await?;
        let size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
        connection.execute("CREATE TABLE zeros (zeros BLOB)").await?;
        let mut bytes = free * size;
        while bytes > 0 {
            sqlx::query("INSERT INTO zeros VALUES (zeroblob(?1))")
                .bind(bytes.min(ZEROS))
                .execute(&mut *connection)
                .await?;
            bytes -= ZEROS;
        }
        connection.execute("DROP TABLE zeros").await?;
        unit.commit_erased().await
    }
}
