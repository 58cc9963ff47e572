use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::{column, keys, outgoing_with_ids, rows};
use crate::write::messages::{
    CopyColumns, CopyPage, ENOUGH_OF_A_TEXT, ENOUGH_OF_A_URL, IfPresent, MessageColumns, MessageRows, TextColumns,
    WordedMessage,
};
use domain::instance::InstanceId;
use domain::message::fold::{CopySizes, MAX_FOLDED_BYTES, MAX_FOLDED_COPIES, RecordedMessage};
use domain::message::{Message, MessageKey};
use domain::time::timestamp::Timestamp;

#[async_trait]
impl MessageRows for PgConnection {
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError> {
        let rows = rows::<MessageColumns<'_>, _>(messages);
        let written = sqlx::query_as!(
            MessageKey,
            r#"
            INSERT INTO messages (
                instance_id, id, chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, kind,
                is_group, quoted_message_id, reaction, media_url, latitude, longitude, vcard, status, group_sender,
                received_at, occurred_at, seq, event_seq, last_sent_at, is_service, edited_at, edited_sent_at,
                revoked_at, revoked_sent_at, revoked_seq, ack, ack_rank, file_name, stated_chat_id
            )
            SELECT new.*
            FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[], $11::text[], $12::bool[], $13::text[], $14::text[], $15::text[],
                $16::float8[], $17::float8[], $18::text[], $19::text[], $20::text[], $21::timestamptz[],
                $22::timestamptz[], $23::int8[], $24::int8[], $25::timestamptz[], $26::bool[], $27::timestamptz[],
                $28::timestamptz[], $29::timestamptz[], $30::timestamptz[], $31::int8[], $32::text[], $33::int2[],
                $34::text[], $35::text[]
            ) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
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
            WHERE $36
            RETURNING instance_id AS "instance_id: InstanceId", id
            "#,
            column(&rows, |row| row.instance_id) as _,
            column(&rows, |row| row.id) as _,
            column(&rows, |row| row.chat_id) as _,
            column(&rows, |row| row.from_id) as _,
            column(&rows, |row| row.to_id) as _,
            &column(&rows, |row| row.from_me),
            column(&rows, |row| row.sender_name) as _,
            column(&rows, |row| row.body) as _,
            column(&rows, |row| row.r#type) as _,
            column(&rows, |row| row.sent_at) as _,
            column(&rows, |row| row.kind) as _,
            &column(&rows, |row| row.is_group),
            column(&rows, |row| row.quoted_message_id) as _,
            column(&rows, |row| row.reaction) as _,
            column(&rows, |row| row.media_url) as _,
            column(&rows, |row| row.latitude) as _,
            column(&rows, |row| row.longitude) as _,
            column(&rows, |row| row.vcard) as _,
            column(&rows, |row| row.status) as _,
            column(&rows, |row| row.group_sender) as _,
            column(&rows, |row| row.received_at) as _,
            column(&rows, |row| row.occurred_at) as _,
            &column(&rows, |row| row.seq),
            &column(&rows, |row| row.event_seq),
            column(&rows, |row| row.last_sent_at) as _,
            &column(&rows, |row| row.is_service),
            column(&rows, |row| row.edited_at) as _,
            column(&rows, |row| row.edited_sent_at) as _,
            column(&rows, |row| row.revoked_at) as _,
            column(&rows, |row| row.revoked_sent_at) as _,
            column(&rows, |row| row.revoked_seq) as _,
            column(&rows, |row| row.ack) as _,
            &column(&rows, |row| row.ack_rank),
            column(&rows, |row| row.file_name) as _,
            column(&rows, |row| row.stated_chat_id) as _,
            present == IfPresent::Overlay,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().collect())
    }

