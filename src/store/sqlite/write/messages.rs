use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{json, outgoing_with_ids};
use crate::write::messages::{
    CopyColumns, CopyPage, ENOUGH_OF_A_TEXT, ENOUGH_OF_A_URL, IfPresent, MessageColumns, MessageRows, TextColumns,
    WordedMessage,
};
use domain::instance::InstanceId;
use domain::message::fold::{CopySizes, MAX_FOLDED_BYTES, MAX_FOLDED_COPIES, RecordedMessage};
use domain::message::{Message, MessageKey};
use domain::time::timestamp::Timestamp;

#[async_trait]
impl MessageRows for SqliteConnection {
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError> {
        let rows = json(messages.iter().map(MessageColumns::from));
        let replace = present == IfPresent::Overlay;
        let written = sqlx::query_as!(
            MessageKey,
            r#"
            INSERT INTO messages (
                instance_id, id, chat_id, stated_chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, kind,
                is_group, quoted_message_id, reaction, media_url, file_name, latitude, longitude, vcard, status, group_sender,
                received_at, occurred_at, seq, event_seq, last_sent_at, is_service, edited_at, edited_sent_at,
                revoked_at, revoked_sent_at, revoked_seq, ack, ack_rank
            )
            SELECT
                value ->> 'instance_id', value ->> 'id', value ->> 'chat_id', value ->> 'stated_chat_id',
                value ->> 'from_id', value ->> 'to_id',
                value ->> 'from_me', value ->> 'sender_name', value ->> 'body', value ->> 'type', value ->> 'sent_at',
                value ->> 'kind', value ->> 'is_group', value ->> 'quoted_message_id', value ->> 'reaction',
                value ->> 'media_url', value ->> 'file_name', value ->> 'latitude', value ->> 'longitude', value ->> 'vcard', value ->> 'status',
                value ->> 'group_sender', value ->> 'received_at', value ->> 'occurred_at', value ->> 'seq', value ->> 'event_seq',
                value ->> 'last_sent_at', value ->> 'is_service', value ->> 'edited_at', value ->> 'edited_sent_at',
                value ->> 'revoked_at', value ->> 'revoked_sent_at', value ->> 'revoked_seq', value ->> 'ack',
                value ->> 'ack_rank'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, id) DO UPDATE
            SET chat_id = excluded.chat_id,
                stated_chat_id = excluded.stated_chat_id,
                from_id = coalesce(excluded.from_id, messages.from_id),
                to_id = coalesce(excluded.to_id, messages.to_id),
                from_me = excluded.from_me,
                sender_name = coalesce(excluded.sender_name, messages.sender_name),
                body = coalesce(excluded.body, messages.body),
                type = coalesce(excluded.type, messages.type),
                sent_at = excluded.sent_at,
                kind = excluded.kind,
                is_group = excluded.is_group,
                quoted_message_id = coalesce(excluded.quoted_message_id, messages.quoted_message_id),
                reaction = coalesce(excluded.reaction, messages.reaction),
                media_url = coalesce(excluded.media_url, messages.media_url),
                file_name = coalesce(excluded.file_name, messages.file_name),
                latitude = coalesce(excluded.latitude, messages.latitude),
                longitude = coalesce(excluded.longitude, messages.longitude),
                vcard = coalesce(excluded.vcard, messages.vcard),
                status = coalesce(excluded.status, messages.status),
                group_sender = coalesce(excluded.group_sender, messages.group_sender),
                received_at = excluded.received_at,
                occurred_at = excluded.occurred_at,
                seq = excluded.seq,
                event_seq = excluded.event_seq,
                last_sent_at = excluded.last_sent_at,
                is_service = excluded.is_service,
                edited_at = excluded.edited_at,
                edited_sent_at = excluded.edited_sent_at,
                revoked_at = excluded.revoked_at,
                revoked_sent_at = excluded.revoked_sent_at,
                revoked_seq = excluded.revoked_seq
            WHERE ?2
            RETURNING instance_id AS "instance_id!: InstanceId", id AS "id!: String"
            "#,
            rows,
            replace,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().collect())
    }

    async fn recorded(&mut self, messages: &[MessageKey]) -> Result<Vec<RecordedMessage>, StoreError> {
        Ok(sqlx::query_as!(
            RecordedMessage,
            r#"
            SELECT
                messages.instance_id AS "instance_id!: InstanceId",
                messages.id AS "id!: String",
                messages.chat_id AS "chat_id: String",
                messages.stated_chat_id AS "stated_chat_id: String",
                messages.from_id AS "from_id: String",
                messages.to_id AS "to_id: String",
                messages.from_me AS "from_me!: bool",
                messages.sender_name AS "sender_name: String",
                messages.sent_at AS "sent_at: Timestamp",
                messages.is_group AS "is_group!: bool",
                messages.received_at AS "received_at!: Timestamp",
                messages.seq AS "seq!: i64",
                messages.event_seq AS "event_seq!: i64",
                messages.last_sent_at AS "last_sent_at: Timestamp",
                messages.is_service AS "is_service!: bool",
                messages.edited_at AS "edited_at: Timestamp",
                messages.edited_sent_at AS "edited_sent_at: Timestamp",
                messages.revoked_at AS "revoked_at: Timestamp",
                messages.revoked_sent_at AS "revoked_sent_at: Timestamp",
                messages.revoked_seq AS "revoked_seq: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            "#,
            json(messages),
        )
        .fetch_all(self)
        .await?)
    }

    async fn texts(&mut self, messages: &[MessageKey]) -> Result<Vec<TextColumns>, StoreError> {
        Ok(sqlx::query_as!(
            TextColumns,
            r#"
            SELECT
                messages.instance_id AS "instance_id!: InstanceId",
                messages.id AS "id!: String",
                substr(messages.body, 1, ?2) AS "body: String",
                messages.file_name AS "file_name: String",
                substr(messages.media_url, 1, ?3) AS "media_url: String",
                substr(messages.vcard, 1, ?2) AS "vcard: String"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            "#,
            json(messages),
            ENOUGH_OF_A_TEXT,
            ENOUGH_OF_A_URL,
        )
        .fetch_all(self)
        .await?)
    }

    async fn reworded(&mut self, messages: &[&Message]) -> Result<HashSet<MessageKey>, StoreError> {
        let keys = sqlx::query_as!(
            MessageKey,
            r#"
            SELECT messages.instance_id AS "instance_id!: InstanceId", messages.id AS "id!: String"
            FROM jsonb_each(?1) AS worded
            CROSS JOIN messages
                ON messages.instance_id = worded.value ->> 'instance_id' AND messages.id = worded.value ->> 'id'
            WHERE messages.body <> worded.value ->> 'body'
            "#,
            json(messages.iter().map(WordedMessage::from)),
        )
        .fetch_all(self)
        .await?;
        Ok(keys.into_iter().collect())
    }

    async fn empty_messages(&mut self, messages: &[MessageKey]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            UPDATE messages
            SET chat_id = NULL, from_id = NULL, to_id = NULL, sender_name = NULL, body = NULL, type = NULL,
                quoted_message_id = NULL, reaction = NULL, media_url = NULL, file_name = NULL, latitude = NULL, longitude = NULL,
                vcard = NULL, status = NULL, group_sender = NULL
            WHERE (instance_id, id) IN (SELECT value ->> 'instance_id', value ->> 'id' FROM jsonb_each(?1))
            "#,
            json(messages),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    /// SQLite stores the length of a body at the beginning of its row, where the other columns of this query are too.
    /// So the body itself is not read.
    async fn copy_sizes(&mut self, messages: &[MessageKey]) -> Result<Vec<(MessageKey, CopySizes)>, StoreError> {
        let keys = json(messages);
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
                            SELECT length(events.body) - coalesce(events.file_bytes, 0) AS size
                            FROM events
                            WHERE events.instance_id = key.value ->> 'instance_id'
                                AND events.message_id = key.value ->> 'id'
                                AND events.event_type
                                    IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
                            LIMIT ?2
                        ) AS counted
                    ) AS sizes
                FROM jsonb_each(?1) AS key
            )
            SELECT
                instance_id AS "instance_id!: InstanceId",
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
            let key = MessageKey { instance_id: row.instance_id, id: row.id };
            (key, CopySizes { copies: row.copies, bytes: row.bytes })
        });
        Ok(sizes.collect())
    }

    async fn copies(&mut self, messages: &[MessageKey], after: i64, last: i64) -> Result<CopyPage, StoreError> {
        let rows = sqlx::query_as!(
            CopyColumns,
            r#"
            WITH sized AS MATERIALIZED (
                SELECT events.seq, coalesce(length(events.body), 0) AS size
                FROM jsonb_each(?1) AS key
                CROSS JOIN events
                    ON events.instance_id = key.value ->> 'instance_id' AND events.message_id = key.value ->> 'id'
                WHERE events.event_type
                        IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
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
                events.instance_id AS "instance_id!: InstanceId",
                events.body AS "body: Vec<u8>",
                events.received_at AS "received_at!: Timestamp",
                events.seq AS "seq!: i64",
                events.state AS "state!: String"
            FROM summed
            CROSS JOIN events ON events.seq = summed.seq
            WHERE summed.bytes <= ?4 OR summed.place = 1
            ORDER BY events.seq
            "#,
            json(messages),
            after,
            last,
            MAX_FOLDED_BYTES,
        )
        .fetch_all(self)
        .await?;
        Ok(CopyPage::from(rows))
    }

    async fn outgoing_with_ids(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
        outgoing_with_ids(self, ids).await
    }
}
