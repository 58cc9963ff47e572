use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{mark, marks_json};
use crate::StoreError;
use crate::sqlite::json;
use crate::write::erasure::ErasureRows;
use crate::write::erasure::contract::{ErasurePiece, GoingEvent};
use domain::chat::ChatKey;
use domain::erasure::marks::{Mark, MarkKey};
use domain::event::EventState;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

/// An event, and what stands in the place of the SHA-256 of its body.
#[derive(Serialize)]
struct BlankedEvent {
    seq: i64,
    row: String,
}

#[async_trait]
impl ErasureRows for SqliteConnection {
    async fn mark_keys(&mut self) -> Result<Vec<MarkKey>, StoreError> {
        Ok(sqlx::query_as!(
            MarkKey,
            r#"SELECT id AS "id!: String", key AS "key!: Vec<u8>" FROM erasure_keys ORDER BY created_at DESC, id"#
        )
        .fetch_all(self)
        .await?)
    }

    async fn add_mark_key(&mut self, key: &MarkKey, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!("INSERT INTO erasure_keys (id, key, created_at) VALUES (?1, ?2, ?3)", key.id, key.key, at)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn known_marks(&mut self, marks: &[Mark]) -> Result<Vec<(Mark, Option<Timestamp>)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT erasure_marks.mark AS "mark!: Vec<u8>", erasure_marks.until AS "until: Timestamp"
            FROM json_each(?1) AS asked
            CROSS JOIN erasure_marks ON erasure_marks.mark = unhex(asked.value ->> 'mark')
            "#,
            marks_json(marks),
        )
        .fetch_all(self)
        .await?;
        rows.into_iter().map(|row| Ok((mark(&row.mark)?, row.until))).collect()
    }

    async fn add_marks(&mut self, erasure: i64, marks: &[Mark], until: Option<Timestamp>) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO erasure_marks (mark, erasure_id, until)
            SELECT unhex(value ->> 'mark'), ?2, ?3 FROM json_each(?1) WHERE true
            ON CONFLICT (mark) DO UPDATE SET until = max(erasure_marks.until, excluded.until)
            "#,
            marks_json(marks),
            erasure,
            until,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn add_erasure(
        &mut self,
        name: &str,
        instance_id: Option<&InstanceId>,
        at: Timestamp,
        until_seq: i64,
    ) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            INSERT INTO erasures (name, instance_id, begun_at, stage, reached_seq, until_seq, forwards)
            VALUES (?1, ?2, ?3, 'rows', 0, ?4, coalesce((SELECT group_concat(name, ' ') FROM forwards WHERE delivered > 0), ''))
            ON CONFLICT (name) DO NOTHING
            RETURNING id AS "id!: i64"
            "#,
            name,
            instance_id,
            at,
            until_seq,
        )
        .fetch_optional(self)
        .await?)
    }

    async fn erasure_named(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT id AS "id!: i64" FROM erasures WHERE name = ?1"#, name)
            .fetch_optional(self)
            .await?)
    }

    async fn latest_erasure(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT max(erasures.id) AS "id: i64" FROM erasures"#).fetch_one(self).await?)
    }

    async fn add_erasure_ids(&mut self, erasure: i64, ids: &[String]) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO erasure_ids (erasure_id, id) SELECT ?1, value FROM json_each(?2)",
            erasure,
            json(ids),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn save_erasure(&mut self, piece: &ErasurePiece) -> Result<bool, StoreError> {
        let saved = sqlx::query!(
            "UPDATE erasures SET reached_seq = ?3 WHERE id = ?1 AND reached_seq = ?2 AND stage = 'rows'",
            piece.erasure,
            piece.from,
            piece.to,
        );
        Ok(saved.execute(self).await?.rows_affected() > 0)
    }

    async fn count_erased(&mut self, erasure: i64, events: i64, messages: i64, files: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE erasures SET events = events + ?2, messages = messages + ?3, files = files + ?4 WHERE id = ?1",
            erasure,
            events,
            messages,
            files,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn going_events(&mut self, seqs: &[i64], messages: &[MessageKey]) -> Result<Vec<GoingEvent>, StoreError> {
        Ok(sqlx::query_as!(
            GoingEvent,
            r#"
            SELECT seq AS "seq!: i64", body_sha256 AS "body_sha256!: Vec<u8>"
            FROM events
            WHERE seq IN (SELECT value FROM json_each(?1)) AND state NOT IN ('erased', 'expired')
            UNION
            SELECT events.seq, events.body_sha256
            FROM json_each(?2) AS key
            CROSS JOIN events
                ON events.instance_id = key.value ->> 'instance_id' AND events.message_id = key.value ->> 'id'
            WHERE events.state NOT IN ('erased', 'expired')
            ORDER BY 1
            "#,
            json(seqs),
            json(messages),
        )
        .fetch_all(self)
        .await?)
    }

    async fn blank_events(&mut self, seqs: &[i64], rows: &[Vec<u8>], state: EventState) -> Result<u64, StoreError> {
        let events = json(seqs.iter().zip(rows).map(|(seq, row)| BlankedEvent { seq: *seq, row: hex::encode(row) }));
        let state = state.as_str();
        sqlx::query!("DELETE FROM forward_failures WHERE seq IN (SELECT value ->> 'seq' FROM json_each(?1))", events)
            .execute(&mut *self)
            .await?;
        let written = sqlx::query!(
            r#"
            UPDATE events
            SET event_type = NULL, message_id = NULL, chat_id = NULL, body = NULL, reason = NULL, file_bytes = NULL,
                quoted_message_id = NULL, state = ?2, body_sha256 = unhex(event.value ->> 'row')
            FROM json_each(?1) AS event
            WHERE events.seq = event.value ->> 'seq'
            "#,
            events,
            state,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_messages(&mut self, messages: &[MessageKey]) -> Result<Vec<ObjectKey>, StoreError> {
        let keys = json(messages);
        for table in [
            "messages WHERE (instance_id, id)",
            "message_acks WHERE (instance_id, message_id)",
            "message_reactions WHERE (instance_id, message_id)",
        ] {
            let statement =
                format!("DELETE FROM {table} IN (SELECT value ->> 'instance_id', value ->> 'id' FROM json_each(?1))");
            sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&keys).execute(&mut *self).await?;
        }
        let objects = sqlx::query_scalar!(
            r#"
            DELETE FROM media
            WHERE (instance_id, message_id) IN (SELECT value ->> 'instance_id', value ->> 'id' FROM json_each(?1))
            RETURNING object_key AS "object_key: ObjectKey"
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        Ok(objects.into_iter().flatten().collect())
    }

    async fn add_removals(&mut self, objects: &[ObjectKey]) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO media_removals (object_key) SELECT value FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
            json(objects.iter().map(ObjectKey::as_str)),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn linked_ids(
        &mut self,
        instance_id: Option<&InstanceId>,
        ids: &[String],
    ) -> Result<Vec<ChatKey>, StoreError> {
        let ids = json(ids);
        Ok(sqlx::query_as!(
            ChatKey,
            r#"
            WITH linked (instance_id, a, b) AS (
                SELECT instance_id, a, b FROM chat_links
                UNION ALL
                SELECT instance_id, a, b FROM chat_links_owner
                UNION ALL
                SELECT instance_id, alias, chat_id FROM chat_aliases
            )
            SELECT instance_id AS "instance_id!: InstanceId", b AS "chat_id!: String"
            FROM linked
            WHERE a IN (SELECT value FROM json_each(?2)) AND (?1 IS NULL OR instance_id IN (?1, '-'))
            UNION
            SELECT instance_id, a
            FROM linked
            WHERE b IN (SELECT value FROM json_each(?2)) AND (?1 IS NULL OR instance_id IN (?1, '-'))
            "#,
            instance_id,
            ids,
        )
        .fetch_all(self)
        .await?)
    }

    async fn forget_persons(
        &mut self,
        instance_id: Option<&InstanceId>,
        ids: &[String],
    ) -> Result<Vec<ChatKey>, StoreError> {
        let ids = json(ids);
        for condition in [
            "message_reactions WHERE from_number IN (SELECT value FROM json_each(?2))",
            "chat_links WHERE (a IN (SELECT value FROM json_each(?2)) OR b IN (SELECT value FROM json_each(?2)))",
            "chat_links_owner WHERE (a IN (SELECT value FROM json_each(?2)) OR b IN (SELECT value FROM json_each(?2)))",
            "chat_aliases WHERE alias IN (SELECT value FROM json_each(?2))",
            "chat_moves WHERE alias IN (SELECT value FROM json_each(?2))",
        ] {
            let statement = format!("DELETE FROM {condition} AND (?1 IS NULL OR instance_id IN (?1, '-'))");
            sqlx::query(sqlx::AssertSqlSafe(statement)).bind(instance_id).bind(&ids).execute(&mut *self).await?;
        }
        Ok(sqlx::query_as!(
            ChatKey,
            r#"
            DELETE FROM chat_names
            WHERE chat_id IN (SELECT value FROM json_each(?2)) AND (?1 IS NULL OR instance_id IN (?1, '-'))
            RETURNING instance_id AS "instance_id!: InstanceId", chat_id AS "chat_id!: String"
            "#,
            instance_id,
            ids,
        )
        .fetch_all(self)
        .await?)
    }

    async fn all_ids(&mut self) -> Result<Vec<ChatKey>, StoreError> {
        Ok(sqlx::query_as!(
            ChatKey,
            r#"
            SELECT instance_id AS "instance_id!: InstanceId", a AS "chat_id!: String" FROM chat_links
            UNION SELECT instance_id, b FROM chat_links
            UNION SELECT instance_id, a FROM chat_links_owner
            UNION SELECT instance_id, b FROM chat_links_owner
            UNION SELECT instance_id, alias FROM chat_aliases
            UNION SELECT instance_id, chat_id FROM chat_names
            UNION SELECT instance_id, from_number FROM message_reactions
            "#
        )
        .fetch_all(self)
        .await?)
    }
}
