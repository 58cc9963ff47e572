use async_trait::async_trait;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Sqlite};

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::chats::{COLUMNS, ChatReport};
use crate::read::media::{JobReport, JobReportRow};
use crate::read::messages::{ACKS, MessageQueries, MessageReport, MessageReportRow, REACTIONS};
use crate::sqlite::json;
use domain::chat::ChatKey;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::ack::StatedAck;
use domain::message::reaction::MessageReaction;
use domain::time::timestamp::Timestamp;

/// A row of `message_reactions` in JSON.
#[derive(Deserialize)]
struct ReactionJson {
    instance_id: String,
    message_id: String,
    from_number: String,
    reaction: String,
    reacted_at: String,
    received_at: String,
    last_received_at: String,
}

impl ReactionJson {
    fn read(self) -> Option<MessageReaction> {
        Some(MessageReaction {
            instance_id: InstanceId::from_store(&self.instance_id),
            message_id: self.message_id,
            from_number: self.from_number,
            reaction: self.reaction,
            reacted_at: Timestamp::from_rfc3339(&self.reacted_at)?,
            received_at: Timestamp::from_rfc3339(&self.received_at)?,
            last_received_at: Timestamp::from_rfc3339(&self.last_received_at)?,
        })
    }
}

#[async_trait]
impl MessageQueries for ReadTransaction<Sqlite> {
    async fn message_sizes(&mut self, messages: &[MessageKey]) -> Result<Vec<i64>, StoreError> {
        let keys = json(messages);
        let shown = REACTIONS + 1;
        Ok(sqlx::query_scalar!(
            r#"
            SELECT
                coalesce(octet_length(messages.body), 0)
                + coalesce(octet_length(messages.vcard), 0)
                + (
                    SELECT coalesce(sum(octet_length(message_id) + octet_length(from_number) + octet_length(reaction)), 0)
                    FROM (
                        SELECT message_id, from_number, reaction
                        FROM message_reactions
                        WHERE instance_id = key.value ->> 'instance_id' AND message_id = key.value ->> 'id'
                        LIMIT ?2
                    )
                ) AS "size!: i64"
            FROM json_each(?1) AS key
            LEFT JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            ORDER BY key.key
            "#,
            keys,
            shown,
        ).fetch_all(&mut **self).await?)
    }

