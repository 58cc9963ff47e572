use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::chats::{ChatColumns, ChatRows, SavedChatColumns};
use domain::chat::{Chat, ChatKey, StaleChatFields};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl ChatRows for SqliteConnection {
    async fn chats(&mut self, chats: &[ChatKey]) -> Result<Vec<Chat>, StoreError> {
        let rows = sqlx::query_as!(
            ChatColumns,
            r#"
            SELECT
                chats.instance_id AS "instance_id!: InstanceId",
                chats.chat_id AS "chat_id!: String",
                chats.name AS "name: String",
                chats.given_name AS "given_name: String",
                chats.name_at AS "name_at: Timestamp",
                chats.name_message_id AS "name_message_id: String",
                chats.name_seq AS "name_seq: i64",
                chats.message_count AS "message_count!: i64",
                chats.service_count AS "service_count!: i64",
                chats.last_incoming_at AS "last_incoming_at: Timestamp",
                chats.last_incoming_id AS "last_incoming_id: String",
                chats.last_incoming_seq AS "last_incoming_seq: i64",
                chats.last_outgoing_at AS "last_outgoing_at: Timestamp",
                chats.last_outgoing_id AS "last_outgoing_id: String",
                chats.last_outgoing_seq AS "last_outgoing_seq: i64",
                chats.waiting_since AS "waiting_since: Timestamp",
                chats.waiting_id AS "waiting_id: String",
                chats.waiting_seq AS "waiting_seq: i64",
                chats.last_asked_at AS "last_asked_at: Timestamp"
            FROM jsonb_each(?1) AS key
            CROSS JOIN chats
                ON chats.instance_id = key.value ->> 'instance_id' AND chats.chat_id = key.value ->> 'chat_id'
            "#,
            json(chats),
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
                key.instance_id AS "instance_id!: InstanceId",
                key.chat_id AS "chat_id!: String",
                named.sender_name AS "name: String",
                NULL AS "given_name: String",
                named.occurred_at AS "name_at: Timestamp",
                named.id AS "name_message_id: String",
                named.seq AS "name_seq: i64",
                0 AS "message_count!: i64",
                0 AS "service_count!: i64",
                incoming.occurred_at AS "last_incoming_at: Timestamp",
                incoming.id AS "last_incoming_id: String",
                incoming.seq AS "last_incoming_seq: i64",
                outgoing.occurred_at AS "last_outgoing_at: Timestamp",
                outgoing.id AS "last_outgoing_id: String",
                outgoing.seq AS "last_outgoing_seq: i64",
                NULL AS "waiting_since: Timestamp",
                NULL AS "waiting_id: String",
                NULL AS "waiting_seq: i64",
                NULL AS "last_asked_at: Timestamp"
            FROM (
                SELECT
                    value ->> '$[0].instance_id' AS instance_id,
                    value ->> '$[0].chat_id' AS chat_id,
                    value ->> '$[1].incoming' AS incoming,
                    value ->> '$[1].outgoing' AS outgoing,
                    value ->> '$[1].name' AS name
                FROM jsonb_each(?1)
            ) AS key
            LEFT JOIN messages AS incoming ON incoming.rowid = (
                SELECT rowid
                FROM messages
                WHERE key.incoming AND instance_id = key.instance_id AND chat_id = key.chat_id AND NOT from_me
                    AND NOT is_service
                ORDER BY occurred_at DESC, seq DESC
                LIMIT 1
            )
            LEFT JOIN messages AS outgoing ON outgoing.rowid = (
                SELECT rowid
                FROM messages INDEXED BY messages_answers
                WHERE key.outgoing AND instance_id = key.instance_id AND chat_id = key.chat_id AND from_me
                    AND NOT is_service
                ORDER BY occurred_at DESC, seq DESC
                LIMIT 1
            )
            LEFT JOIN messages AS named ON named.rowid = (
                SELECT rowid
                FROM messages
                WHERE key.name
                    AND instance_id = key.instance_id
                    AND chat_id = key.chat_id
                    AND NOT from_me
                    AND NOT is_service
                    AND sender_name IS NOT NULL
                ORDER BY occurred_at DESC, seq DESC
                LIMIT 1
            )
            "#,
            json(vacant),
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(Chat::from).collect())
    }

    async fn save_chats(&mut self, chats: &[Chat]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chats (
                instance_id, chat_id, name, name_at, name_message_id, name_seq, message_count, last_message_at,
                last_message_id, last_incoming_at, last_incoming_id, last_incoming_seq, last_outgoing_at,
                last_outgoing_id, last_outgoing_seq, contact, kind, search, waiting_since, waiting_id, waiting_seq,
                last_asked_at, service_count, given_name
            )
            SELECT
                value ->> 'instance_id', value ->> 'chat_id', value ->> 'name', value ->> 'name_at',
                value ->> 'name_message_id', value ->> 'name_seq', value ->> 'message_count',
                value ->> 'last_message_at', value ->> 'last_message_id', value ->> 'last_incoming_at',
                value ->> 'last_incoming_id', value ->> 'last_incoming_seq', value ->> 'last_outgoing_at',
                value ->> 'last_outgoing_id', value ->> 'last_outgoing_seq', value ->> 'contact', value ->> 'kind',
                value ->> 'search', value ->> 'waiting_since', value ->> 'waiting_id', value ->> 'waiting_seq',
                value ->> 'last_asked_at', value ->> 'service_count', value ->> 'given_name'
            FROM jsonb_each(?1)
            WHERE true
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
            json(chats.iter().map(SavedChatColumns::from)),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_chats(&mut self, chats: &[ChatKey]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM chats
            WHERE (instance_id, chat_id) IN (
                SELECT value ->> 'instance_id', value ->> 'chat_id' FROM jsonb_each(?1)
            )
            "#,
            json(chats),
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
