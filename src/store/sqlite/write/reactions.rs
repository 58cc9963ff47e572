use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::reactions::ReactionRows;
use domain::message::reaction::MessageReaction;

#[derive(Serialize)]
struct ReactionRow<'r> {
    instance_id: &'r str,
    message_id: &'r str,
    from_number: &'r str,
    reaction: &'r str,
    reacted_at: String,
    received_at: String,
}

impl<'r> From<&'r MessageReaction> for ReactionRow<'r> {
    fn from(reaction: &'r MessageReaction) -> Self {
        Self {
            instance_id: reaction.instance_id.as_str(),
            message_id: &reaction.message_id,
            from_number: &reaction.from_number,
            reaction: &reaction.reaction,
            reacted_at: reaction.reacted_at.to_rfc3339(),
            received_at: reaction.received_at.to_rfc3339(),
        }
    }
}

#[async_trait]
impl ReactionRows for SqliteConnection {
    async fn upsert_reactions(&mut self, reactions: &[MessageReaction]) -> Result<u64, StoreError> {
        let rows = json(reactions.iter().map(ReactionRow::from));
        let written = sqlx::query!(
            r#"
            INSERT INTO message_reactions (
                instance_id, message_id, from_number, reaction, reacted_at, received_at
            )
            SELECT
                value ->> 'instance_id',
                value ->> 'message_id',
                value ->> 'from_number',
                value ->> 'reaction',
                value ->> 'reacted_at',
                value ->> 'received_at'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, message_id, from_number, reaction, reacted_at) DO UPDATE
            SET received_at = min(message_reactions.received_at, excluded.received_at)
            "#,
            rows,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
