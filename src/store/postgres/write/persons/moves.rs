use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::{column, keys};
use crate::write::persons::ChatAlias;
use crate::write::persons::moves::{ChatMove, MoveRows, MovingMessage};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl MoveRows for PgConnection {
    async fn begin_moves(&mut self, aliases: &[ChatAlias]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO chat_moves (instance_id, alias, chat_id)
            SELECT key.instance_id, key.alias, key.chat_id
            FROM unnest($1::text[], $2::text[], $3::text[]) AS key (instance_id, alias, chat_id)
            WHERE EXISTS (
                    SELECT
                    FROM messages
                    WHERE messages.instance_id = key.instance_id AND messages.chat_id = key.alias
                )
                OR EXISTS (
                    SELECT
                    FROM messages
                    WHERE messages.instance_id = key.instance_id AND messages.stated_chat_id = key.alias
                )
                OR EXISTS (
                    SELECT
                    FROM chat_moves
                    WHERE chat_moves.instance_id = key.instance_id AND chat_moves.alias = key.alias
                )
            ON CONFLICT (instance_id, alias) DO UPDATE
            SET chat_id = excluded.chat_id, reached_at = NULL, reached_seq = NULL
            "#,
            column(aliases, |it| it.instance_id.as_str()) as _,
            column(aliases, |it| it.alias.as_str()) as _,
            column(aliases, |it| it.chat_id.as_str()) as _,
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
                instance_id AS "instance_id: InstanceId", alias, chat_id,
                reached_at AS "reached_at: Timestamp", reached_seq
            FROM chat_moves
            ORDER BY instance_id, alias
            LIMIT 1
            "#
        )
        .fetch_optional(self)
        .await?)
    }

    async fn messages_to_move(&mut self, it: &ChatMove, limit: u32) -> Result<Vec<MovingMessage>, StoreError> {
        let (at, seq) = (it.reached_at.unwrap_or(Timestamp::MAX), it.reached_seq.unwrap_or(i64::MAX));
        Ok(sqlx::query_as!(
            MovingMessage,
            r#"
            SELECT both_ways.id AS "id!", both_ways.occurred_at AS "occurred_at!: Timestamp", both_ways.seq AS "seq!"
            FROM (
                (
                    SELECT id, occurred_at, seq
                    FROM messages
                    WHERE instance_id = $1
                        AND (chat_id, occurred_at, seq) >= ($2, '-infinity', 0)
                        AND (chat_id, occurred_at, seq) < ($2, $3, $4)
                    ORDER BY chat_id DESC, occurred_at DESC, seq DESC
                    LIMIT $5
                )
                UNION ALL
                (
                    SELECT id, occurred_at, seq
                    FROM messages
                    WHERE instance_id = $1
                        AND stated_chat_id IS NOT NULL
                        AND (stated_chat_id, occurred_at, seq) >= ($2, '-infinity', 0)
                        AND (stated_chat_id, occurred_at, seq) < ($2, $3, $4)
                    ORDER BY stated_chat_id DESC, occurred_at DESC, seq DESC
                    LIMIT $5
                )
            ) AS both_ways
            ORDER BY both_ways.occurred_at DESC, both_ways.seq DESC
            LIMIT $5
            "#,
            it.instance_id.as_str(),
            it.alias,
            at as _,
            seq,
            i64::from(limit),
        )
        .fetch_all(self)
        .await?)
    }

    async fn place_messages(&mut self, it: &ChatMove, messages: &[MessageKey]) -> Result<u64, StoreError> {
        let (instance_ids, message_ids) = keys(messages);
        let written = sqlx::query!(
            r#"
            UPDATE messages
            SET chat_id = $3, stated_chat_id = CASE WHEN $3 <> $4 THEN $4 END
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            instance_ids as _,
            message_ids as _,
            it.chat_id,
            it.alias,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn save_progress(&mut self, it: &ChatMove) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE chat_moves SET reached_at = $3, reached_seq = $4 WHERE instance_id = $1 AND alias = $2",
            it.instance_id.as_str(),
            it.alias,
            it.reached_at as _,
            it.reached_seq,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn end_move(&mut self, it: &ChatMove) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM chat_moves WHERE instance_id = $1 AND alias = $2",
            it.instance_id.as_str(),
            it.alias,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
