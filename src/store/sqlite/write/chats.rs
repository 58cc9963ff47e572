use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{json, keys, timestamp};
use crate::write::chats::ChatRows;
use domain::chat::chat_id;
use domain::chat::{Chat, ChatKey, ChatName, MessagePosition, StaleChatFields};
use domain::instance::InstanceId;

/// A row of `chats`.
#[derive(Default, Serialize)]
struct ChatRow {
    instance_id: String,
    chat_id: String,
    name: Option<String>,
    name_at: Option<String>,
    name_message_id: Option<String>,
    message_count: i64,
    last_message_at: Option<String>,
    last_message_id: Option<String>,
    last_incoming_at: Option<String>,
    last_incoming_id: Option<String>,
    last_outgoing_at: Option<String>,
    last_outgoing_id: Option<String>,
    contact: Option<String>,
    is_group: bool,
    search: String,
    waiting_since: Option<String>,
    waiting_id: Option<String>,
}

impl From<&Chat> for ChatRow {
    fn from(chat: &Chat) -> Self {
        let columns = |mark: Option<&MessagePosition>| match mark {
            Some(mark) => (Some(mark.occurred_at.to_rfc3339()), Some(mark.message_id.clone())),
            None => (None, None),
        };
        let (name_at, name_message_id) = columns(chat.name.as_ref().map(|name| &name.position));
        let (last_message_at, last_message_id) = columns(chat.last_message());
        let (last_incoming_at, last_incoming_id) = columns(chat.last_incoming.as_ref());
        let (last_outgoing_at, last_outgoing_id) = columns(chat.last_outgoing.as_ref());
        let (waiting_since, waiting_id) = columns(chat.waiting.as_ref());
        Self {
            instance_id: chat.instance_id.as_str().to_owned(),
            chat_id: chat.chat_id.clone(),
            name: chat.name.as_ref().map(|name| name.name.clone()),
            name_at,
            name_message_id,
            message_count: chat.message_count,
            last_message_at,
            last_message_id,
            last_incoming_at,
            last_incoming_id,
            last_outgoing_at,
            last_outgoing_id,
            contact: chat_id::contact(&chat.chat_id).map(str::to_owned),
            is_group: chat_id::is_group(&chat.chat_id),
            search: chat.search(),
            waiting_since,
            waiting_id,
        }
    }
}

impl TryFrom<ChatRow> for Chat {
    type Error = StoreError;

    fn try_from(row: ChatRow) -> Result<Self, StoreError> {
        let mark = |at: Option<String>, message_id: Option<String>| match (at, message_id) {
            (Some(at), Some(message_id)) => Ok(Some(MessagePosition { occurred_at: timestamp(&at)?, message_id })),
            _ => Ok::<_, StoreError>(None),
        };
        let named = |mark: MessagePosition| Some(ChatName { position: mark, name: row.name? });
        Ok(Self {
            instance_id: InstanceId::from_store(&row.instance_id),
            chat_id: row.chat_id,
            message_count: row.message_count,
            last_incoming: mark(row.last_incoming_at, row.last_incoming_id)?,
            last_outgoing: mark(row.last_outgoing_at, row.last_outgoing_id)?,
            name: mark(row.name_at, row.name_message_id)?.and_then(named),
            waiting: mark(row.waiting_since, row.waiting_id)?,
        })
    }
}

/// A chat with the places that are vacant.
#[derive(Serialize)]
struct VacantRow<'v> {
    instance_id: &'v str,
    chat_id: &'v str,
    incoming: bool,
    outgoing: bool,
    name: bool,
}

impl<'v> From<&'v (ChatKey, StaleChatFields)> for VacantRow<'v> {
    fn from((ChatKey { instance_id, chat_id }, stale): &'v (ChatKey, StaleChatFields)) -> Self {
        Self {
            instance_id: instance_id.as_str(),
            chat_id,
            incoming: stale.incoming,
            outgoing: stale.outgoing,
            name: stale.name,
        }
    }
}

