//! Messages. A message is a function of the set of its copies in the ledger.
//!
//! A gateway may send one message more than once: an empty stub before the real message, or a later copy that adds the
//! URL of the media. Copies are ordered by `sent_at` (unknown first), then by `body_sha256`. Each field has the value
//! of the last copy that fills it, so that neither the order of arrival nor repetition matters.
//!
//! A copy that is last in that order is laid over the recorded message ([`Message::laid_over`]), at a cost that does
//! not depend on the number of copies. Only for a copy that arrives out of order, all copies are read again and folded
//! ([`Message::fold`]).

use serde::Serialize;

use std::sync::Arc;

use super::event::{Effect, Interpretation, MAX_ACK_BYTES, MAX_REACTION_BYTES};
use super::instance::InstanceId;
use super::media::{MediaJob, source};
use super::search::first_words;
use crate::chat::chat_id;
use crate::event::defect::Defect;
use crate::event::document::Document;
use crate::message::ack::{AckStatus, MessageAck};
use crate::time::timestamp::Timestamp;

pub mod ack;
pub mod reaction;

/// The limit for `type` and `status`, by which lists find messages. The guide's values have up to 8 bytes.
const MAX_WORD_BYTES: usize = 128;
/// The limit for `sender_name`, which is read, written and shown with its chat. WhatsApp's names have up to 25
/// characters.
const MAX_NAME_BYTES: usize = 1_024;

/// The limits on the number of copies of a message that are folded again, and on the size of their bodies. Two copies
/// are always folded.
pub const MAX_FOLDED_COPIES: i64 = 1_000;
pub const MAX_FOLDED_BYTES: i64 = 8 * 1024 * 1024;

/// The `reason` of a copy that arrived out of order when its message had more copies than are folded again.
pub const TOO_MANY_COPIES: &str = "too_many_copies";

/// A copy of a message: the content of one `message_received` or `message_sent`. Empty text counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageCopy {
    pub id: String,
    pub fields: MessageFields,
    /// The words of the body, for searches. They are computed where the event is read, and not in the writer, because
    /// there is only one writer.
    pub words: String,
    /// The ack that the copy itself states.
    pub ack: Option<String>,
}

/// The fields of a message. They have the guide's names, except for `from_id` (`from`), `to_id` (`to`), `kind` (`type`)
/// and `sent_at` (`timestamp`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageFields {
    pub chat_id: Option<String>,
    pub from_id: Option<String>,
    pub to_id: Option<String>,
    /// True if any copy states it or is a `message_sent`.
    pub from_me: bool,
    pub sender_name: Option<String>,
    pub body: Option<String>,
    pub kind: Option<String>,
    pub sent_at: Option<Timestamp>,
    /// The stated value, which counts only if the chat is unknown.
    pub is_group: Option<bool>,
    pub quoted_message_id: Option<String>,
    pub reaction: Option<String>,
    pub media_url: Option<String>,
    pub location: Option<Location>,
    pub vcard: Option<String>,
    pub status: Option<String>,
    pub group_sender: Option<String>,
}

/// A place in degrees. There is no latitude without a longitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
}

/// A copy of a message, with its event in the ledger.
#[derive(Clone, Debug)]
pub struct LedgerCopy {
    pub instance_id: InstanceId,
    pub copy: Arc<MessageCopy>,
    pub body_sha256: [u8; 32],
    pub received_at: Timestamp,
    pub seq: i64,
}

/// The sort key of a copy among those of its message. The greater one is the later; unknown times come first.
pub type CopyOrder = (Option<Timestamp>, [u8; 32]);

/// The columns of a message's primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MessageKey {
    pub instance_id: InstanceId,
    pub id: String,
}

/// A row of `messages`. Its ack is the one that its copies state. Acks from other events are in `message_acks`.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub instance_id: InstanceId,
    pub id: String,
    pub fields: MessageFields,
    /// The words of the body, for searches.
    pub words: String,
    pub ack: AckStatus,
    /// The arrival of the earliest copy.
    pub received_at: Timestamp,
    /// The number in the ledger of the copy that is last in their order.
    pub event_seq: i64,
}

/// A recorded message, without the texts. Laying a later copy over those is done in the database.
#[derive(Clone, Debug)]
pub struct RecordedMessage {
    pub instance_id: InstanceId,
    pub id: String,
    /// The stated chat, or else the one that was worked out.
    pub chat_id: Option<String>,
    pub from_id: Option<String>,
    pub to_id: Option<String>,
    pub from_me: bool,
    pub sender_name: Option<String>,
    /// The time of the message, which is also that of its last copy.
    pub sent_at: Option<Timestamp>,
    pub is_group: bool,
    pub received_at: Timestamp,
    pub event_seq: i64,
}

/// The number of copies of a message in the ledger, and the size of their bodies. Counting stops when there are more
/// than can be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopySizes {
    pub copies: i64,
    pub bytes: i64,
}

impl CopySizes {
    /// Returns whether the copies may be read again while other events wait.
    pub fn can_be_folded(self) -> bool {
        self.copies <= 2 || (self.copies <= MAX_FOLDED_COPIES && self.bytes <= MAX_FOLDED_BYTES)
    }
}

