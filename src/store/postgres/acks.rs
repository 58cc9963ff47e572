use async_trait::async_trait;
use sqlx::PgConnection;

use super::column;
use crate::domain::ack::{self, MessageAck};
use crate::domain::instance::InstanceId;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::acks::AckRows;

#[async_trait]
impl AckRows for PgConnection {
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO message_acks (instance_id, message_id, ack, ack_rank, received_at)
            SELECT *
            FROM unnest($1::text[], $2::text[], $3::text[], $4::int2[], $5::timestamptz[])
            ON CONFLICT (instance_id, message_id, ack) DO UPDATE
            SET received_at = excluded.received_at
            WHERE excluded.received_at < message_acks.received_at
            "#,
            column(acks, |it| it.instance_id.as_str()) as _,
            column(acks, |it| it.message_id.as_str()) as _,
            column(acks, |it| it.ack.as_str()) as _,
            &column(acks, |it| ack::rank(&it.ack)),
            &column(acks, |it| it.received_at.to_utc()),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT message_id, ack, received_at
            FROM message_acks
            WHERE instance_id = '-' AND message_id = ANY($1)
            "#,
            message_ids,
        )
        .fetch_all(self)
        .await?;
        let unstated = InstanceId::unstated();
        let acks = rows.into_iter().map(|row| MessageAck {
            instance_id: unstated.clone(),
            message_id: row.message_id,
            ack: row.ack,
            received_at: Timestamp::from_utc(row.received_at),
        });
        Ok(acks.collect())
    }
}
