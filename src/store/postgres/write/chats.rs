use async_trait::async_trait;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::StoreError;
use crate::postgres::{column, keys};
use crate::write::chats::ChatRows;
use domain::chat::chat_id;
use domain::chat::{Chat, ChatKey, ChatName, MessagePosition, StaleChatFields};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The columns of `chats` that a [`Chat`] is read from.
struct ChatRow {
    instance_id: String,
    chat_id: String,
    name: Option<String>,
    name_at: Option<OffsetDateTime>,
    name_message_id: Option<String>,
    message_count: i64,
    last_incoming_at: Option<OffsetDateTime>,
    last_incoming_id: Option<String>,
    last_outgoing_at: Option<OffsetDateTime>,
    last_outgoing_id: Option<String>,
    waiting_since: Option<OffsetDateTime>,
    waiting_id: Option<String>,
}

impl From<ChatRow> for Chat {
    fn from(row: ChatRow) -> Self {
        let mark = |at: Option<OffsetDateTime>, message_id: Option<String>| {
            Some(MessagePosition { occurred_at: Timestamp::from_utc(at?), message_id: message_id? })
        };
        let named = |mark: MessagePosition| Some(ChatName { position: mark, name: row.name? });
        Self {
            instance_id: InstanceId::from_store(&row.instance_id),
            chat_id: row.chat_id,
            message_count: row.message_count,
            last_incoming: mark(row.last_incoming_at, row.last_incoming_id),
            last_outgoing: mark(row.last_outgoing_at, row.last_outgoing_id),
            name: mark(row.name_at, row.name_message_id).and_then(named),
            waiting: mark(row.waiting_since, row.waiting_id),
        }
    }
}

