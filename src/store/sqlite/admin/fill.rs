use async_trait::async_trait;
use sqlx::{Executor, SqliteConnection};

use crate::StoreError;
use crate::admin::fill::{ENOUGH_OF_A_BODY, FillRows, Unfilled};
use crate::sqlite::{BEGIN, COMMIT, keys, timestamp};
use domain::chat::response_tracker::ChatMessage;
use domain::chat::{ChatKey, MessagePosition};
use domain::instance::InstanceId;
use domain::message::MessageKey;

#[async_trait]
impl FillRows for SqliteConnection {
    async fn begin_piece(&mut self) -> Result<(), StoreError> {
        self.execute(BEGIN).await?;
        Ok(())
    }

    async fn commit_piece(&mut self) -> Result<(), StoreError> {
        self.execute(COMMIT).await?;
        Ok(())
    }

    async fn filled(&mut self) -> Result<(bool, Option<String>), StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT derived = 1 AS "filled!: bool", derived_up_to AS "up_to: String"
            FROM installation
            WHERE id = 1
            "#
        )
        .fetch_one(self)
        .await?;
        Ok((row.filled, row.up_to))
    }

    async fn save_filled(&mut self, filled: bool, up_to: Option<&str>) -> Result<(), StoreError> {
        sqlx::query!("UPDATE installation SET derived = ?1, derived_up_to = ?2 WHERE id = 1", filled, up_to)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn messages_after(&mut self, after: (&str, &str), limit: u32) -> Result<Vec<Unfilled>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT
                instance_id AS "instance_id!: String",
                id AS "id!: String",
                chat_id AS "chat_id: String",
                occurred_at AS "occurred_at!: String",
                substr(body, 1, ?4) AS "body: String",
                media_url IS NOT NULL AS "has_media!: bool"
            FROM messages
            WHERE (instance_id, id) > (?1, ?2)
            ORDER BY instance_id, id
            LIMIT ?3
            "#,
            after.0,
            after.1,
            limit,
            ENOUGH_OF_A_BODY,
        )
        .fetch_all(self)
        .await?;
        let messages = rows.into_iter().map(|row| {
            let key = MessageKey { instance_id: InstanceId::from_store(&row.instance_id), id: row.id };
            let occurred_at = timestamp(&row.occurred_at)?;
            Ok(Unfilled { key, chat_id: row.chat_id, occurred_at, body: row.body, has_media: row.has_media })
        });
        messages.collect()
    }

    async fn chats_after(&mut self, after: (&str, &str), limit: u32) -> Result<Vec<(ChatKey, i64)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT
                instance_id AS "instance_id!: String",
                chat_id AS "chat_id!: String",
                message_count AS "message_count!: i64"
            FROM chats
            WHERE (instance_id, chat_id) > (?1, ?2)
            ORDER BY instance_id, chat_id
            LIMIT ?3
            "#,
            after.0,
            after.1,
            limit,
        )
        .fetch_all(self)
        .await?;
        let chat = |instance_id: &str, chat_id| ChatKey { instance_id: InstanceId::from_store(instance_id), chat_id };
        Ok(rows.into_iter().map(|row| (chat(&row.instance_id, row.chat_id), row.message_count)).collect())
    }

    async fn turns(&mut self, chats: &[ChatKey]) -> Result<Vec<(ChatKey, ChatMessage)>, StoreError> {
        let keys = keys(chats);
        let rows = sqlx::query!(
            r#"
            SELECT
                messages.instance_id AS "instance_id!: String",
                messages.chat_id AS "chat_id!: String",
                messages.from_me AS "from_me!: bool",
                messages.occurred_at AS "occurred_at!: String",
                messages.id AS "id!: String"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.chat_id = key.value ->> 'id'
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        let turns = rows.into_iter().map(|row| {
            let mark = MessagePosition { occurred_at: timestamp(&row.occurred_at)?, message_id: row.id };
            Ok((
                ChatKey { instance_id: InstanceId::from_store(&row.instance_id), chat_id: row.chat_id },
                ChatMessage::new(row.from_me, mark),
            ))
        });
        turns.collect()
    }
}
