use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Postgres};

use crate::StoreError;
use crate::postgres::{column, keys};
use crate::read::ReadTransaction;
use crate::read::chats::{COLUMNS, ChatReport};
use crate::read::media::{JobReport, JobReportRow};
use crate::read::messages::{ACKS, MessageQueries, MessageReport, MessageReportRow, REACTIONS};
use domain::chat::ChatKey;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::ack::StatedAck;
use domain::message::reaction::MessageReaction;

#[async_trait]
impl MessageQueries for ReadTransaction<Postgres> {
    async fn message_sizes(&mut self, messages: &[MessageKey]) -> Result<Vec<i64>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        Ok(sqlx::query_scalar!(
            r#"
            SELECT
                coalesce(octet_length(messages.body), 0)::int8
                + coalesce(octet_length(messages.vcard), 0)
                + coalesce(reacted.size, 0) AS "size!"
            FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS key (instance_id, id, place)
            LEFT JOIN messages ON messages.instance_id = key.instance_id AND messages.id = key.id
            CROSS JOIN LATERAL (
                SELECT
                    sum(octet_length(message_id) + octet_length(from_number) + octet_length(reaction))::int8 AS size
                FROM (
                    SELECT message_id, from_number, reaction
                    FROM message_reactions
                    WHERE instance_id = key.instance_id AND message_id = key.id
                    LIMIT $3
                ) AS shown
            ) AS reacted
            ORDER BY key.place
            "#,
            instance_ids as _,
            ids as _,
            REACTIONS + 1,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn messages_with(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageReport>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query_as!(
            MessageReportRow,
            r#"
            SELECT
                messages.instance_id AS "instance_id: _", messages.id, chat_id, from_id, to_id, from_me, sender_name,
                body, type AS kind, sent_at AS "sent_at: _", kind AS "chat_kind: _", is_group,
                quoted_message_id, reaction, latitude, longitude,
                vcard, status, ack, group_sender, received_at AS "received_at: _", occurred_at AS "occurred_at: _",
                delivered_at AS "delivered_at: _", read_at AS "read_at: _", is_service, edited_at AS "edited_at: _",
                revoked_at AS "revoked_at: _", media_url IS NOT NULL AS "has_file!", seq, event_seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN messages ON messages.instance_id = key.instance_id AND messages.id = key.id
            "#,
            instance_ids as _,
            ids as _,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(MessageReport::from).collect())
    }

    async fn media_of(&mut self, messages: &[MessageKey]) -> Result<Vec<JobReport>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        let rows = sqlx::query_as!(
            JobReportRow,
            r#"
            SELECT
                job.instance_id, job.message_id, source_sha256, state AS "state: _", reason, attempts,
                occurred_at AS "occurred_at: _", next_attempt_at AS "next_attempt_at: _",
                object_key AS "object_key: _", size, content_type, file_name, stored_at AS "stored_at: _"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            CROSS JOIN LATERAL (
                SELECT *
                FROM media
                WHERE instance_id = key.instance_id AND message_id = key.id
                ORDER BY stored_at IS NULL, stored_at DESC, occurred_at DESC, source_sha256
                LIMIT 1
            ) AS job
            "#,
            instance_ids as _,
            ids as _,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(JobReportRow::read).collect()
    }

    async fn reactions_to(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageReaction>, StoreError> {
        let (instance_ids, ids) = keys(messages);
        Ok(sqlx::query_as!(
            MessageReaction,
            r#"
            SELECT
                shown.instance_id AS "instance_id: _", message_id, from_number, reaction,
                reacted_at AS "reacted_at: _", received_at AS "received_at: _",
                last_received_at AS "last_received_at: _"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            CROSS JOIN LATERAL (
                SELECT *
                FROM message_reactions
                WHERE instance_id = key.instance_id AND message_id = key.id
                ORDER BY instance_id, message_id, from_number, reaction, reacted_at
                LIMIT $3
            ) AS shown
            "#,
            instance_ids as _,
            ids as _,
            REACTIONS + 1,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn acks_of(&mut self, MessageKey { instance_id, id }: &MessageKey) -> Result<Vec<StatedAck>, StoreError> {
        Ok(sqlx::query_as!(
            StatedAck,
            r#"
            SELECT
                ack, ack_rank AS rank, received_at AS "received_at: _", last_received_at AS "last_received_at: _"
            FROM message_acks
            WHERE instance_id = $1 AND message_id = $2
            ORDER BY received_at, ack_rank, ack
            LIMIT $3
            "#,
            instance_id.as_str(),
            id,
            ACKS + 1,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn chats_with(&mut self, instances: &[InstanceId], contact: &str) -> Result<Vec<ChatKey>, StoreError> {
        let instances = column(instances, InstanceId::as_str);
        Ok(sqlx::query_as!(
            ChatKey,
            r#"SELECT instance_id AS "instance_id: _", chat_id FROM chats WHERE instance_id = ANY($1) AND contact = $2"#,
            instances as _,
            contact,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn chat_row(&mut self, instance_id: &InstanceId, chat_id: &str) -> Result<Option<ChatReport>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM chats WHERE instance_id = $1 AND chat_id = $2");
        let row = sqlx::query_as(AssertSqlSafe(text)).bind(instance_id).bind(chat_id);
        Ok(row.fetch_optional(&mut **self).await?)
    }
}