#[async_trait]
impl ChatRows for SqliteConnection {
    async fn chats(&mut self, chats: &[ChatKey]) -> Result<Vec<Chat>, StoreError> {
        let keys = keys(chats);
        let rows = sqlx::query_as!(
            ChatRow,
            r#"
            SELECT
                chats.instance_id AS "instance_id!: String",
                chats.chat_id AS "chat_id!: String",
                chats.name AS "name: String",
                chats.name_at AS "name_at: String",
                chats.name_message_id AS "name_message_id: String",
                chats.message_count AS "message_count!: i64",
                chats.last_message_at AS "last_message_at: String",
                chats.last_message_id AS "last_message_id: String",
                chats.last_incoming_at AS "last_incoming_at: String",
                chats.last_incoming_id AS "last_incoming_id: String",
                chats.last_outgoing_at AS "last_outgoing_at: String",
                chats.last_outgoing_id AS "last_outgoing_id: String",
                chats.contact AS "contact: String",
                chats.is_group AS "is_group!: bool",
                chats.search AS "search!: String",
                chats.waiting_since AS "waiting_since: String",
                chats.waiting_id AS "waiting_id: String"
            FROM jsonb_each(?1) AS key
            CROSS JOIN chats
                ON chats.instance_id = key.value ->> 'instance_id' AND chats.chat_id = key.value ->> 'id'
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        rows.into_iter().map(Chat::try_from).collect()
    }

    async fn latest_in_chats(&mut self, vacant: &[(ChatKey, StaleChatFields)]) -> Result<Vec<Chat>, StoreError> {
        let keys = json(vacant.iter().map(VacantRow::from));
        let rows = sqlx::query!(
            r#"
            SELECT
                key.instance_id AS "instance_id!: String",
                key.chat_id AS "chat_id!: String",
                named.sender_name AS "name: String",
                named.occurred_at AS "name_at: String",
                named.id AS "name_message_id: String",
                incoming.occurred_at AS "last_incoming_at: String",
                incoming.id AS "last_incoming_id: String",
                outgoing.occurred_at AS "last_outgoing_at: String",
                outgoing.id AS "last_outgoing_id: String"
            FROM (
                SELECT
                    value ->> 'instance_id' AS instance_id,
                    value ->> 'chat_id' AS chat_id,
                    value ->> 'incoming' AS incoming,
                    value ->> 'outgoing' AS outgoing,
                    value ->> 'name' AS name
                FROM jsonb_each(?1)
            ) AS key
            LEFT JOIN messages AS incoming ON incoming.rowid = (
                SELECT rowid
                FROM messages
                WHERE key.incoming AND instance_id = key.instance_id AND chat_id = key.chat_id AND NOT from_me
                ORDER BY occurred_at DESC, id DESC
                LIMIT 1
            )
            LEFT JOIN messages AS outgoing ON outgoing.rowid = (
                SELECT rowid
                FROM messages INDEXED BY messages_answers
                WHERE key.outgoing AND instance_id = key.instance_id AND chat_id = key.chat_id AND from_me
                ORDER BY occurred_at DESC, id DESC
                LIMIT 1
            )
            LEFT JOIN messages AS named ON named.rowid = (
                SELECT rowid
                FROM messages
                WHERE key.name
                    AND instance_id = key.instance_id
                    AND chat_id = key.chat_id
                    AND NOT from_me
                    AND NOT is_group
                    AND sender_name IS NOT NULL
                ORDER BY occurred_at DESC, id DESC
                LIMIT 1
            )
            "#,
            keys,
        )
        .fetch_all(self)
        .await?;
        let chats = rows.into_iter().map(|row| ChatRow {
            instance_id: row.instance_id,
            chat_id: row.chat_id,
            name: row.name,
            name_at: row.name_at,
            name_message_id: row.name_message_id,
            last_incoming_at: row.last_incoming_at,
            last_incoming_id: row.last_incoming_id,
            last_outgoing_at: row.last_outgoing_at,
            last_outgoing_id: row.last_outgoing_id,
            ..ChatRow::default()
        });
        chats.map(Chat::try_from).collect()
    }

    async fn save_chats(&mut self, chats: &[Chat]) -> Result<u64, StoreError> {
        let rows = json(chats.iter().map(ChatRow::from));
        let written = sqlx::query!(
            r#"
            INSERT INTO chats (
                instance_id, chat_id, name, name_at, name_message_id, message_count, last_message_at,
                last_message_id, last_incoming_at, last_incoming_id, last_outgoing_at, last_outgoing_id,
                contact, is_group, search, waiting_since, waiting_id
            )
            SELECT
                value ->> 'instance_id',
                value ->> 'chat_id',
                value ->> 'name',
                value ->> 'name_at',
                value ->> 'name_message_id',
                value ->> 'message_count',
                value ->> 'last_message_at',
                value ->> 'last_message_id',
                value ->> 'last_incoming_at',
                value ->> 'last_incoming_id',
                value ->> 'last_outgoing_at',
                value ->> 'last_outgoing_id',
                value ->> 'contact',
                value ->> 'is_group',
                value ->> 'search',
                value ->> 'waiting_since',
                value ->> 'waiting_id'
            FROM jsonb_each(?1)
            WHERE true
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
            rows,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_chats(&mut self, chats: &[ChatKey]) -> Result<(), StoreError> {
        let keys = keys(chats);
        sqlx::query!(
            r#"
            DELETE FROM chats
            WHERE (instance_id, chat_id) IN (
                SELECT value ->> 'instance_id', value ->> 'id' FROM jsonb_each(?1)
            )
            "#,
            keys,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
