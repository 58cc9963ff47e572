use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::acks::{AckColumns, AckRows, RaiseColumns};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::ack::{self, AckRaise, MessageAck};
use domain::time::timestamp::Timestamp;

/// The new ack of a message. The times stay text, because they are only written back.
#[derive(Serialize)]
struct DueAck {
    instance_id: String,
    id: String,
    ack: String,
    ack_rank: i64,
    delivered_at: Option<String>,
    read_at: Option<String>,
}

#[async_trait]
impl AckRows for SqliteConnection {
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO message_acks (instance_id, message_id, ack, ack_rank, received_at, last_received_at)
            SELECT
                value ->> 'instance_id', value ->> 'message_id', value ->> 'ack', value ->> 'ack_rank',
                value ->> 'received_at', value ->> 'last_received_at'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, message_id, ack) DO UPDATE
            SET received_at = min(message_acks.received_at, excluded.received_at),
                last_received_at = max(message_acks.last_received_at, excluded.last_received_at)
            "#,
            json(acks.iter().map(AckColumns::from)),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn acked(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageKey>, StoreError> {
        Ok(sqlx::query_as!(
            MessageKey,
            r#"
            SELECT key.value ->> 'instance_id' AS "instance_id!: InstanceId", key.value ->> 'id' AS "id!: String"
            FROM jsonb_each(?1) AS key
            WHERE EXISTS (
                SELECT 1
                FROM message_acks
                WHERE message_acks.instance_id = key.value ->> 'instance_id'
                    AND message_acks.message_id = key.value ->> 'id'
            )
            "#,
            json(messages),
        )
        .fetch_all(self)
        .await?)
    }

    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError> {
        Ok(sqlx::query_as!(
            MessageAck,
            r#"
            SELECT
                instance_id AS "instance_id!: InstanceId",
                message_id AS "message_id!: String",
                ack AS "ack!: String",
                received_at AS "received_at!: Timestamp",
                last_received_at AS "last_received_at!: Timestamp"
            FROM message_acks
            WHERE instance_id = '-' AND message_id IN (SELECT value FROM jsonb_each(?1))
            "#,
            json(message_ids),
        )
        .fetch_all(self)
        .await?)
    }

    async fn stated_raises(&mut self, messages: &[MessageKey]) -> Result<Vec<AckRaise>, StoreError> {
        let rows = sqlx::query_as!(
            RaiseColumns,
            r#"
            SELECT
                stated.instance_id AS "instance_id!: InstanceId",
                stated.message_id AS "message_id!: String",
                stated.ack AS "ack!: String",
                stated.ack_rank AS "ack_rank!: i16",
                stated.last_received_at AS "stated_at!: Timestamp",
                stated.delivered_at AS "delivered_at: Timestamp",
                stated.read_at AS "read_at: Timestamp"
            FROM (
                SELECT
                    message_acks.*,
                    row_number() OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                        ORDER BY
                            CASE message_acks.ack_rank WHEN ?2 THEN ?3 ELSE message_acks.ack_rank END DESC,
                            CASE WHEN message_acks.ack_rank IN (?2, ?3) THEN message_acks.last_received_at END DESC,
                            message_acks.ack_rank DESC,
                            message_acks.ack DESC
                    ) AS place,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= ?4) OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                    ) AS delivered_at,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= ?5) OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                    ) AS read_at
                FROM jsonb_each(?1) AS key
                CROSS JOIN message_acks
                    ON message_acks.instance_id = key.value ->> 'instance_id'
                    AND message_acks.message_id = key.value ->> 'id'
            ) AS stated
            WHERE stated.place = 1 AND stated.ack_rank > 0
            "#,
            json(messages),
            ack::SENT,
            ack::FAILED,
            ack::DELIVERED,
            ack::READ,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(AckRaise::from).collect())
    }

    async fn raise_acks(&mut self, raises: &[AckRaise]) -> Result<u64, StoreError> {
        let due = sqlx::query_as!(
            DueAck,
            r#"
            WITH stated AS MATERIALIZED (
                SELECT
                    known.instance_id,
                    known.id,
                    known.ack AS known_ack,
                    known.ack_rank AS known_rank,
                    known.delivered_at AS known_delivered_at,
                    known.read_at AS known_read_at,
                    key.value ->> 'ack' AS ack,
                    key.value ->> 'rank' AS ack_rank,
                    CASE WHEN known.ack_rank IN (?2, ?3) AND key.value ->> 'rank' IN (?2, ?3) THEN
                        (key.value ->> 'stated_at', key.value ->> 'rank', key.value ->> 'ack') > (
                            SELECT message_acks.last_received_at, known.ack_rank, known.ack
                            FROM message_acks
                            WHERE message_acks.instance_id = known.instance_id
                                AND message_acks.message_id = known.id
                                AND message_acks.ack = known.ack
                        )
                    ELSE
                        (key.value ->> 'rank', key.value ->> 'ack') > (known.ack_rank, known.ack)
                    END AS is_greater,
                    coalesce(
                        min(known.delivered_at, key.value ->> 'delivered_at'),
                        known.delivered_at,
                        key.value ->> 'delivered_at'
                    ) AS delivered_at,
                    coalesce(
                        min(known.read_at, key.value ->> 'read_at'), known.read_at, key.value ->> 'read_at'
                    ) AS read_at
                FROM jsonb_each(?1) AS key
                CROSS JOIN messages AS known
                    ON known.instance_id = key.value ->> 'instance_id' AND known.id = key.value ->> 'message_id'
            )
            SELECT
                instance_id AS "instance_id!: String",
                id AS "id!: String",
                CASE WHEN is_greater THEN ack ELSE known_ack END AS "ack!: String",
                CASE WHEN is_greater THEN ack_rank ELSE known_rank END AS "ack_rank!: i64",
                delivered_at AS "delivered_at: String",
                read_at AS "read_at: String"
            FROM stated
            WHERE is_greater OR delivered_at IS NOT known_delivered_at OR read_at IS NOT known_read_at
            "#,
            json(raises),
            ack::SENT,
            ack::FAILED,
        );
        let due = due.fetch_all(&mut *self).await?;
        write_acks(self, due).await
    }
}

/// Writes the new acks of existing messages, and returns how many were not written. SQLite cannot count the rows that
/// it updates within the same statement.
async fn write_acks(connection: &mut SqliteConnection, due: Vec<DueAck>) -> Result<u64, StoreError> {
    if due.is_empty() {
        return Ok(0);
    }
    let (count, due) = (due.len() as u64, json(due));
    let written = sqlx::query!(
        r#"
        UPDATE messages
        SET ack = due.value ->> 'ack',
            ack_rank = due.value ->> 'ack_rank',
            delivered_at = due.value ->> 'delivered_at',
            read_at = due.value ->> 'read_at'
        FROM jsonb_each(?1) AS due
        WHERE messages.instance_id = due.value ->> 'instance_id' AND messages.id = due.value ->> 'id'
        "#,
        due,
    );
    Ok(count.abs_diff(written.execute(connection).await?.rows_affected()))
}
