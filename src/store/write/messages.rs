//! Messages. Each is a function of its copies in the ledger.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;

use crate::StoreError;
use domain::chat::chat_kind::ChatKind;
use domain::event::EventState;
use domain::instance::InstanceId;
use domain::message::fold::{ChangeTime, CopySizes, LedgerCopy, RecordedMessage, Revocation};
use domain::message::{Message, MessageKey};
use domain::search::{MAX_UNFOLDED_BYTES, MAX_URL_BYTES, SearchedTexts};
use domain::time::timestamp::Timestamp;

/// The number of characters of a text, and of a URL, that indexed words can take. A character has at least a byte;
/// there is one character more, so that a longer text is seen to be cut.
pub(crate) const ENOUGH_OF_A_TEXT: i32 = MAX_UNFOLDED_BYTES as i32 + 1;
pub(crate) const ENOUGH_OF_A_URL: i32 = MAX_URL_BYTES as i32 + 1;

/// The treatment of a message that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfPresent {
    Keep,
    /// The fields that the new message fills replace the recorded ones. More copies never remove a field, except that a
    /// chat that was worked out may be another one, or none.
    Overlay,
}

/// A page of copies of messages, in the order of their numbers.
pub(crate) struct CopyPage {
    pub(crate) copies: Vec<LedgerCopy>,
    /// The last number that was read; `None` at the end.
    pub(crate) reached: Option<i64>,
}

/// The columns of `events` that a copy is read from.
pub(crate) struct CopyColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) received_at: Timestamp,
    pub(crate) seq: i64,
    pub(crate) state: String,
}

impl From<Vec<CopyColumns>> for CopyPage {
    fn from(rows: Vec<CopyColumns>) -> Self {
        let reached = rows.last().map(|row| row.seq);
        let applied = rows.into_iter().filter(|row| row.state == EventState::Applied.as_str());
        let copy = |row: CopyColumns| LedgerCopy::of_ledger(row.instance_id, &row.body?, row.received_at, row.seq);
        Self { copies: applied.filter_map(copy).collect(), reached }
    }
}

/// The columns that the words of a message come from, as far as its words go.
pub(crate) struct TextColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) id: String,
    pub(crate) body: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) media_url: Option<String>,
    pub(crate) vcard: Option<String>,
}

impl TextColumns {
    pub(crate) fn words(&self) -> String {
        let texts = SearchedTexts {
            body: self.body.as_deref(),
            file_name: self.file_name.as_deref(),
            media_url: self.media_url.as_deref(),
            vcard: self.vcard.as_deref(),
        };
        texts.words()
    }
}

/// The columns of a new row of `messages`.
#[derive(Serialize)]
pub(crate) struct MessageColumns<'m> {
    pub(crate) instance_id: &'m InstanceId,
    pub(crate) id: &'m str,
    pub(crate) chat_id: Option<&'m str>,
    pub(crate) stated_chat_id: Option<&'m str>,
    pub(crate) from_id: Option<&'m str>,
    pub(crate) to_id: Option<&'m str>,
    pub(crate) from_me: bool,
    pub(crate) sender_name: Option<&'m str>,
    pub(crate) body: Option<&'m str>,
    pub(crate) r#type: Option<&'m str>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) kind: ChatKind,
    pub(crate) is_group: bool,
    pub(crate) quoted_message_id: Option<&'m str>,
    pub(crate) reaction: Option<&'m str>,
    pub(crate) media_url: Option<&'m str>,
    pub(crate) file_name: Option<&'m str>,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) vcard: Option<&'m str>,
    pub(crate) status: Option<&'m str>,
    pub(crate) group_sender: Option<&'m str>,
    pub(crate) received_at: Timestamp,
    pub(crate) occurred_at: Timestamp,
    pub(crate) seq: i64,
    pub(crate) event_seq: i64,
    pub(crate) last_sent_at: Option<Timestamp>,
    pub(crate) is_service: bool,
    pub(crate) edited_at: Option<Timestamp>,
    pub(crate) edited_sent_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) revoked_sent_at: Option<Timestamp>,
    pub(crate) revoked_seq: Option<i64>,
    pub(crate) ack: &'m str,
    pub(crate) ack_rank: i16,
}