impl MessageCopy {
    pub(crate) fn read(document: &mut Document<'_>, sent: bool, arrival: Timestamp) -> Result<Self, Defect> {
        let mut short = |field, most| document.short_text(field, most).filter(|text| !text.is_empty());
        let (kind, status) = (short("type", MAX_WORD_BYTES), short("status", MAX_WORD_BYTES));
        let (sender_name, reaction) = (short("sender_name", MAX_NAME_BYTES), short("reaction", MAX_REACTION_BYTES));
        let chat_id = document.optional_id("chat_id")?.map(chat_id::canonical);
        let body = document.text("body").filter(|text| !text.is_empty());
        let media_url = source::stated(document).map(source::column);
        // whatsapp-web.js, on which gateways are built, has the cards of several contacts in vCards.
        let vcard = document.cards("vcard").or_else(|| document.cards("vCards")).filter(|text| !text.is_empty());
        let texts =
            MessageFields { sender_name, body, kind, reaction, media_url, vcard, status, ..MessageFields::default() };
        let fields = MessageFields {
            is_group: document.flag("is_group"),
            chat_id,
            from_id: document.optional_id("from")?.map(chat_id::canonical),
            to_id: document.optional_id("to")?.map(chat_id::canonical),
            quoted_message_id: document.optional_id("quoted_message_id")?,
            group_sender: document.optional_id("group_sender")?.map(chat_id::canonical),
            from_me: document.flag("from_me").unwrap_or(false) || sent,
            sent_at: document.time("timestamp", arrival),
            location: Location::read(document),
            ..texts
        };
        let ack = document.limited_text("ack", MAX_ACK_BYTES)?.filter(|ack| !ack.is_empty());
        let words = fields.body.as_deref().map(first_words).unwrap_or_default();
        Ok(Self { id: document.required_id("id")?, fields, words, ack })
    }

    /// Returns the ack that the copy states, as a row of `message_acks`.
    pub(crate) fn stated_ack(&self, instance_id: &InstanceId, received_at: Timestamp) -> Option<MessageAck> {
        let ack = self.ack.clone()?;
        Some(MessageAck::new(instance_id.clone(), self.id.clone(), ack, received_at))
    }

    /// Returns the job to save the file that the copy names.
    pub fn media_job(&self, instance_id: &InstanceId, due_at: Timestamp) -> Option<MediaJob> {
        let source_url = self.fields.media_url.clone()?;
        let occurred_at = self.fields.sent_at.unwrap_or(due_at);
        Some(MediaJob::new(instance_id.clone(), self.id.clone(), source_url, occurred_at, due_at))
    }
}

impl Location {
    fn read(document: &mut Document<'_>) -> Option<Self> {
        let latitude = document.coordinate("latitude", 90.0);
        let longitude = document.coordinate("longitude", 180.0);
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => Some(Self { latitude, longitude }),
            (Some(_), None) => document.note_unusable("latitude"),
            (None, Some(_)) => document.note_unusable("longitude"),
            (None, None) => None,
        }
    }
}

impl MessageFields {
    /// Returns the chat that follows from the sender and the recipient.
    fn worked_out_chat(&self) -> Option<&str> {
        chat_id::worked_out(self.from_id.as_deref(), self.to_id.as_deref(), self.from_me)
    }

    /// Lays a later copy over the earlier ones. The fields that it fills win, and the others stay.
    fn overlay(self, later: &MessageFields) -> Self {
        Self {
            chat_id: later.chat_id.clone().or(self.chat_id),
            from_id: later.from_id.clone().or(self.from_id),
            to_id: later.to_id.clone().or(self.to_id),
            from_me: later.from_me || self.from_me,
            sender_name: later.sender_name.clone().or(self.sender_name),
            body: later.body.clone().or(self.body),
            kind: later.kind.clone().or(self.kind),
            sent_at: later.sent_at.or(self.sent_at),
            is_group: later.is_group.or(self.is_group),
            quoted_message_id: later.quoted_message_id.clone().or(self.quoted_message_id),
            reaction: later.reaction.clone().or(self.reaction),
            media_url: later.media_url.clone().or(self.media_url),
            location: later.location.or(self.location),
            vcard: later.vcard.clone().or(self.vcard),
            status: later.status.clone().or(self.status),
            group_sender: later.group_sender.clone().or(self.group_sender),
        }
    }
}

impl LedgerCopy {
    /// Reads the copy in a row of the ledger again. `None` if the row is not that of an applied message.
    pub fn of_ledger(
        instance_id: InstanceId,
        body: &[u8],
        body_sha256: &[u8],
        received_at: Timestamp,
        seq: i64,
    ) -> Option<Self> {
        let body_sha256 = body_sha256.try_into().ok()?;
        match Interpretation::of_ledger(body, &instance_id, received_at).effect {
            Effect::Message(copy) => Some(Self { instance_id, copy, body_sha256, received_at, seq }),
            _ => None,
        }
    }

    pub fn key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.copy.id.clone() }
    }

    pub fn order(&self) -> CopyOrder {
        (self.copy.fields.sent_at, self.body_sha256)
    }
}

