use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{json, keys, timestamp};
use crate::write::messages::{CopyPage, CopyRow, ENOUGH_OF_A_BODY, IfPresent, MessageRows};
use domain::instance::InstanceId;
use domain::message::{CopySizes, MAX_FOLDED_BYTES, MAX_FOLDED_COPIES, Message, MessageKey, RecordedMessage};
use domain::time::timestamp::Timestamp;

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
        let replace = present == IfPresent::Overlay;
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
            SET chat_id = coalesce(excluded.chat_id, messages.chat_id),
                from_id = coalesce(excluded.from_id, messages.from_id),
                to_id = coalesce(excluded.to_id, messages.to_id),
                from_me = excluded.from_me,
                sender_name = coalesce(excluded.sender_name, messages.sender_name),
                body = coalesce(excluded.body, messages.body),
                type = coalesce(excluded.type, messages.type),
                sent_at = coalesce(excluded.sent_at, messages.sent_at),
                is_group = excluded.is_group,
                quoted_message_id = coalesce(excluded.quoted_message_id, messages.quoted_message_id),
                reaction = coalesce(excluded.reaction, messages.reaction),
                media_url = coalesce(excluded.media_url, messages.media_url),
                latitude = coalesce(excluded.latitude, messages.latitude),
                longitude = coalesce(excluded.longitude, messages.longitude),
                vcard = coalesce(excluded.vcard, messages.vcard),
                status = coalesce(excluded.status, messages.status),
                group_sender = coalesce(excluded.group_sender, messages.group_sender),
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
        Ok(written
            .into_iter()
            .map(|row| MessageKey { instance_id: InstanceId::from_store(&row.instance_id), id: row.id })
            .collect())
    }

    async fn recorded(&mut self, messages: &[MessageKey]) -> Result<Vec<RecordedMessage>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT
                messages.instance_id AS "instance_id!: String",
                messages.id AS "id!: String",
                messages.chat_id AS "chat_id: String",
                messages.from_me AS "from_me!: bool",
                messages.sender_name AS "sender_name: String",
                messages.sent_at AS "sent_at: String",
                messages.is_group AS "is_group!: bool",
                messages.received_at AS "received_at!: String",
                messages.event_seq AS "event_seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        let recorded = rows.into_iter().map(|row| {
            Ok(RecordedMessage {
                instance_id: InstanceId::from_store(&row.instance_id),
                id: row.id,
                chat_id: row.chat_id,
                from_me: row.from_me,
                sender_name: row.sender_name,
                sent_at: row.sent_at.as_deref().map(timestamp).transpose()?,
                is_group: row.is_group,
                received_at: timestamp(&row.received_at)?,
                event_seq: row.event_seq,
            })
        });
        recorded.collect()
    }

    async fn beginnings(&mut self, messages: &[MessageKey]) -> Result<Vec<(MessageKey, String)>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT
                messages.instance_id AS "instance_id!: String",
                messages.id AS "id!: String",
                substr(messages.body, 1, ?2) AS "body!: String"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            WHERE messages.body IS NOT NULL
            "#,
            keys,
            ENOUGH_OF_A_BODY,
        )
        .fetch_all(self)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (MessageKey { instance_id: InstanceId::from_store(&row.instance_id), id: row.id }, row.body))
            .collect())
    }

    async fn body_hashes(&mut self, seqs: &[i64]) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
        let seqs = json(seqs);
        let rows = sqlx::query!(
            r#"
            SELECT seq AS "seq!: i64", body_sha256 AS "body_sha256!: Vec<u8>"
            FROM events
            WHERE seq IN (SELECT value FROM jsonb_each(?1))
            "#,
            seqs,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(|row| (row.seq, row.body_sha256)).collect())
    }

    /// The length of a body stands at the beginning of its row, and so do the columns that are asked for: no more of it is
    /// read.
    async fn copy_sizes(&mut self, messages: &[MessageKey]) -> Result<Vec<(MessageKey, CopySizes)>, StoreError> {
        let keys = keys(messages);
        let at_most = MAX_FOLDED_COPIES + 1;
        let rows = sqlx::query!(
            r#"
            WITH sized AS MATERIALIZED (
                SELECT
                    key.value ->> 'instance_id' AS instance_id,
                    key.value ->> 'id' AS id,
                    (
                        SELECT json_array(count(*), coalesce(sum(counted.size), 0))
                        FROM (
                            SELECT length(events.body) AS size
                            FROM events
                            WHERE events.instance_id = key.value ->> 'instance_id'
                                AND events.message_id = key.value ->> 'id'
                                AND events.event_type IN ('message_received', 'message_sent')
                            LIMIT ?2
                        ) AS counted
                    ) AS sizes
                FROM jsonb_each(?1) AS key
            )
            SELECT
                instance_id AS "instance_id!: String",
                id AS "id!: String",
                sizes ->> 0 AS "copies!: i64",
                sizes ->> 1 AS "bytes!: i64"
            FROM sized
            "#,
            keys,
            at_most,
        )
        .fetch_all(self)
        .await?;
        let sizes = rows.into_iter().map(|row| {
            let key = MessageKey { instance_id: InstanceId::from_store(&row.instance_id), id: row.id };
            (key, CopySizes { copies: row.copies, bytes: row.bytes })
        });
        Ok(sizes.collect())
    }

    async fn copies(&mut self, messages: &[MessageKey], after: i64, last: i64) -> Result<CopyPage, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query_as!(
            CopyRow::<String>,
            r#"
            WITH sized AS MATERIALIZED (
                SELECT events.seq, coalesce(length(events.body), 0) AS size
                FROM jsonb_each(?1) AS key
                CROSS JOIN events
                    ON events.instance_id = key.value ->> 'instance_id' AND events.message_id = key.value ->> 'id'
                WHERE events.event_type IN ('message_received', 'message_sent')
                    AND events.seq > ?2
                    AND events.seq <= ?3
            ),
            summed AS MATERIALIZED (
                SELECT
                    seq,
                    sum(size) OVER (ORDER BY seq) AS bytes,
                    row_number() OVER (ORDER BY seq) AS place
                FROM sized
            )
            SELECT
                events.instance_id AS "instance_id!: String",
                events.body AS "body: Vec<u8>",
                events.body_sha256 AS "body_sha256!: Vec<u8>",
                events.received_at AS "received_at!: String",
                events.seq AS "seq!: i64",
                events.state AS "state!: String"
            FROM summed
            CROSS JOIN events ON events.seq = summed.seq
            WHERE summed.bytes <= ?4 OR summed.place = 1
            ORDER BY events.seq
            "#,
            keys,
            after,
            last,
            MAX_FOLDED_BYTES,
        )
        .fetch_all(self)
        .await?;
        CopyPage::read(rows, |at| timestamp(&at))
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
        Ok(rows
            .into_iter()
            .map(|row| MessageKey { instance_id: InstanceId::from_store(&row.instance_id), id: row.id })
            .collect())
    }
}