impl<'m> From<&'m Message> for MessageColumns<'m> {
    fn from(message: &'m Message) -> Self {
        let fields = &message.fields;
        let (edited_at, edited_sent_at) = change_columns(message.edit);
        let (revoked_at, revoked_sent_at) = change_columns(message.revocation.map(|it| it.time));
        Self {
            instance_id: &message.instance_id,
            id: &message.id,
            chat_id: fields.chat_id.as_deref(),
            stated_chat_id: message.stated_chat_id.as_deref(),
            from_id: fields.from_id.as_deref(),
            to_id: fields.to_id.as_deref(),
            from_me: fields.from_me,
            sender_name: fields.sender_name.as_deref(),
            body: fields.body.as_deref(),
            r#type: fields.kind.as_deref(),
            sent_at: fields.sent_at,
            kind: message.chat_kind(),
            is_group: message.is_group(),
            quoted_message_id: fields.quoted_message_id.as_deref(),
            reaction: fields.reaction.as_deref(),
            media_url: fields.media_url.as_deref(),
            file_name: fields.file_name.as_deref(),
            latitude: fields.location.map(|at| at.latitude),
            longitude: fields.location.map(|at| at.longitude),
            vcard: fields.vcard.as_deref(),
            status: fields.status.as_deref(),
            group_sender: fields.group_sender.as_deref(),
            received_at: message.received_at,
            occurred_at: message.occurred_at(),
            seq: message.seq,
            event_seq: message.event_seq,
            last_sent_at: message.last_sent_at,
            is_service: message.is_service,
            edited_at,
            edited_sent_at,
            revoked_at,
            revoked_sent_at,
            revoked_seq: message.revocation.map(|Revocation { seq, .. }| seq),
            ack: &message.ack.ack,
            ack_rank: message.ack.rank,
        }
    }
}

/// The two columns of a [`ChangeTime`].
fn change_columns(time: Option<ChangeTime>) -> (Option<Timestamp>, Option<Timestamp>) {
    (time.map(|time| time.at), time.and_then(|time| time.sent_at))
}

/// A message with a text, as a parameter of a statement.
#[derive(Serialize)]
pub(crate) struct WordedMessage<'m> {
    pub(crate) instance_id: &'m InstanceId,
    pub(crate) id: &'m str,
    pub(crate) body: Option<&'m str>,
}

impl<'m> From<&&'m Message> for WordedMessage<'m> {
    fn from(message: &&'m Message) -> Self {
        Self { instance_id: &message.instance_id, id: &message.id, body: message.fields.body.as_deref() }
    }
}

/// The statements on `messages` within a transaction.
#[async_trait]
pub(crate) trait MessageRows {
    /// Writes messages, and returns the keys of those that were written. A new message has the ack that its copies
    /// state; an existing one keeps its ack.
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError>;

    /// Returns the messages as they are recorded.
    async fn recorded(&mut self, keys: &[MessageKey]) -> Result<Vec<RecordedMessage>, StoreError>;

    /// Returns the texts of these messages.
    async fn texts(&mut self, keys: &[MessageKey]) -> Result<Vec<TextColumns>, StoreError>;

    /// Returns those of these messages whose recorded text is another.
    async fn reworded(&mut self, messages: &[&Message]) -> Result<HashSet<MessageKey>, StoreError>;

    /// Removes the contents of recorded messages, and returns how many these are.
    async fn empty_messages(&mut self, keys: &[MessageKey]) -> Result<u64, StoreError>;

    /// Returns the number of copies of each message in the ledger, applied or not, and the size of their bodies. Of
    /// each message, at most one copy more than may be folded is counted. No body is read for that.
    async fn copy_sizes(&mut self, keys: &[MessageKey]) -> Result<Vec<(MessageKey, CopySizes)>, StoreError>;

    /// Returns the applied copies of these messages with numbers greater than `after`, up to `last`. Their bytes are at
    /// most those that may be folded, but at least one copy is returned.
    async fn copies(&mut self, keys: &[MessageKey], after: i64, last: i64) -> Result<CopyPage, StoreError>;

    /// Returns the keys of the outgoing messages with these ids, in all instances but `-`. Service messages are none.
    async fn outgoing_with_ids(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError>;
}
