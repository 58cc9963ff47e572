use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::reactions::ReactionRows;
use domain::message::reaction::MessageReaction;

#[async_trait]
impl ReactionRows for SqliteConnection {
    async fn upsert_reactions(&mut self, reactions: &[MessageReaction]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO message_reactions (
                instance_id, message_id, from_number, reaction, reacted_at, received_at, last_received_at
            )
            SELECT
                value ->> 'instance_id', value ->> 'message_id', value ->> 'from_number', value ->> 'reaction',
                value ->> 'reacted_at', value ->> 'received_at', value ->> 'last_received_at'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, message_id, from_number, reaction, reacted_at) DO UPDATE
            SET received_at = min(message_reactions.received_at, excluded.received_at),
                last_received_at = max(message_reactions.last_received_at, excluded.last_received_at)
            "#,
            json(reactions),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