    async fn recorded(&mut self, messages: &[MessageKey]) -> Result<Vec<RecordedMessage>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        Ok(sqlx::query_as!(
            RecordedMessage,
            r#"
            SELECT
                messages.instance_id AS "instance_id: InstanceId", messages.id, messages.chat_id,
                messages.stated_chat_id, messages.from_id,
                messages.to_id, messages.from_me, messages.sender_name, messages.sent_at AS "sent_at: Timestamp", messages.is_group,
                messages.received_at AS "received_at: Timestamp", messages.seq, messages.event_seq,
                messages.last_sent_at AS "last_sent_at: Timestamp", messages.is_service,
                messages.edited_at AS "edited_at: Timestamp", messages.edited_sent_at AS "edited_sent_at: Timestamp",
                messages.revoked_at AS "revoked_at: Timestamp",
                messages.revoked_sent_at AS "revoked_sent_at: Timestamp", messages.revoked_seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN messages ON messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            instance_ids as _,
            ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn texts(&mut self, messages: &[MessageKey]) -> Result<Vec<TextColumns>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        Ok(sqlx::query_as!(
            TextColumns,
            r#"
            SELECT
                messages.instance_id AS "instance_id: InstanceId",
                messages.id,
                left(messages.body, $3) AS body,
                messages.file_name,
                left(messages.media_url, $4) AS media_url,
                left(messages.vcard, $3) AS vcard
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN messages ON messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            instance_ids as _,
            ids as _,
            ENOUGH_OF_A_TEXT,
            ENOUGH_OF_A_URL,
        )
        .fetch_all(self)
        .await?)
    }

    async fn reworded(&mut self, messages: &[&Message]) -> Result<HashSet<MessageKey>, StoreError> {
        let rows = Vec::from_iter(messages.iter().map(WordedMessage::from));
        let keys = sqlx::query_as!(
            MessageKey,
            r#"
            SELECT messages.instance_id AS "instance_id: InstanceId", messages.id
            FROM unnest($1::text[], $2::text[], $3::text[]) AS worded (instance_id, id, body)
            JOIN messages ON messages.instance_id = worded.instance_id AND messages.id = worded.id
            WHERE messages.body <> worded.body
            "#,
            column(&rows, |row| row.instance_id) as _,
            column(&rows, |row| row.id) as _,
            column(&rows, |row| row.body) as _,
        )
        .fetch_all(self)
        .await?;
        Ok(keys.into_iter().collect())
    }

    async fn empty_messages(&mut self, messages: &[MessageKey]) -> Result<u64, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let written = sqlx::query!(
            r#"
            UPDATE messages
            SET chat_id = NULL, from_id = NULL, to_id = NULL, sender_name = NULL, body = NULL, type = NULL,
                quoted_message_id = NULL, reaction = NULL, media_url = NULL, file_name = NULL, latitude = NULL, longitude = NULL,
                vcard = NULL, status = NULL, group_sender = NULL
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            instance_ids as _,
            ids as _,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn copy_sizes(&mut self, messages: &[MessageKey]) -> Result<Vec<(MessageKey, CopySizes)>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query!(
            r#"
            SELECT
                key.instance_id AS "instance_id!: InstanceId",
                key.id AS "id!",
                sizes.copies AS "copies!",
                sizes.bytes AS "bytes!"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            CROSS JOIN LATERAL (
                SELECT count(*) AS copies, coalesce(sum(counted.size), 0)::int8 AS bytes
                FROM (
                    SELECT octet_length(events.body) - coalesce(events.file_bytes, 0) AS size
                    FROM events
                    WHERE events.instance_id = key.instance_id
                        AND events.message_id = key.id
                        AND events.event_type
                            IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
                    LIMIT $3
                ) AS counted
            ) AS sizes
            "#,
            instance_ids as _,
            ids as _,
            MAX_FOLDED_COPIES + 1,
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
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query_as!(
            CopyColumns,
            r#"
            WITH sized AS MATERIALIZED (
                SELECT events.seq, coalesce(octet_length(events.body), 0) AS size
                FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
                JOIN events ON events.instance_id = key.instance_id AND events.message_id = key.id
                WHERE events.event_type
                    IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
            ),
            summed AS MATERIALIZED (
                SELECT
                    seq,
                    sum(size) OVER (ORDER BY seq) AS bytes,
                    row_number() OVER (ORDER BY seq) AS place
                FROM sized
                WHERE seq > $3 AND seq <= $4
            )
            SELECT
                events.instance_id AS "instance_id: InstanceId", events.body,
                events.received_at AS "received_at: Timestamp", events.seq, events.state
            FROM summed
            JOIN events ON events.seq = summed.seq
            WHERE summed.bytes <= $5 OR summed.place = 1
            ORDER BY events.seq
            "#,
            instance_ids as _,
            ids as _,
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
