use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{column, keys};
use crate::domain::ack;
use crate::domain::chat::Place;
use crate::domain::instance::InstanceId;
use crate::domain::message::{LedgerCopy, Message, MessageKey};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::messages::{IfPresent, MessageRows};

#[async_trait]
impl MessageRows for PgConnection {
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO messages (
                instance_id, id, chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, is_group,
                quoted_message_id, reaction, media_url, latitude, longitude, vcard, status, group_sender,
                received_at, occurred_at, event_seq, ack, ack_rank
            )
            SELECT *
            FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[], $11::bool[], $12::text[], $13::text[], $14::text[], $15::float8[],
                $16::float8[], $17::text[], $18::text[], $19::text[], $20::timestamptz[], $21::timestamptz[],
                $22::int8[], $23::text[], $24::int2[]
            )
            ON CONFLICT (instance_id, id) DO UPDATE
            SET chat_id = excluded.chat_id,
                from_id = excluded.from_id,
                to_id = excluded.to_id,
                from_me = excluded.from_me,
                sender_name = excluded.sender_name,
                body = excluded.body,
                type = excluded.type,
                sent_at = excluded.sent_at,
                is_group = excluded.is_group,
                quoted_message_id = excluded.quoted_message_id,
                reaction = excluded.reaction,
                media_url = excluded.media_url,
                latitude = excluded.latitude,
                longitude = excluded.longitude,
                vcard = excluded.vcard,
                status = excluded.status,
                group_sender = excluded.group_sender,
                received_at = excluded.received_at,
                occurred_at = excluded.occurred_at,
                event_seq = excluded.event_seq
            WHERE $25
            RETURNING instance_id, id
            "#,
            column(messages, |it| it.instance_id.as_str()) as _,
            column(messages, |it| it.id.as_str()) as _,
            column(messages, |it| it.fields.chat_id.as_deref()) as _,
            column(messages, |it| it.fields.from_id.as_deref()) as _,
            column(messages, |it| it.fields.to_id.as_deref()) as _,
            &column(messages, |it| it.fields.from_me),
            column(messages, |it| it.fields.sender_name.as_deref()) as _,
            column(messages, |it| it.fields.body.as_deref()) as _,
            column(messages, |it| it.fields.kind.as_deref()) as _,
            column(messages, |it| it.fields.sent_at.map(Timestamp::to_utc)) as _,
            &column(messages, Message::is_group),
            column(messages, |it| it.fields.quoted_message_id.as_deref()) as _,
            column(messages, |it| it.fields.reaction.as_deref()) as _,
            column(messages, |it| it.fields.media_url.as_deref()) as _,
            column(messages, |it| it.fields.location.map(|at| at.latitude)) as _,
            column(messages, |it| it.fields.location.map(|at| at.longitude)) as _,
            column(messages, |it| it.fields.vcard.as_deref()) as _,
            column(messages, |it| it.fields.status.as_deref()) as _,
            column(messages, |it| it.fields.group_sender.as_deref()) as _,
            &column(messages, |it| it.received_at.to_utc()),
            &column(messages, |it| it.occurred_at().to_utc()),
            &column(messages, |it| it.event_seq),
            column(messages, |it| it.ack.ack.as_str()) as _,
            &column(messages, |it| it.ack.rank),
            present == IfPresent::Replace,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }

    async fn copies(&mut self, messages: &[MessageKey]) -> Result<Vec<LedgerCopy>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT events.instance_id, events.body AS "body!", events.body_sha256, events.received_at, events.seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN events ON events.instance_id = key.instance_id AND events.message_id = key.id
            WHERE events.event_type IN ('message_received', 'message_sent')
                AND events.state = 'applied'
                AND events.body IS NOT NULL
            "#,
            instance_ids as _,
            ids as _,
        )
        .fetch_all(self)
        .await?;
        let copies = rows.into_iter().filter_map(|row| {
            let received_at = Timestamp::from_utc(row.received_at);
            LedgerCopy::of_ledger(
                InstanceId::from_store(&row.instance_id),
                &row.body,
                &row.body_sha256,
                received_at,
                row.seq,
            )
        });
        Ok(copies.collect())
    }

    async fn places(&mut self, messages: &[MessageKey]) -> Result<Vec<(MessageKey, Place)>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT messages.instance_id, messages.id, messages.chat_id, messages.occurred_at, messages.from_me
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN messages ON messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            instance_ids as _,
            ids as _,
        )
        .fetch_all(self)
        .await?;
        let places = rows.into_iter().map(|row| {
            let occurred_at = Timestamp::from_utc(row.occurred_at);
            let place = Place { chat_id: row.chat_id, occurred_at, from_me: row.from_me };
            ((InstanceId::from_store(&row.instance_id), row.id), place)
        });
        Ok(places.collect())
    }

    async fn outgoing_with_ids(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
        let rows = sqlx::query!(
            "SELECT instance_id, id FROM messages WHERE from_me AND id = ANY($1) AND instance_id <> '-'",
            ids,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }

    async fn raise_acks(&mut self, messages: &[MessageKey]) -> Result<(), StoreError> {
        let (instance_ids, ids) = keys(messages);
        sqlx::query!(
            r#"
            UPDATE messages
            SET ack = stated.ack,
                ack_rank = stated.ack_rank,
                delivered_at = stated.delivered_at,
                read_at = stated.read_at
            FROM (
                SELECT
                    message_acks.instance_id,
                    message_acks.message_id,
                    max(message_acks.ack_rank) AS ack_rank,
                    (array_agg(message_acks.ack ORDER BY message_acks.ack_rank DESC, message_acks.ack DESC))[1] AS ack,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= $3) AS delivered_at,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= $4) AS read_at
                FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
                JOIN message_acks
                    ON message_acks.instance_id = key.instance_id
                    AND message_acks.message_id = key.id
                GROUP BY message_acks.instance_id, message_acks.message_id
            ) AS stated
            WHERE messages.instance_id = stated.instance_id
                AND messages.id = stated.message_id
                AND stated.ack_rank > 0
                AND (stated.ack_rank, stated.ack) >= (messages.ack_rank, messages.ack)
                AND (stated.ack, stated.ack_rank, stated.delivered_at, stated.read_at)
                    IS DISTINCT FROM (messages.ack, messages.ack_rank, messages.delivered_at, messages.read_at)
            "#,
            instance_ids as _,
            ids as _,
            ack::DELIVERED,
            ack::READ,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
