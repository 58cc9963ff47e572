//! Chats and their latest messages.

use async_trait::async_trait;
use serde::Serialize;

use super::responses::questions;
use crate::StoreError;
use domain::chat::chat_id;
use domain::chat::chat_kind::ChatKind;
use domain::chat::{Chat, ChatKey, ChatName, MessagePosition, StaleChatFields};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The statements on `chats` within a transaction.
#[async_trait]
pub(crate) trait ChatRows {
    /// Returns the chats among these that exist.
    async fn chats(&mut self, keys: &[ChatKey]) -> Result<Vec<Chat>, StoreError>;

    /// Returns what `messages` holds for the vacant places of these chats. Other places stay empty, and nothing is
    /// counted.
    async fn latest_in_chats(&mut self, vacant: &[(ChatKey, StaleChatFields)]) -> Result<Vec<Chat>, StoreError>;

    /// Writes whole rows, and returns how many were written.
    async fn save_chats(&mut self, chats: &[Chat]) -> Result<u64, StoreError>;

    async fn delete_chats(&mut self, keys: &[ChatKey]) -> Result<(), StoreError>;
}

/// The columns of `chats` that a [`Chat`] is read from.
#[derive(Serialize)]
pub(crate) struct ChatColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) chat_id: String,
    pub(crate) name: Option<String>,
    pub(crate) given_name: Option<String>,
    pub(crate) name_at: Option<Timestamp>,
    pub(crate) name_message_id: Option<String>,
    pub(crate) name_seq: Option<i64>,
    pub(crate) message_count: i64,
    pub(crate) service_count: i64,
    pub(crate) last_incoming_at: Option<Timestamp>,
    pub(crate) last_incoming_id: Option<String>,
    pub(crate) last_incoming_seq: Option<i64>,
    pub(crate) last_outgoing_at: Option<Timestamp>,
    pub(crate) last_outgoing_id: Option<String>,
    pub(crate) last_outgoing_seq: Option<i64>,
    pub(crate) waiting_since: Option<Timestamp>,
    pub(crate) waiting_id: Option<String>,
    pub(crate) waiting_seq: Option<i64>,
    pub(crate) last_asked_at: Option<Timestamp>,
}

/// All columns of a row of `chats`: with those that follow from the others.
#[derive(Serialize)]
pub(crate) struct SavedChatColumns {
    #[serde(flatten)]
    pub(crate) chat: ChatColumns,
    pub(crate) last_message_at: Option<Timestamp>,
    pub(crate) last_message_id: Option<String>,
    pub(crate) contact: Option<String>,
    pub(crate) kind: ChatKind,
    pub(crate) search: String,
}

/// The three columns of a [`MessagePosition`].
fn mark_columns(mark: Option<&MessagePosition>) -> (Option<Timestamp>, Option<String>, Option<i64>) {
    (mark.map(|mark| mark.occurred_at), mark.map(|mark| mark.message_id.clone()), mark.map(|mark| mark.seq))
}

/// Reads a [`MessagePosition`] from its three columns.
pub(crate) fn mark(
    occurred_at: Option<Timestamp>,
    message_id: Option<String>,
    seq: Option<i64>,
) -> Option<MessagePosition> {
    Some(MessagePosition { occurred_at: occurred_at?, seq: seq?, message_id: message_id? })
}

impl From<&Chat> for SavedChatColumns {
    fn from(chat: &Chat) -> Self {
        let (last_message_at, last_message_id, _) = mark_columns(chat.last_message());
        Self {
            chat: ChatColumns::from(chat),
            last_message_at,
            last_message_id,
            contact: chat_id::contact(&chat.chat_id).map(str::to_owned),
            kind: chat.kind(),
            search: chat.search(),
        }
    }
}

impl From<&Chat> for ChatColumns {
    fn from(chat: &Chat) -> Self {
        let (name_at, name_message_id, name_seq) = mark_columns(chat.name.as_ref().map(|name| &name.position));
        let (last_incoming_at, last_incoming_id, last_incoming_seq) = mark_columns(chat.last_incoming.as_ref());
        let (last_outgoing_at, last_outgoing_id, last_outgoing_seq) = mark_columns(chat.last_outgoing.as_ref());
        let (waiting_since, waiting_id, waiting_seq) =
            mark_columns(chat.waiting.as_ref().map(|waiting| &waiting.first));
        Self {
            instance_id: chat.instance_id.clone(),
            chat_id: chat.chat_id.clone(),
            name: chat.name.as_ref().map(|name| name.name.clone()),
            given_name: chat.given_name.clone(),
            name_at,
            name_message_id,
            name_seq,
            message_count: chat.message_count,
            service_count: chat.service_count,
            last_incoming_at,
            last_incoming_id,
            last_incoming_seq,
            last_outgoing_at,
            last_outgoing_id,
            last_outgoing_seq,
            waiting_since,
            waiting_id,
            waiting_seq,
            last_asked_at: chat.waiting.as_ref().map(|waiting| waiting.last_at),
        }
    }
}

impl From<ChatColumns> for Chat {
    fn from(row: ChatColumns) -> Self {
        let named = |mark: MessagePosition| Some(ChatName { position: mark, name: row.name? });
        Self {
            instance_id: row.instance_id,
            chat_id: row.chat_id,
            message_count: row.message_count,
            service_count: row.service_count,
            given_name: row.given_name,
            last_incoming: mark(row.last_incoming_at, row.last_incoming_id, row.last_incoming_seq),
            last_outgoing: mark(row.last_outgoing_at, row.last_outgoing_id, row.last_outgoing_seq),
            name: mark(row.name_at, row.name_message_id, row.name_seq).and_then(named),
            waiting: questions(mark(row.waiting_since, row.waiting_id, row.waiting_seq), row.last_asked_at),
        }
    }
}
