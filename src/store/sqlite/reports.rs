use async_trait::async_trait;

use super::listing::list;
use super::reading::Reading;
use super::{json, keys, timestamp};
use crate::domain::ack::StatedAck;
use crate::domain::chat::ChatKey;
use crate::domain::instance::InstanceId;
use crate::domain::message::MessageKey;
use crate::domain::reaction::MessageReaction;
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::ack_reports::{AckQueries, AckReport, AckReportRow};
use crate::store::chat_reports::{ChatQueries, ChatReport, ChatReportRow};
use crate::store::listing::{Ask, Listing};
use crate::store::media_lists::MediaQueries;
use crate::store::media_reports::{JobReport, ReportRow};
use crate::store::message_reports::{MessageQueries, MessageReport, MessageRow};
use crate::store::reaction_reports::{ReactionQueries, ReactionRow};

fn time(at: String) -> Result<Timestamp, StoreError> {
    timestamp(&at)
}

#[async_trait]
impl MessageQueries for Reading {
    async fn message_keys(
        &mut self,
        listing: &Listing,
        ask: &Ask<'_>,
    ) -> Result<Vec<(MessageKey, Timestamp)>, StoreError> {
        let rows = list::<(String, String, String)>(self, listing, ask).await?;
        let keyed = rows
            .into_iter()
            .map(|(instance_id, id, at)| Ok(((InstanceId::from_store(&instance_id), id), timestamp(&at)?)));
        keyed.collect()
    }

    async fn messages_with(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageReport>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query_as!(
            MessageRow::<String>,
            r#"
            SELECT
                messages.instance_id AS "instance_id!: String",
                messages.id AS "id!: String",
                chat_id AS "chat_id: String",
                from_id AS "from_id: String",
                to_id AS "to_id: String",
                from_me AS "from_me!: bool",
                sender_name AS "sender_name: String",
                body AS "body: String",
                messages.type AS "kind: String",
                sent_at AS "sent_at: String",
                is_group AS "is_group!: bool",
                quoted_message_id AS "quoted_message_id: String",
                reaction AS "reaction: String",
                media_url AS "media_url: String",
                latitude AS "latitude: f64",
                longitude AS "longitude: f64",
                vcard AS "vcard: String",
                status AS "status: String",
                ack AS "ack!: String",
                group_sender AS "group_sender: String",
                received_at AS "received_at!: String",
                occurred_at AS "occurred_at!: String",
                delivered_at AS "delivered_at: String",
                read_at AS "read_at: String"
            FROM json_each(?1) AS key
            CROSS JOIN messages
                ON messages.instance_id = key.value ->> 'instance_id' AND messages.id = key.value ->> 'id'
            "#,
            keys,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }

    async fn media_of(&mut self, messages: &[MessageKey]) -> Result<Vec<JobReport>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query_as!(
            ReportRow::<String>,
            r#"
            SELECT
                media.instance_id AS "instance_id!: String",
                message_id AS "message_id!: String",
                source_sha256 AS "source_sha256!: Vec<u8>",
                state AS "state!: String",
                reason AS "reason: String",
                attempts AS "attempts!: i32",
                occurred_at AS "occurred_at!: String",
                next_attempt_at AS "next_attempt_at!: String",
                object_key AS "object_key: String",
                size AS "size: i64",
                content_type AS "content_type: String",
                file_name AS "file_name: String",
                stored_at AS "stored_at: String"
            FROM json_each(?1) AS key
            CROSS JOIN media
                ON media.instance_id = key.value ->> 'instance_id' AND media.message_id = key.value ->> 'id'
            ORDER BY stored_at IS NULL, stored_at DESC, occurred_at DESC, source_sha256
            "#,
            keys,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }

    async fn reactions_to(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageReaction>, StoreError> {
        let keys = keys(messages);
        let rows = sqlx::query_as!(
            ReactionRow::<String>,
            r#"
            SELECT
                message_reactions.instance_id AS "instance_id!: String",
                message_id AS "message_id!: String",
                from_number AS "from_number!: String",
                reaction AS "reaction!: String",
                reacted_at AS "reacted_at!: String",
                received_at AS "received_at!: String"
            FROM json_each(?1) AS key
            CROSS JOIN message_reactions
                ON message_reactions.instance_id = key.value ->> 'instance_id'
                AND message_reactions.message_id = key.value ->> 'id'
            "#,
            keys,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }

    async fn acks_of(&mut self, (instance_id, id): &MessageKey) -> Result<Vec<StatedAck>, StoreError> {
        let instance_id = instance_id.as_str();
        let rows = sqlx::query!(
            r#"
            SELECT ack, ack_rank AS "ack_rank: i16", received_at
            FROM message_acks
            WHERE instance_id = ?1 AND message_id = ?2
            ORDER BY received_at, ack_rank, ack
            "#,
            instance_id,
            id,
        )
        .fetch_all(&mut **self)
        .await?;
        let stated = rows
            .into_iter()
            .map(|row| Ok(StatedAck { ack: row.ack, rank: row.ack_rank, received_at: timestamp(&row.received_at)? }));
        stated.collect()
    }

    async fn chats_with(&mut self, instances: &[InstanceId], contact: &str) -> Result<Vec<ChatKey>, StoreError> {
        let instances = json(instances.iter().map(InstanceId::as_str));
        let rows = sqlx::query!(
            r#"
            SELECT chats.instance_id AS "instance_id!: String", chats.chat_id AS "chat_id!: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN chats ON chats.instance_id = wanted.value AND chats.contact = ?2
            "#,
            instances,
            contact,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.chat_id)).collect())
    }
}

#[async_trait]
impl ChatQueries for Reading {
    async fn chat_rows(&mut self, listing: &Listing, ask: &Ask<'_>) -> Result<Vec<ChatReport>, StoreError> {
        let rows = list::<ChatReportRow<String>>(self, listing, ask).await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }

    async fn chat_row(&mut self, (instance_id, chat_id): &ChatKey) -> Result<Option<ChatReport>, StoreError> {
        let instance_id = instance_id.as_str();
        let row = sqlx::query_as!(
            ChatReportRow::<String>,
            r#"
            SELECT
                instance_id,
                chat_id,
                name,
                contact,
                is_group AS "is_group: bool",
                message_count,
                last_message_at,
                last_message_id,
                last_incoming_at,
                last_outgoing_at,
                waiting_since
            FROM chats
            WHERE instance_id = ?1 AND chat_id = ?2
            "#,
            instance_id,
            chat_id,
        )
        .fetch_optional(&mut **self)
        .await?;
        row.map(|row| row.read(time)).transpose()
    }
}

#[async_trait]
impl AckQueries for Reading {
    async fn ack_rows(&mut self, listing: &Listing, ask: &Ask<'_>) -> Result<Vec<AckReport>, StoreError> {
        let rows = list::<AckReportRow<String>>(self, listing, ask).await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }
}

#[async_trait]
impl ReactionQueries for Reading {
    async fn reaction_rows(&mut self, listing: &Listing, ask: &Ask<'_>) -> Result<Vec<MessageReaction>, StoreError> {
        let rows = list::<ReactionRow<String>>(self, listing, ask).await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }
}

#[async_trait]
impl MediaQueries for Reading {
    async fn media_rows(&mut self, listing: &Listing, ask: &Ask<'_>) -> Result<Vec<JobReport>, StoreError> {
        let rows = list::<ReportRow<String>>(self, listing, ask).await?;
        rows.into_iter().map(|row| row.read(time)).collect()
    }
}
