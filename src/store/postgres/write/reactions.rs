use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::column;
use crate::write::reactions::ReactionRows;
use domain::message::reaction::MessageReaction;

#[async_trait]
impl ReactionRows for PgConnection {
    async fn upsert_reactions(&mut self, reactions: &[MessageReaction]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO message_reactions (
                instance_id, message_id, from_number, reaction, reacted_at, received_at, last_received_at
            )
            SELECT new.*
            FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[]
            ) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, message_id, from_number, reaction, reacted_at) DO UPDATE
            SET received_at = least(message_reactions.received_at, excluded.received_at),
                last_received_at = greatest(message_reactions.last_received_at, excluded.last_received_at)
            "#,
            column(reactions, |it| &it.instance_id) as _,
            column(reactions, |it| it.message_id.as_str()) as _,
            column(reactions, |it| it.from_number.as_str()) as _,
            column(reactions, |it| it.reaction.as_str()) as _,
            column(reactions, |it| it.reacted_at) as _,
            column(reactions, |it| it.received_at) as _,
            column(reactions, |it| it.last_received_at) as _,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
