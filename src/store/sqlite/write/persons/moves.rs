use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::persons::ChatAlias;
use crate::write::persons::moves::{ChatMove, MoveRows, MovingMessage};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl MoveRows for SqliteConnection {
    async fn begin_moves(&mut self, aliases: &[ChatAlias]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO chat_moves (instance_id, alias, chat_id)
            SELECT key.value ->> 'instance_id', key.value ->> 'alias', key.value ->> 'chat_id'
            FROM jsonb_each(?1) AS key
            WHERE EXISTS (
                    SELECT 1
                    FROM messages
                    WHERE instance_id = key.value ->> 'instance_id' AND chat_id = key.value ->> 'alias'
                )
                OR EXISTS (
                    SELECT 1
                    FROM messages
                    WHERE instance_id = key.value ->> 'instance_id' AND stated_chat_id = key.value ->> 'alias'
                )
                OR EXISTS (
                    SELECT 1
                    FROM chat_moves
                    WHERE instance_id = key.value ->> 'instance_id' AND alias = key.value ->> 'alias'
                )
            ON CONFLICT (instance_id, alias) DO UPDATE
            SET chat_id = excluded.chat_id, reached_at = NULL, reached_seq = NULL
            "#,
            json(aliases),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn unfinished_move(&mut self) -> Result<Option<ChatMove>, StoreError> {
        Ok(sqlx::query_as!(
            ChatMove,
            r#"
            SELECT
                instance_id AS "instance_id!: InstanceId", alias AS "alias!: String", chat_id AS "chat_id!: String",
                reached_at AS "reached_at: Timestamp", reached_seq AS "reached_seq: i64"
            FROM chat_moves
            ORDER BY instance_id, alias
            LIMIT 1
            "#
        )
        .fetch_optional(self)
        .await?)
    }

    async fn messages_to_move(&mut self, it: &ChatMove, limit: u32) -> Result<Vec<MovingMessage>, StoreError> {
        let (instance_id, alias) = (&it.instance_id, it.alias.as_str());
        let (at, seq) = (it.reached_at.unwrap_or(Timestamp::MAX), it.reached_seq.unwrap_or(i64::MAX));
        Ok(sqlx::query_as!(
            MovingMessage,
            r#"
            SELECT id AS "id!: String", occurred_at AS "occurred_at!: Timestamp", seq AS "seq!: i64"
            FROM (
                SELECT id, occurred_at, seq
                FROM (
                    SELECT id, occurred_at, seq
                    FROM messages
                    WHERE instance_id = ?1 AND chat_id = ?2 AND (occurred_at, seq) < (?3, ?4)
                    ORDER BY occurred_at DESC, seq DESC
                    LIMIT ?5
                ) AS in_chat
                UNION ALL
                SELECT id, occurred_at, seq
                FROM (
                    SELECT id, occurred_at, seq
                    FROM messages
                    WHERE instance_id = ?1 AND stated_chat_id = ?2 AND (occurred_at, seq) < (?3, ?4)
                    ORDER BY occurred_at DESC, seq DESC
                    LIMIT ?5
                ) AS elsewhere
            ) AS both
            ORDER BY occurred_at DESC, seq DESC
            LIMIT ?5
            "#,
            instance_id,
            alias,
            at,
            seq,
            limit,
        )
        .fetch_all(self)
        .await?)
    }

    async fn place_messages(&mut self, it: &ChatMove, messages: &[MessageKey]) -> Result<u64, StoreError> {
        let keys = json(messages);
        let (alias, chat_id) = (it.alias.as_str(), it.chat_id.as_str());
        let written = sqlx::query!(
            r#"
            UPDATE messages
            SET chat_id = ?2, stated_chat_id = CASE WHEN ?2 <> ?3 THEN ?3 END
            WHERE (instance_id, id) IN (SELECT value ->> 'instance_id', value ->> 'id' FROM jsonb_each(?1))
            "#,
            keys,
            chat_id,
            alias,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn save_progress(&mut self, it: &ChatMove) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE chat_moves SET reached_at = ?3, reached_seq = ?4 WHERE instance_id = ?1 AND alias = ?2",
            it.instance_id,
            it.alias,
            it.reached_at,
            it.reached_seq,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn end_move(&mut self, it: &ChatMove) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM chat_moves WHERE instance_id = ?1 AND alias = ?2", it.instance_id, it.alias)
            .execute(self)
            .await?;
        Ok(())
    }
}
