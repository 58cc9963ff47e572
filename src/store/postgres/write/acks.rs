use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::{column, keys, rows};
use crate::write::acks::{AckColumns, AckRows, RaiseColumns};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::ack::{self, AckRaise, MessageAck};
use domain::time::timestamp::Timestamp;

#[async_trait]
impl AckRows for PgConnection {
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<u64, StoreError> {
        let rows = rows::<AckColumns<'_>, _>(acks);
        let written = sqlx::query!(
            r#"
            INSERT INTO message_acks (instance_id, message_id, ack, ack_rank, received_at, last_received_at)
            SELECT new.*
            FROM unnest($1::text[], $2::text[], $3::text[], $4::int2[], $5::timestamptz[], $6::timestamptz[]) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, message_id, ack) DO UPDATE
            SET received_at = least(message_acks.received_at, excluded.received_at),
                last_received_at = greatest(message_acks.last_received_at, excluded.last_received_at)
            "#,
            column(&rows, |row| row.instance_id) as _,
            column(&rows, |row| row.message_id) as _,
            column(&rows, |row| row.ack) as _,
            &column(&rows, |row| row.ack_rank),
            column(&rows, |row| row.received_at) as _,
            column(&rows, |row| row.last_received_at) as _,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn acked(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageKey>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        Ok(sqlx::query_as!(
            MessageKey,
            r#"
            SELECT key.instance_id AS "instance_id!: InstanceId", key.id AS "id!"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE EXISTS (
                SELECT
                FROM message_acks
                WHERE message_acks.instance_id = key.instance_id AND message_acks.message_id = key.id
            )
            "#,
            instance_ids as _,
            ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError> {
        Ok(sqlx::query_as!(
            MessageAck,
            r#"
            SELECT
                instance_id AS "instance_id: InstanceId",
                message_id,
                ack,
                received_at AS "received_at: Timestamp",
                last_received_at AS "last_received_at: Timestamp"
            FROM message_acks
            WHERE instance_id = '-' AND message_id = ANY($1)
            "#,
            message_ids,
        )
        .fetch_all(self)
        .await?)
    }

    async fn stated_raises(&mut self, messages: &[MessageKey]) -> Result<Vec<AckRaise>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query_as!(
            RaiseColumns,
            r#"
            SELECT
                stated.instance_id AS "instance_id!: InstanceId",
                stated.message_id AS "message_id!",
                stated.ack AS "ack!",
                stated.ack_rank AS "ack_rank!",
                stated.last_received_at AS "stated_at!: Timestamp",
                stated.delivered_at AS "delivered_at: Timestamp",
                stated.read_at AS "read_at: Timestamp"
            FROM (
                SELECT
                    message_acks.*,
                    row_number() OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                        ORDER BY
                            CASE message_acks.ack_rank WHEN $3 THEN $4 ELSE message_acks.ack_rank END DESC,
                            CASE WHEN message_acks.ack_rank IN ($3, $4) THEN message_acks.last_received_at END DESC,
                            message_acks.ack_rank DESC,
                            message_acks.ack DESC
                    ) AS place,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= $5) OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                    ) AS delivered_at,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= $6) OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                    ) AS read_at
                FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
                JOIN message_acks
                    ON message_acks.instance_id = key.instance_id
                    AND message_acks.message_id = key.id
            ) AS stated
            WHERE stated.place = 1 AND stated.ack_rank > 0
            "#,
            instance_ids as _,
            ids as _,
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
        let missed = sqlx::query_scalar!(
            r#"
            WITH due AS MATERIALIZED (
                SELECT
                    messages.instance_id,
                    messages.id,
                    CASE WHEN compared.is_greater THEN stated.ack ELSE messages.ack END AS ack,
                    CASE WHEN compared.is_greater THEN stated.ack_rank ELSE messages.ack_rank END AS ack_rank,
                    least(messages.delivered_at, stated.delivered_at) AS delivered_at,
                    least(messages.read_at, stated.read_at) AS read_at
                FROM unnest(
                    $1::text[], $2::text[], $3::text[], $4::int2[], $5::timestamptz[], $6::timestamptz[],
                    $7::timestamptz[]
                ) AS stated (instance_id, message_id, ack, ack_rank, stated_at, delivered_at, read_at)
                JOIN messages ON messages.instance_id = stated.instance_id AND messages.id = stated.message_id
                CROSS JOIN LATERAL (
                    SELECT
                        CASE WHEN messages.ack_rank IN ($8, $9) AND stated.ack_rank IN ($8, $9) THEN
                            (stated.stated_at, stated.ack_rank, stated.ack) > (
                                SELECT message_acks.last_received_at, messages.ack_rank, messages.ack
                                FROM message_acks
                                WHERE message_acks.instance_id = messages.instance_id
                                    AND message_acks.message_id = messages.id
                                    AND message_acks.ack = messages.ack
                            )
                        ELSE
                            (stated.ack_rank, stated.ack) > (messages.ack_rank, messages.ack)
                        END AS is_greater
                ) AS compared
                WHERE compared.is_greater
                    OR least(messages.delivered_at, stated.delivered_at) IS DISTINCT FROM messages.delivered_at
                    OR least(messages.read_at, stated.read_at) IS DISTINCT FROM messages.read_at
            ),
            raised AS (
                UPDATE messages
                SET ack = due.ack,
                    ack_rank = due.ack_rank,
                    delivered_at = due.delivered_at,
                    read_at = due.read_at
                FROM due
                WHERE messages.instance_id = due.instance_id AND messages.id = due.id
                RETURNING messages.id
            )
            SELECT (SELECT count(*) FROM due) - (SELECT count(*) FROM raised) AS "missed!"
            "#,
            column(raises, |it| &it.instance_id) as _,
            column(raises, |it| it.message_id.as_str()) as _,
            column(raises, |it| it.status.ack.as_str()) as _,
            &column(raises, |it| it.status.rank),
            column(raises, |it| it.status.stated_at) as _,
            column(raises, |it| it.delivered_at) as _,
            column(raises, |it| it.read_at) as _,
            ack::SENT,
            ack::FAILED,
        )
        .fetch_one(self)
        .await?;
        Ok(missed.unsigned_abs())
    }
}