    async fn messages_with(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageReport>, StoreError> {
        let rows = sqlx::query_as!(
            MessageReportRow,
            r#"
            SELECT
                messages.instance_id AS "instance_id!: _",
                messages.id AS "id!: String",
                chat_id AS "chat_id: String",
                from_id AS "from_id: String",
                to_id AS "to_id: String",
                from_me AS "from_me!: bool",
                sender_name AS "sender_name: String",
                body AS "body: String",
                messages.type AS "kind: String",
                sent_at AS "sent_at: _",
                messages.kind AS "chat_kind!: _",
                is_group AS "is_group!: bool",
                quoted_message_id AS "quoted_message_id: String",
                reaction AS "reaction: String",
                latitude AS "latitude: f64",
                longitude AS "longitude: f64",
                vcard AS "vcard: String",
                status AS "status: String",
                ack AS "ack!: String",
                group_sender AS "group_sender: String",
                received_at AS "received_at!: _",
                occurred_at AS "occurred_at!: _",
                delivered_at AS "delivered_at: _",
                read_at AS "read_at: _",
                is_service AS "is_service!: bool",
                edited_at AS "edited_at: _",
                revoked_at AS "revoked_at: _",
                media_url IS NOT NULL AS "has_file!: bool",
                seq AS "seq!: i64",
                event_seq AS "event_seq!: i64"
            FROM json_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            "#,
            json(messages),
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(MessageReport::from).collect())
    }

    async fn media_of(&mut self, messages: &[MessageKey]) -> Result<Vec<JobReport>, StoreError> {
        let rows = sqlx::query_as!(
            JobReportRow,
            r#"
            SELECT
                media.instance_id AS "instance_id!: _",
                message_id AS "message_id!: String",
                source_sha256 AS "source_sha256!: Vec<u8>",
                state AS "state!: _",
                reason AS "reason: String",
                attempts AS "attempts!: i32",
                occurred_at AS "occurred_at!: _",
                next_attempt_at AS "next_attempt_at!: _",
                object_key AS "object_key: _",
                size AS "size: i64",
                content_type AS "content_type: String",
                file_name AS "file_name: String",
                stored_at AS "stored_at: _"
            FROM json_each(?1) AS key
            CROSS JOIN media
                ON media.rowid = (
                    SELECT job.rowid
                    FROM media AS job
                    WHERE job.instance_id = key.value ->> 'instance_id' AND job.message_id = key.value ->> 'id'
                    ORDER BY job.stored_at IS NULL, job.stored_at DESC, job.occurred_at DESC, job.source_sha256
                    LIMIT 1
                )
            "#,
            json(messages),
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(JobReportRow::read).collect()
    }

    async fn reactions_to(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageReaction>, StoreError> {
        let keys = json(messages);
        let shown = REACTIONS + 1;
        // SQLite can limit the rows of each message only in a subquery, which has one column.
        let rows = sqlx::query_scalar!(
            r#"
            SELECT (
                SELECT json_group_array(json_object(
                    'instance_id', instance_id,
                    'message_id', message_id,
                    'from_number', from_number,
                    'reaction', reaction,
                    'reacted_at', reacted_at,
                    'received_at', received_at,
                    'last_received_at', last_received_at
                ))
                FROM (
                    SELECT *
                    FROM message_reactions
                    WHERE instance_id = key.value ->> 'instance_id' AND message_id = key.value ->> 'id'
                    ORDER BY from_number, reaction, reacted_at
                    LIMIT ?2
                )
            ) AS "reactions!: String"
            FROM json_each(?1) AS key
            "#,
            keys,
            shown,
        )
        .fetch_all(&mut **self)
        .await?;
        let mut reactions = Vec::new();
        for row in rows {
            let of_message = serde_json::from_str::<Vec<ReactionJson>>(&row).ok();
            let of_message: Option<Vec<_>> = of_message.and_then(|it| it.into_iter().map(ReactionJson::read).collect());
            reactions
                .extend(of_message.ok_or_else(|| StoreError::unreadable("message_reactions", "reactions as JSON"))?);
        }
        Ok(reactions)
    }

    async fn acks_of(&mut self, MessageKey { instance_id, id }: &MessageKey) -> Result<Vec<StatedAck>, StoreError> {
        let (instance_id, shown) = (instance_id.as_str(), ACKS + 1);
        Ok(sqlx::query_as!(
            StatedAck,
            r#"
            SELECT
                ack, ack_rank AS "rank: i16", received_at AS "received_at: _", last_received_at AS "last_received_at: _"
            FROM message_acks
            WHERE instance_id = ?1 AND message_id = ?2
            ORDER BY received_at, ack_rank, ack
            LIMIT ?3
            "#,
            instance_id,
            id,
            shown,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn chats_with(&mut self, instances: &[InstanceId], contact: &str) -> Result<Vec<ChatKey>, StoreError> {
        Ok(sqlx::query_as!(
            ChatKey,
            r#"
            SELECT chats.instance_id AS "instance_id!: _", chats.chat_id AS "chat_id!: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN chats ON chats.instance_id = wanted.value AND chats.contact = ?2
            "#,
            json(instances.iter().map(InstanceId::as_str)),
            contact,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn chat_row(&mut self, instance_id: &InstanceId, chat_id: &str) -> Result<Option<ChatReport>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM chats WHERE instance_id = ?1 AND chat_id = ?2");
        let row = sqlx::query_as(AssertSqlSafe(text)).bind(instance_id).bind(chat_id);
        Ok(row.fetch_optional(&mut **self).await?)
    }
}
