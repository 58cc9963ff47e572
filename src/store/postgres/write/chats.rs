use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::{column, rows};
use crate::write::chats::{ChatColumns, ChatRows, SavedChatColumns};
use domain::chat::{Chat, ChatKey, StaleChatFields};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl ChatRows for PgConnection {
    async fn chats(&mut self, chats: &[ChatKey]) -> Result<Vec<Chat>, StoreError> {
        let rows = sqlx::query_as!(
            ChatColumns,
            r#"
            SELECT
                chats.instance_id AS "instance_id: InstanceId", chats.chat_id,
                chats.name, chats.given_name, chats.name_at AS "name_at: Timestamp", chats.name_message_id, chats.name_seq, chats.message_count,
                chats.service_count,
                chats.last_incoming_at AS "last_incoming_at: Timestamp", chats.last_incoming_id, chats.last_incoming_seq,
                chats.last_outgoing_at AS "last_outgoing_at: Timestamp", chats.last_outgoing_id, chats.last_outgoing_seq,
                chats.waiting_since AS "waiting_since: Timestamp", chats.waiting_id, chats.waiting_seq,
                chats.last_asked_at AS "last_asked_at: Timestamp"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, chat_id)
            JOIN chats ON chats.instance_id = key.instance_id AND chats.chat_id = key.chat_id
            "#,
            column(chats, |chat| &chat.instance_id) as _,
            column(chats, |chat| chat.chat_id.as_str()) as _,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(Chat::from).collect())
    }

    async fn latest_in_chats(&mut self, vacant: &[(ChatKey, StaleChatFields)]) -> Result<Vec<Chat>, StoreError> {
        let rows = sqlx::query_as!(
            ChatColumns,
            r#"
            SELECT
                key.instance_id AS "instance_id!: InstanceId", key.chat_id AS "chat_id!",
                named.sender_name AS "name?", NULL AS "given_name", named.occurred_at AS "name_at?: Timestamp", named.id AS "name_message_id?", named.seq AS "name_seq?",
                0::int8 AS "message_count!", 0::int8 AS "service_count!",
                incoming.occurred_at AS "last_incoming_at?: Timestamp", incoming.id AS "last_incoming_id?", incoming.seq AS "last_incoming_seq?",
                outgoing.occurred_at AS "last_outgoing_at?: Timestamp", outgoing.id AS "last_outgoing_id?", outgoing.seq AS "last_outgoing_seq?",
                NULL::timestamptz AS "waiting_since?: Timestamp", NULL::text AS "waiting_id?",
                NULL::int8 AS "waiting_seq?",
                NULL::timestamptz AS "last_asked_at?: Timestamp"
            FROM unnest($1::text[], $2::text[], $3::bool[], $4::bool[], $5::bool[])
                AS key (instance_id, chat_id, incoming, outgoing, name)
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.seq
                FROM messages
                WHERE key.incoming
                    AND messages.instance_id = key.instance_id
                    AND messages.chat_id = key.chat_id
                    AND NOT messages.from_me
                    AND NOT messages.is_service
                ORDER BY messages.occurred_at DESC, messages.seq DESC
                LIMIT 1
            ) AS incoming ON true
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.seq
                FROM messages
                WHERE key.outgoing
                    AND messages.instance_id = key.instance_id
                    AND messages.chat_id = key.chat_id
                    AND messages.from_me
                    AND NOT messages.is_service
                ORDER BY messages.occurred_at DESC, messages.seq DESC
                LIMIT 1
            ) AS outgoing ON true
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.seq, messages.sender_name
                FROM messages
                WHERE key.name
                    AND messages.instance_id = key.instance_id
                    AND messages.chat_id = key.chat_id
                    AND NOT messages.from_me
                    AND NOT messages.is_service
                    AND messages.sender_name IS NOT NULL
                ORDER BY messages.occurred_at DESC, messages.seq DESC
                LIMIT 1
            ) AS named ON true
            "#,
            column(vacant, |(key, _)| &key.instance_id) as _,
            column(vacant, |(key, _)| key.chat_id.as_str()) as _,
            &column(vacant, |(_, fields)| fields.incoming),
            &column(vacant, |(_, fields)| fields.outgoing),
            &column(vacant, |(_, fields)| fields.name),
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(Chat::from).collect())
    }

    async fn save_chats(&mut self, chats: &[Chat]) -> Result<u64, StoreError> {
        let rows = rows::<SavedChatColumns, _>(chats);
        let written = sqlx::query!(
            r#"
            INSERT INTO chats (
                instance_id, chat_id, name, name_at, name_message_id, name_seq, message_count, last_message_at,
                last_message_id, last_incoming_at, last_incoming_id, last_incoming_seq, last_outgoing_at,
                last_outgoing_id, last_outgoing_seq, contact, kind, search, waiting_since, waiting_id, waiting_seq,
                last_asked_at, service_count, given_name
            )
            SELECT new.*
            FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::int8[], $7::int8[],
                $8::timestamptz[], $9::text[], $10::timestamptz[], $11::text[], $12::int8[], $13::timestamptz[],
                $14::text[], $15::int8[], $16::text[], $17::text[], $18::text[], $19::timestamptz[], $20::text[],
                $21::int8[], $22::timestamptz[], $23::int8[], $24::text[]
            ) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, chat_id) DO UPDATE
            SET name = excluded.name,
                given_name = excluded.given_name,
                name_at = excluded.name_at,
                name_message_id = excluded.name_message_id,
                name_seq = excluded.name_seq,
                message_count = excluded.message_count,
                service_count = excluded.service_count,
                last_message_at = excluded.last_message_at,
                last_message_id = excluded.last_message_id,
                last_incoming_at = excluded.last_incoming_at,
                last_incoming_id = excluded.last_incoming_id,
                last_incoming_seq = excluded.last_incoming_seq,
                last_outgoing_at = excluded.last_outgoing_at,
                last_outgoing_id = excluded.last_outgoing_id,
                last_outgoing_seq = excluded.last_outgoing_seq,
                search = excluded.search,
                waiting_since = excluded.waiting_since,
                waiting_id = excluded.waiting_id,
                waiting_seq = excluded.waiting_seq,
                last_asked_at = excluded.last_asked_at
            "#,
            column(&rows, |row| &row.chat.instance_id) as _,
            column(&rows, |row| row.chat.chat_id.as_str()) as _,
            column(&rows, |row| row.chat.name.as_deref()) as _,
            column(&rows, |row| row.chat.name_at) as _,
            column(&rows, |row| row.chat.name_message_id.as_deref()) as _,
            column(&rows, |row| row.chat.name_seq) as _,
            &column(&rows, |row| row.chat.message_count),
            column(&rows, |row| row.last_message_at) as _,
            column(&rows, |row| row.last_message_id.as_deref()) as _,
            column(&rows, |row| row.chat.last_incoming_at) as _,
            column(&rows, |row| row.chat.last_incoming_id.as_deref()) as _,
            column(&rows, |row| row.chat.last_incoming_seq) as _,
            column(&rows, |row| row.chat.last_outgoing_at) as _,
            column(&rows, |row| row.chat.last_outgoing_id.as_deref()) as _,
            column(&rows, |row| row.chat.last_outgoing_seq) as _,
            column(&rows, |row| row.contact.as_deref()) as _,
            column(&rows, |row| row.kind) as _,
            column(&rows, |row| row.search.as_str()) as _,
            column(&rows, |row| row.chat.waiting_since) as _,
            column(&rows, |row| row.chat.waiting_id.as_deref()) as _,
            column(&rows, |row| row.chat.waiting_seq) as _,
            column(&rows, |row| row.chat.last_asked_at) as _,
            &column(&rows, |row| row.chat.service_count),
            column(&rows, |row| row.chat.given_name.as_deref()) as _,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_chats(&mut self, chats: &[ChatKey]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM chats
            USING unnest($1::text[], $2::text[]) AS key (instance_id, chat_id)
            WHERE chats.instance_id = key.instance_id AND chats.chat_id = key.chat_id
            "#,
            column(chats, |chat| &chat.instance_id) as _,
            column(chats, |chat| chat.chat_id.as_str()) as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
