use async_trait::async_trait;
use sqlx::{Executor, PgConnection};

use crate::StoreError;
use crate::admin::fill::{ENOUGH_OF_A_BODY, FillRows, Unfilled};
use crate::postgres::{BEGIN, COMMIT, keys};
use domain::chat::response_tracker::ChatMessage;
use domain::chat::{ChatKey, MessagePosition};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

/// A batch must not keep others waiting, but one large chat is filled in one piece.
const STATEMENT_LIMIT: &str = "SET LOCAL statement_timeout = '60s'";

#[async_trait]
impl FillRows for PgConnection {
    async fn begin_piece(&mut self) -> Result<(), StoreError> {
        self.execute(BEGIN).await?;
        self.execute(STATEMENT_LIMIT).await?;
        Ok(())
    }

    async fn commit_piece(&mut self) -> Result<(), StoreError> {
        self.execute(COMMIT).await?;
        Ok(())
    }

    async fn filled(&mut self) -> Result<(bool, Option<String>), StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT derived = 1 AS "filled!", derived_up_to AS up_to
            FROM installation
            WHERE id = 1
            "#
        )
        .fetch_one(self)
        .await?;
        Ok((row.filled, row.up_to))
    }

    async fn save_filled(&mut self, filled: bool, up_to: Option<&str>) -> Result<(), StoreError> {
        let derived = i32::from(filled);
        sqlx::query!("UPDATE installation SET derived = $1, derived_up_to = $2 WHERE id = 1", derived, up_to)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn messages_after(&mut self, after: (&str, &str), limit: u32) -> Result<Vec<Unfilled>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT
                instance_id, id, chat_id, occurred_at, left(body, $4) AS body, media_url IS NOT NULL AS "has_media!"
            FROM messages
            WHERE (instance_id, id) > ($1, $2)
            ORDER BY instance_id, id
            LIMIT $3
            "#,
            after.0,
            after.1,
            i64::from(limit),
            ENOUGH_OF_A_BODY,
        )
        .fetch_all(self)
        .await?;
        let messages = rows.into_iter().map(|row| Unfilled {
            key: MessageKey { instance_id: InstanceId::from_store(&row.instance_id), id: row.id },
            chat_id: row.chat_id,
            occurred_at: Timestamp::from_utc(row.occurred_at),
            body: row.body,
            has_media: row.has_media,
        });
        Ok(messages.collect())
    }

    async fn chats_after(&mut self, after: (&str, &str), limit: u32) -> Result<Vec<(ChatKey, i64)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT instance_id, chat_id, message_count
            FROM chats
            WHERE (instance_id, chat_id) > ($1, $2)
            ORDER BY instance_id, chat_id
            LIMIT $3
            "#,
            after.0,
            after.1,
            i64::from(limit),
        )
        .fetch_all(self)
        .await?;
        let chat = |instance_id: &str, chat_id| ChatKey { instance_id: InstanceId::from_store(instance_id), chat_id };
        Ok(rows.into_iter().map(|row| (chat(&row.instance_id, row.chat_id), row.message_count)).collect())
    }

    async fn turns(&mut self, chats: &[ChatKey]) -> Result<Vec<(ChatKey, ChatMessage)>, StoreError> {
        let (instance_ids, chat_ids) = keys(chats);
        let rows = sqlx::query!(
            r#"
            SELECT
                key.instance_id AS "instance_id!", key.chat_id AS "chat_id!",
                messages.from_me, messages.occurred_at, messages.id
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, chat_id)
            JOIN messages ON messages.instance_id = key.instance_id AND messages.chat_id = key.chat_id
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .fetch_all(self)
        .await?;
        let turns = rows.into_iter().map(|row| {
            let mark = MessagePosition { occurred_at: Timestamp::from_utc(row.occurred_at), message_id: row.id };
            (
                ChatKey { instance_id: InstanceId::from_store(&row.instance_id), chat_id: row.chat_id },
                ChatMessage::new(row.from_me, mark),
            )
        });
        Ok(turns.collect())
    }
}
