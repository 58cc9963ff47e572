use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{json, keys, timestamp};
use crate::domain::ack::{self, MessageAck};
use crate::domain::instance::InstanceId;
use crate::domain::message::MessageKey;
use crate::store::StoreError;
use crate::store::acks::AckRows;

#[derive(Serialize)]
struct AckRow<'a> {
    instance_id: &'a str,
    message_id: &'a str,
    ack: &'a str,
    ack_rank: i16,
    received_at: String,
}

impl<'a> From<&'a MessageAck> for AckRow<'a> {
    fn from(ack: &'a MessageAck) -> Self {
        Self {
            instance_id: ack.instance_id.as_str(),
            message_id: &ack.message_id,
            ack: &ack.ack,
            ack_rank: ack::rank(&ack.ack),
            received_at: ack.received_at.to_rfc3339(),
        }
    }
}

#[async_trait]
impl AckRows for SqliteConnection {
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<(), StoreError> {
        let rows = json(acks.iter().map(AckRow::from));
        sqlx::query!(
            r#"
            INSERT INTO message_acks (instance_id, message_id, ack, ack_rank, received_at)
            SELECT
                value ->> 'instance_id',
                value ->> 'message_id',
                value ->> 'ack',
                value ->> 'ack_rank',
                value ->> 'received_at'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, message_id, ack) DO UPDATE
            SET received_at = excluded.received_at
            WHERE excluded.received_at < message_acks.received_at
            "#,
            rows,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn acked(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageKey>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT key.value ->> 'instance_id' AS "instance_id!: String", key.value ->> 'id' AS "id!: String"
            FROM jsonb_each(?1) AS key
            WHERE EXISTS (
                SELECT 1
                FROM message_acks
                WHERE message_acks.instance_id = key.value ->> 'instance_id'
                    AND message_acks.message_id = key.value ->> 'id'
            )
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }

    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError> {
        let message_ids = json(message_ids);
        let rows = sqlx::query!(
            r#"
            SELECT message_id AS "message_id!: String", ack AS "ack!: String", received_at AS "received_at!: String"
            FROM message_acks
            WHERE instance_id = '-' AND message_id IN (SELECT value FROM jsonb_each(?1))
            "#,
            message_ids,
        )
        .fetch_all(self)
        .await?;
        let unstated = InstanceId::unstated();
        let acks = rows.into_iter().map(|row| {
            Ok(MessageAck {
                instance_id: unstated.clone(),
                message_id: row.message_id,
                ack: row.ack,
                received_at: timestamp(&row.received_at)?,
            })
        });
        acks.collect()
    }
}