/// Returns the copies of a message that its fields come from. Folding them, with further copies or without, gives the
/// same fields as folding all. Each of them contributes at least one field, so they are few.
pub fn essential_copies(mut copies: Vec<LedgerCopy>) -> Vec<LedgerCopy> {
    copies.sort_by_key(LedgerCopy::order);
    let (mut fields, mut essential) = (MessageFields::default(), Vec::new());
    for copy in copies.into_iter().rev() {
        let with_it = copy.copy.fields.clone().overlay(&fields);
        if with_it != fields || essential.is_empty() {
            fields = with_it;
            essential.push(copy);
        }
    }
    essential
}

impl Message {
    /// Folds the copies of one message. The same copy may be given twice; the order does not matter. The message has the
    /// chat that its copies state, until it is [`Self::placed`].
    ///
    /// # Panics
    /// If `copies` is empty.
    pub fn fold(copies: &[LedgerCopy]) -> Self {
        const THERE: &str = "a message has a copy";
        let mut copies: Vec<&LedgerCopy> = copies.iter().collect();
        copies.sort_by_key(|copy| copy.order());
        let last = copies.last().expect(THERE);
        let (MessageKey { instance_id, id }, event_seq) = (last.key(), last.seq);
        let received_at = copies.iter().map(|copy| copy.received_at).min().expect(THERE);
        let stated = copies.iter().filter_map(|copy| Some((copy.copy.ack.as_deref()?, copy.received_at)));
        let ack = AckStatus::of_message(stated);
        let (mut fields, mut words) = (MessageFields::default(), "");
        for LedgerCopy { copy, .. } in &copies {
            if copy.fields.body.is_some() {
                words = &copy.words;
            }
            fields = fields.overlay(&copy.fields);
        }
        Self { instance_id, id, fields, words: words.to_owned(), ack, received_at, event_seq }
    }

    /// Lays this message, which is folded from later copies, over the recorded one. Texts that it does not fill stay as
    /// they are recorded.
    #[must_use]
    pub fn laid_over(self, recorded: &RecordedMessage) -> Self {
        let earlier = MessageFields {
            chat_id: recorded.chat_id.clone().filter(|_| !recorded.may_have_worked_out_chat()),
            from_id: recorded.from_id.clone(),
            to_id: recorded.to_id.clone(),
            from_me: recorded.from_me,
            sender_name: recorded.sender_name.clone(),
            sent_at: recorded.sent_at,
            is_group: Some(recorded.is_group),
            ..MessageFields::default()
        };
        let received_at = self.received_at.min(recorded.received_at);
        Self { fields: earlier.overlay(&self.fields), received_at, ..self }.placed()
    }

    /// Works out the chat, if no copy states it. To be called once all copies are folded.
    #[must_use]
    pub fn placed(mut self) -> Self {
        if self.fields.chat_id.is_none() {
            self.fields.chat_id = self.fields.worked_out_chat().map(str::to_owned);
        }
        self
    }

    /// Keeps only the fields that the chat of the message needs, without the long texts.
    #[must_use]
    pub fn without_texts(self) -> Self {
        let MessageFields { chat_id, from_me, sender_name, sent_at, is_group, .. } = self.fields;
        let fields = MessageFields { chat_id, from_me, sender_name, sent_at, is_group, ..MessageFields::default() };
        Self { fields, words: String::new(), ..self }
    }

    pub fn key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.id.clone() }
    }

    /// Returns when the message was sent, or else when it arrived. Lists are ordered by this time.
    pub fn occurred_at(&self) -> Timestamp {
        self.fields.sent_at.unwrap_or(self.received_at)
    }

    /// Returns whether the message was sent in a group. Its chat says that, if it is known.
    pub fn is_group(&self) -> bool {
        let stated = self.fields.is_group.unwrap_or(false);
        self.fields.chat_id.as_deref().map_or(stated, chat_id::is_group)
    }
}

impl RecordedMessage {
    pub fn key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.id.clone() }
    }

    pub fn occurred_at(&self) -> Timestamp {
        self.sent_at.unwrap_or(self.received_at)
    }

    /// Returns whether later copies with these fields cannot be laid over the message, because its chat follows from
    /// other ids with them, and the row does not tell whether an earlier copy states that chat.
    pub fn hides_chat_from(&self, later: &MessageFields) -> bool {
        let earlier = self.ids();
        later.chat_id.is_none()
            && self.may_have_worked_out_chat()
            && earlier.clone().overlay(later).worked_out_chat() != earlier.worked_out_chat()
    }

    /// Returns whether the chat is the one that follows from the sender and the recipient. An earlier copy may state it
    /// too.
    fn may_have_worked_out_chat(&self) -> bool {
        self.chat_id.is_some() && self.ids().worked_out_chat() == self.chat_id.as_deref()
    }

    fn ids(&self) -> MessageFields {
        let (from_id, to_id) = (self.from_id.clone(), self.to_id.clone());
        MessageFields { from_id, to_id, from_me: self.from_me, ..MessageFields::default() }
    }
}

#[cfg(test)]
mod tests;