#[async_trait]
impl ChatRows for PgConnection {
    async fn chats(&mut self, chats: &[ChatKey]) -> Result<Vec<Chat>, StoreError> {
        let (instance_ids, chat_ids) = keys(chats);
        let rows = sqlx::query_as!(
            ChatRow,
            r#"
            SELECT
                chats.instance_id, chats.chat_id, chats.name, chats.name_at, chats.name_message_id,
                chats.message_count, chats.last_incoming_at, chats.last_incoming_id,
                chats.last_outgoing_at, chats.last_outgoing_id, chats.waiting_since, chats.waiting_id
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, chat_id)
            JOIN chats ON chats.instance_id = key.instance_id AND chats.chat_id = key.chat_id
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(Chat::from).collect())
    }

    async fn latest_in_chats(&mut self, vacant: &[(ChatKey, StaleChatFields)]) -> Result<Vec<Chat>, StoreError> {
        let rows = sqlx::query_as!(
            ChatRow,
            r#"
            SELECT
                key.instance_id AS "instance_id!", key.chat_id AS "chat_id!",
                named.sender_name AS "name?", named.occurred_at AS "name_at?", named.id AS "name_message_id?",
                0::int8 AS "message_count!",
                incoming.occurred_at AS "last_incoming_at?", incoming.id AS "last_incoming_id?",
                outgoing.occurred_at AS "last_outgoing_at?", outgoing.id AS "last_outgoing_id?",
                NULL::timestamptz AS "waiting_since?", NULL::text AS "waiting_id?"
            FROM unnest($1::text[], $2::text[], $3::bool[], $4::bool[], $5::bool[])
                AS key (instance_id, chat_id, incoming, outgoing, name)
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id
                FROM messages
                WHERE key.incoming
                    AND messages.instance_id = key.instance_id
                    AND messages.chat_id = key.chat_id
                    AND NOT messages.from_me
                ORDER BY messages.occurred_at DESC, messages.id DESC
                LIMIT 1
            ) AS incoming ON true
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id
                FROM messages
                WHERE key.outgoing
                    AND messages.instance_id = key.instance_id
                    AND messages.chat_id = key.chat_id
                    AND messages.from_me
                ORDER BY messages.occurred_at DESC, messages.id DESC
                LIMIT 1
            ) AS outgoing ON true
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.sender_name
                FROM messages
                WHERE key.name
                    AND messages.instance_id = key.instance_id
                    AND messages.chat_id = key.chat_id
                    AND NOT messages.from_me
                    AND NOT messages.is_group
                    AND messages.sender_name IS NOT NULL
                ORDER BY messages.occurred_at DESC, messages.id DESC
                LIMIT 1
            ) AS named ON true
            "#,
            column(vacant, |(key, _)| key.instance_id.as_str()) as _,
            column(vacant, |(key, _)| key.chat_id.as_str()) as _,
            &column(vacant, |(_, vacancies)| vacancies.incoming),
            &column(vacant, |(_, vacancies)| vacancies.outgoing),
            &column(vacant, |(_, vacancies)| vacancies.name),
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(Chat::from).collect())
    }

    async fn save_chats(&mut self, chats: &[Chat]) -> Result<u64, StoreError> {
        fn at(mark: Option<&MessagePosition>) -> Option<OffsetDateTime> {
            mark.map(|mark| mark.occurred_at.to_utc())
        }
        fn id(mark: Option<&MessagePosition>) -> Option<&str> {
            mark.map(|mark| mark.message_id.as_str())
        }
        let written = sqlx::query!(
            r#"
            INSERT INTO chats (
                instance_id, chat_id, name, name_at, name_message_id, message_count, last_message_at,
                last_message_id, last_incoming_at, last_incoming_id, last_outgoing_at, last_outgoing_id,
                contact, is_group, search, waiting_since, waiting_id
            )
            SELECT *
            FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::int8[], $7::timestamptz[],
                $8::text[], $9::timestamptz[], $10::text[], $11::timestamptz[], $12::text[],
                $13::text[], $14::bool[], $15::text[], $16::timestamptz[], $17::text[]
            )
            ON CONFLICT (instance_id, chat_id) DO UPDATE
            SET name = excluded.name,
                name_at = excluded.name_at,
                name_message_id = excluded.name_message_id,
                message_count = excluded.message_count,
                last_message_at = excluded.last_message_at,
                last_message_id = excluded.last_message_id,
                last_incoming_at = excluded.last_incoming_at,
                last_incoming_id = excluded.last_incoming_id,
                last_outgoing_at = excluded.last_outgoing_at,
                last_outgoing_id = excluded.last_outgoing_id,
                search = excluded.search,
                waiting_since = excluded.waiting_since,
                waiting_id = excluded.waiting_id
            "#,
            column(chats, |it| it.instance_id.as_str()) as _,
            column(chats, |it| it.chat_id.as_str()) as _,
            column(chats, |it| it.name.as_ref().map(|name| name.name.as_str())) as _,
            column(chats, |it| at(it.name.as_ref().map(|name| &name.position))) as _,
            column(chats, |it| id(it.name.as_ref().map(|name| &name.position))) as _,
            &column(chats, |it| it.message_count),
            column(chats, |it| at(it.last_message())) as _,
            column(chats, |it| id(it.last_message())) as _,
            column(chats, |it| at(it.last_incoming.as_ref())) as _,
            column(chats, |it| id(it.last_incoming.as_ref())) as _,
            column(chats, |it| at(it.last_outgoing.as_ref())) as _,
            column(chats, |it| id(it.last_outgoing.as_ref())) as _,
            column(chats, |it| chat_id::contact(&it.chat_id)) as _,
            &column(chats, |it| chat_id::is_group(&it.chat_id)),
            &column(chats, Chat::search),
            column(chats, |it| at(it.waiting.as_ref())) as _,
            column(chats, |it| id(it.waiting.as_ref())) as _,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_chats(&mut self, chats: &[ChatKey]) -> Result<(), StoreError> {
        let (instance_ids, chat_ids) = keys(chats);
        sqlx::query!(
            r#"
            DELETE FROM chats
            USING unnest($1::text[], $2::text[]) AS key (instance_id, chat_id)
            WHERE chats.instance_id = key.instance_id AND chats.chat_id = key.chat_id
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
