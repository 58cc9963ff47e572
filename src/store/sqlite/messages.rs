use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{json, keys, timestamp};
use crate::domain::ack;
use crate::domain::chat::Place;
use crate::domain::instance::InstanceId;
use crate::domain::message::{LedgerCopy, Message, MessageKey};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::messages::{IfPresent, MessageRows};

/// A row of `messages`.
#[derive(Serialize)]
struct MessageRow<'m> {
    instance_id: &'m str,
    id: &'m str,
    chat_id: Option<&'m str>,
    from_id: Option<&'m str>,
    to_id: Option<&'m str>,
    from_me: bool,
    sender_name: Option<&'m str>,
    body: Option<&'m str>,
    r#type: Option<&'m str>,
    sent_at: Option<String>,
    is_group: bool,
    quoted_message_id: Option<&'m str>,
    reaction: Option<&'m str>,
    media_url: Option<&'m str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    vcard: Option<&'m str>,
    status: Option<&'m str>,
    group_sender: Option<&'m str>,
    received_at: String,
    occurred_at: String,
    event_seq: i64,
    ack: &'m str,
    ack_rank: i16,
}

impl<'m> From<&'m Message> for MessageRow<'m> {
    fn from(message: &'m Message) -> Self {
        let fields = &message.fields;
        Self {
            instance_id: message.instance_id.as_str(),
            id: &message.id,
            chat_id: fields.chat_id.as_deref(),
            from_id: fields.from_id.as_deref(),
            to_id: fields.to_id.as_deref(),
            from_me: fields.from_me,
            sender_name: fields.sender_name.as_deref(),
            body: fields.body.as_deref(),
            r#type: fields.kind.as_deref(),
            sent_at: fields.sent_at.map(Timestamp::to_rfc3339),
            is_group: message.is_group(),
            quoted_message_id: fields.quoted_message_id.as_deref(),
            reaction: fields.reaction.as_deref(),
            media_url: fields.media_url.as_deref(),
            latitude: fields.location.map(|at| at.latitude),
            longitude: fields.location.map(|at| at.longitude),
            vcard: fields.vcard.as_deref(),
            status: fields.status.as_deref(),
            group_sender: fields.group_sender.as_deref(),
            received_at: message.received_at.to_rfc3339(),
            occurred_at: message.occurred_at().to_rfc3339(),
            event_seq: message.event_seq,
            ack: &message.ack.ack,
            ack_rank: message.ack.rank,
        }
    }
}

#[async_trait]
impl MessageRows for SqliteConnection {
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError> {
        let rows = json(messages.iter().map(MessageRow::from));
        let replace = present == IfPresent::Replace;
        let written = sqlx::query!(
            r#"
            INSERT INTO messages (
                instance_id, id, chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, is_group,
                quoted_message_id, reaction, media_url, latitude, longitude, vcard, status, group_sender,
                received_at, occurred_at, event_seq, ack, ack_rank
            )
            SELECT
                value ->> 'instance_id',
                value ->> 'id',
                value ->> 'chat_id',
                value ->> 'from_id',
                value ->> 'to_id',
                value ->> 'from_me',
                value ->> 'sender_name',
                value ->> 'body',
                value ->> 'type',
                value ->> 'sent_at',
                value ->> 'is_group',
                value ->> 'quoted_message_id',
                value ->> 'reaction',
                value ->> 'media_url',
                value ->> 'latitude',
                value ->> 'longitude',
                value ->> 'vcard',
                value ->> 'status',
                value ->> 'group_sender',
                value ->> 'received_at',
                value ->> 'occurred_at',
                value ->> 'event_seq',
                value ->> 'ack',
                value ->> 'ack_rank'
            FROM jsonb_each(?1)
            WHERE true
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
            WHERE ?2
            RETURNING instance_id AS "instance_id!: String", id AS "id!: String"
            "#,
            rows,
            replace,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }

    async fn copies(&mut self, messages: &[MessageKey]) -> Result<Vec<LedgerCopy>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT
                events.instance_id AS "instance_id!: String",
                events.body AS "body!: Vec<u8>",
                events.body_sha256 AS "body_sha256!: Vec<u8>",
                events.received_at AS "received_at!: String",
                events.seq AS "seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN events
                ON events.instance_id = key.value ->> 'instance_id' AND events.message_id = key.value ->> 'id'
            WHERE events.event_type IN ('message_received', 'message_sent')
                AND events.state = 'applied'
                AND events.body IS NOT NULL
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        let mut copies = Vec::with_capacity(rows.len());
        for row in rows {
            let instance_id = InstanceId::from_store(&row.instance_id);
            let received_at = timestamp(&row.received_at)?;
            copies.extend(LedgerCopy::of_ledger(instance_id, &row.body, &row.body_sha256, received_at, row.seq));
        }
        Ok(copies)
    }

    async fn places(&mut self, messages: &[MessageKey]) -> Result<Vec<(MessageKey, Place)>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT
                messages.instance_id AS "instance_id!: String",
                messages.id AS "id!: String",
                messages.chat_id AS "chat_id: String",
                messages.occurred_at AS "occurred_at!: String",
                messages.from_me AS "from_me!: bool"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        let places = rows.into_iter().map(|row| {
            let occurred_at = timestamp(&row.occurred_at)?;
            let place = Place { chat_id: row.chat_id, occurred_at, from_me: row.from_me };
            Ok(((InstanceId::from_store(&row.instance_id), row.id), place))
        });
        places.collect()
    }

    async fn outgoing_with_ids(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
        let ids = json(ids);
        let rows = sqlx::query!(
            r#"
            SELECT instance_id AS "instance_id!: String", id AS "id!: String"
            FROM messages
            WHERE from_me AND id IN (SELECT value FROM jsonb_each(?1)) AND instance_id <> '-'
            "#,
            ids,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }

    async fn raise_acks(&mut self, messages: &[MessageKey]) -> Result<(), StoreError> {
        let keys = keys(messages);
        sqlx::query!(
            r#"
            UPDATE messages
            SET ack = stated.ack,
                ack_rank = stated.ack_rank,
                delivered_at = stated.delivered_at,
                read_at = stated.read_at
            FROM (
                SELECT
                    message_acks.instance_id, message_acks.message_id, message_acks.ack, message_acks.ack_rank,
                    row_number() OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                        ORDER BY message_acks.ack_rank DESC, message_acks.ack DESC
                    ) AS place,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= ?2) OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                    ) AS delivered_at,
                    min(message_acks.received_at) FILTER (WHERE message_acks.ack_rank >= ?3) OVER (
                        PARTITION BY message_acks.instance_id, message_acks.message_id
                    ) AS read_at
                FROM jsonb_each(?1) AS key
                CROSS JOIN message_acks
                    ON message_acks.instance_id = key.value ->> 'instance_id'
                    AND message_acks.message_id = key.value ->> 'id'
            ) AS stated
            WHERE stated.place = 1
                AND messages.instance_id = stated.instance_id
                AND messages.id = stated.message_id
                AND stated.ack_rank > 0
                AND (stated.ack_rank, stated.ack) >= (messages.ack_rank, messages.ack)
                AND (
                    stated.ack <> messages.ack
                    OR stated.ack_rank <> messages.ack_rank
                    OR stated.delivered_at IS NOT messages.delivered_at
                    OR stated.read_at IS NOT messages.read_at
                )
            "#,
            keys,
            ack::DELIVERED,
            ack::READ,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
