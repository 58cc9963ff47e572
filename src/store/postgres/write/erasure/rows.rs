use async_trait::async_trait;
use sqlx::PgConnection;

use super::mark;
use crate::StoreError;
use crate::postgres::{column, keys};
use crate::write::erasure::ErasureRows;
use crate::write::erasure::contract::{ErasurePiece, GoingEvent};
use domain::chat::ChatKey;
use domain::erasure::marks::{Mark, MarkKey};
use domain::event::EventState;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl ErasureRows for PgConnection {
    async fn mark_keys(&mut self) -> Result<Vec<MarkKey>, StoreError> {
        Ok(sqlx::query_as!(MarkKey, "SELECT id, key FROM erasure_keys ORDER BY created_at DESC, id")
            .fetch_all(self)
            .await?)
    }

    async fn add_mark_key(&mut self, key: &MarkKey, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!("INSERT INTO erasure_keys (id, key, created_at) VALUES ($1, $2, $3)", key.id, key.key, at as _)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn known_marks(&mut self, marks: &[Mark]) -> Result<Vec<(Mark, Option<Timestamp>)>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT mark, until AS "until: Timestamp" FROM erasure_marks WHERE mark = ANY($1)"#,
            column(marks, |mark| mark.as_bytes()) as _,
        )
        .fetch_all(self)
        .await?;
        rows.into_iter().map(|row| Ok((mark(&row.mark)?, row.until))).collect()
    }

    async fn add_marks(&mut self, erasure: i64, marks: &[Mark], until: Option<Timestamp>) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO erasure_marks (mark, erasure_id, until)
            SELECT new.mark, $2, $3 FROM unnest($1::bytea[]) AS new (mark)
            ON CONFLICT (mark) DO UPDATE
            SET until = CASE
                WHEN erasure_marks.until IS NOT NULL AND excluded.until IS NOT NULL
                    THEN greatest(erasure_marks.until, excluded.until)
            END
            "#,
            column(marks, |mark| mark.as_bytes()) as _,
            erasure,
            until as _,
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
            VALUES (
                $1, $2, $3, 'rows', 0, $4,
                coalesce((SELECT string_agg(name, ' ' ORDER BY name) FROM forwards WHERE delivered > 0), '')
            )
            ON CONFLICT (name) DO NOTHING
            RETURNING id
            "#,
            name,
            instance_id.map(InstanceId::as_str),
            at as _,
            until_seq,
        )
        .fetch_optional(self)
        .await?)
    }

    async fn erasure_named(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!("SELECT id FROM erasures WHERE name = $1", name).fetch_optional(self).await?)
    }

    async fn latest_erasure(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!("SELECT max(id) FROM erasures").fetch_one(self).await?)
    }

    async fn add_erasure_ids(&mut self, erasure: i64, ids: &[String]) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO erasure_ids (erasure_id, id) SELECT $1, new.id FROM unnest($2::text[]) AS new (id)",
            erasure,
            ids,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn save_erasure(&mut self, piece: &ErasurePiece) -> Result<bool, StoreError> {
        let saved = sqlx::query!(
            "UPDATE erasures SET reached_seq = $3 WHERE id = $1 AND reached_seq = $2 AND stage = 'rows'",
            piece.erasure,
            piece.from,
            piece.to,
        );
        Ok(saved.execute(self).await?.rows_affected() > 0)
    }

    async fn count_erased(&mut self, erasure: i64, events: i64, messages: i64, files: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE erasures SET events = events + $2, messages = messages + $3, files = files + $4 WHERE id = $1",
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
        let (instance_ids, message_ids) = keys(messages);
        Ok(sqlx::query_as!(
            GoingEvent,
            r#"
            SELECT seq AS "seq!", body_sha256 AS "body_sha256!"
            FROM events
            WHERE seq = ANY($1) AND state NOT IN ('erased', 'expired')
            UNION
            SELECT events.seq, events.body_sha256
            FROM unnest($2::text[], $3::text[]) AS key (instance_id, id)
            JOIN events ON events.instance_id = key.instance_id AND events.message_id = key.id
            WHERE events.state NOT IN ('erased', 'expired')
            ORDER BY 1
            "#,
            seqs,
            instance_ids as _,
            message_ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn blank_events(&mut self, seqs: &[i64], rows: &[Vec<u8>], state: EventState) -> Result<u64, StoreError> {
        sqlx::query!("DELETE FROM forward_failures WHERE seq = ANY($1)", seqs).execute(&mut *self).await?;
        let written = sqlx::query!(
            r#"
            UPDATE events
            SET event_type = NULL, message_id = NULL, chat_id = NULL, body = NULL, reason = NULL, file_bytes = NULL,
                quoted_message_id = NULL, state = $3, body_sha256 = blank.place
            FROM unnest($1::int8[], $2::bytea[]) AS blank (seq, place)
            WHERE events.seq = blank.seq
            "#,
            seqs,
            rows,
            state.as_str(),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_messages(&mut self, messages: &[MessageKey]) -> Result<Vec<ObjectKey>, StoreError> {
        let (instance_ids, message_ids) = keys(messages);
        sqlx::query!(
            r#"
            DELETE FROM messages USING unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            &instance_ids as _,
            &message_ids as _,
        )
        .execute(&mut *self)
        .await?;
        sqlx::query!(
            r#"
            DELETE FROM message_acks USING unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE message_acks.instance_id = key.instance_id AND message_acks.message_id = key.id
            "#,
            &instance_ids as _,
            &message_ids as _,
        )
        .execute(&mut *self)
        .await?;
        sqlx::query!(
            r#"
            DELETE FROM message_reactions USING unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE message_reactions.instance_id = key.instance_id AND message_reactions.message_id = key.id
            "#,
            &instance_ids as _,
            &message_ids as _,
        )
        .execute(&mut *self)
        .await?;
        let objects = sqlx::query_scalar!(
            r#"
            DELETE FROM media USING unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE media.instance_id = key.instance_id AND media.message_id = key.id
            RETURNING media.object_key AS "object_key: ObjectKey"
            "#,
            &instance_ids as _,
            &message_ids as _,
        )
        .fetch_all(self)
        .await?;
        Ok(objects.into_iter().flatten().collect())
    }

    async fn add_removals(&mut self, objects: &[ObjectKey]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO media_removals (object_key)
            SELECT DISTINCT new.object_key FROM unnest($1::text[]) AS new (object_key)
            ON CONFLICT DO NOTHING
            "#,
            column(objects, |key| key.as_str()) as _,
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
            SELECT instance_id AS "instance_id!: InstanceId", b AS "chat_id!"
            FROM linked
            WHERE a = ANY($2) AND ($1::text IS NULL OR instance_id IN ($1, '-'))
            UNION
            SELECT instance_id, a
            FROM linked
            WHERE b = ANY($2) AND ($1::text IS NULL OR instance_id IN ($1, '-'))
            "#,
            instance_id.map(InstanceId::as_str),
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
        let scope = instance_id.map(InstanceId::as_str);
        for condition in [
            "message_reactions WHERE from_number = ANY($2)",
            "chat_links WHERE (a = ANY($2) OR b = ANY($2))",
            "chat_links_owner WHERE (a = ANY($2) OR b = ANY($2))",
            "chat_aliases WHERE alias = ANY($2)",
            "chat_moves WHERE alias = ANY($2)",
        ] {
            let statement = format!("DELETE FROM {condition} AND ($1::text IS NULL OR instance_id IN ($1, '-'))");
            sqlx::query(sqlx::AssertSqlSafe(statement)).bind(scope).bind(ids).execute(&mut *self).await?;
        }
        Ok(sqlx::query_as!(
            ChatKey,
            r#"
            DELETE FROM chat_names
            WHERE chat_id = ANY($2) AND ($1::text IS NULL OR instance_id IN ($1, '-'))
            RETURNING instance_id AS "instance_id: InstanceId", chat_id
            "#,
            scope,
            ids,
        )
        .fetch_all(self)
        .await?)
    }

    async fn all_ids(&mut self) -> Result<Vec<ChatKey>, StoreError> {
        Ok(sqlx::query_as!(
            ChatKey,
            r#"
            SELECT instance_id AS "instance_id!: InstanceId", a AS "chat_id!" FROM chat_links
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
