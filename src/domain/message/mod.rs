//! Messages. A message is a function of the set of its copies in the ledger.
//!
//! A gateway may send one message more than once: an empty stub before the real message, a later copy that adds the URL
//! of the media or changes the text, and one that says that the message was deleted.

use serde::Serialize;

use sha2::{Digest, Sha256};

use super::event::{MAX_ACK_BYTES, MAX_REACTION_BYTES};
use super::instance::InstanceId;
use super::media::{MediaJob, source};
use super::search::SearchedTexts;
use crate::chat::chat_id;
use crate::chat::chat_kind::ChatKind;
use crate::chat::person::evidence::{self, PersonLink};
use crate::event::defect::Defect;
use crate::event::document::Document;
use crate::message::ack::{AckStatus, MessageAck};
use crate::message::fold::{ChangeTime, Revocation};
use crate::message::reaction::MessageReaction;
use crate::message::service::{REACTION, REVOKED, is_service};
use crate::time::timestamp::Timestamp;

pub mod ack;
pub mod fold;
pub mod reaction;
pub mod service;
pub mod version;

/// The limit for `type` and `status`, by which lists find messages. The guide's values have up to 8 bytes.
const MAX_WORD_BYTES: usize = 128;
/// The limit for `sender_name`, which is read, written and shown with its chat. WhatsApp's names have up to 25
/// characters.
const MAX_NAME_BYTES: usize = 1_024;

/// A copy of a message: the content of one `message_received` or `message_sent`, or of an event that says that the
/// message was deleted. Empty text counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageCopy {
    pub id: String,
    pub fields: MessageFields,
    /// The words of the copy, for searches. They are computed where the event is read, and not in the writer, because
    /// there is only one writer.
    pub words: String,
    /// The beginning of the SHA-256 of the body, by which copies with another text are recognised.
    pub text_digest: Option<[u8; 16]>,
    /// True if the copy is of a service type.
    pub is_service: bool,
    /// The ack that the copy itself states.
    pub ack: Option<String>,
    /// The evidence that ids are those of one person.
    pub links: Vec<PersonLink>,
    /// The bytes of the event that are a file, as a `data:` URL.
    pub file_bytes: usize,
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
    /// A message has the earliest timestamp of all its copies.
    pub sent_at: Option<Timestamp>,
    /// The stated value, which counts only if the chat is unknown.
    pub is_group: Option<bool>,
    pub quoted_message_id: Option<String>,
    pub reaction: Option<String>,
    pub media_url: Option<String>,
    /// The name of the file (`filename`), which the guide does not have.
    pub file_name: Option<String>,
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
    /// The chat that the copies state or that follows from them, if the conversation has another id.
    pub stated_chat_id: Option<String>,
    /// The words of the message, for searches. What is laid over a recorded message has the words of its own texts.
    pub words: String,
    pub ack: AckStatus,
    /// The arrival of the earliest copy.
    pub received_at: Timestamp,
    /// The number in the ledger of the copy that came first. Messages of the same time are ordered by it.
    pub seq: i64,
    /// The number in the ledger of the copy that is last in their order.
    pub event_seq: i64,
    /// The timestamp of that copy.
    pub last_sent_at: Option<Timestamp>,
    /// True if no copy is of another than a service type.
    pub is_service: bool,
    /// The time of the first copy that has the last text.
    pub wording: Option<ChangeTime>,
    /// The same, if copies before it have another text.
    pub edit: Option<ChangeTime>,
    pub revocation: Option<Revocation>,
}

impl MessageCopy {
    pub(crate) fn read(document: &mut Document<'_>, sent: bool, arrival: Timestamp) -> Result<Self, Defect> {
        let mut short = |field, most| document.short_text(field, most).filter(|text| !text.is_empty());
        let (kind, status) = (short("type", MAX_WORD_BYTES), short("status", MAX_WORD_BYTES));
        let (sender_name, reaction) = (short("sender_name", MAX_NAME_BYTES), short("reaction", MAX_REACTION_BYTES));
        let file_name = short("filename", MAX_NAME_BYTES);
        let chat_id = document.optional_id("chat_id")?.map(chat_id::canonical);
        let body = document.text("body").filter(|text| !text.is_empty());
        let stated_url = source::stated(document);
        let file_bytes = stated_url.as_deref().filter(|url| source::is_inline(url)).map_or(0, str::len);
        let media_url = stated_url.map(source::column);
        // whatsapp-web.js, on which gateways are built, has the cards of several contacts in vCards.
        let vcard = document.cards("vcard").or_else(|| document.cards("vCards")).filter(|text| !text.is_empty());
        let texts = MessageFields {
            sender_name,
            body,
            kind,
            reaction,
            media_url,
            file_name,
            vcard,
            status,
            ..MessageFields::default()
        };
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
        let words = fields.searched().words();
        let text_digest = fields.body.as_deref().map(text_digest);
        let links = evidence::of_copy(document, &fields);
        let is_service = is_service(&fields);
        Ok(Self { id: document.required_id("id")?, fields, words, text_digest, is_service, ack, links, file_bytes })
    }

    /// Returns the copy as one of the type [`REVOKED`], whatever type it states.
    pub(crate) fn revoking(self) -> Self {
        let fields = MessageFields { kind: Some(REVOKED.to_owned()), ..self.fields };
        Self { fields, is_service: true, ..self }
    }

    /// Returns the ack that the copy states, as a row of `message_acks`.
    pub(crate) fn stated_ack(&self, instance_id: &InstanceId, received_at: Timestamp) -> Option<MessageAck> {
        let ack = self.ack.clone()?;
        Some(MessageAck::new(instance_id.clone(), self.id.clone(), ack, received_at))
    }

    /// Returns the reaction that the copy is, as a row of `message_reactions`. The emoji is its `reaction`, or else its
    /// body; without either it is a removal.
    pub(crate) fn stated_reaction(&self, instance_id: &InstanceId, received_at: Timestamp) -> Option<MessageReaction> {
        let fields = &self.fields;
        let message_id = fields.quoted_message_id.clone().filter(|_| fields.kind.as_deref() == Some(REACTION))?;
        let from_number = fields.group_sender.clone().or_else(|| fields.from_id.clone())?;
        let reaction = fields.reaction.clone().or_else(|| fields.body.clone()).unwrap_or_default();
        let reacted_at = fields.sent_at.unwrap_or(received_at);
        let reaction = MessageReaction {
            instance_id: instance_id.clone(),
            message_id,
            from_number,
            reaction,
            reacted_at,
            received_at,
            last_received_at: received_at,
        };
        (reaction.reaction.len() <= MAX_REACTION_BYTES).then_some(reaction)
    }

    /// Returns the job to save the file that the copy names.
    pub fn media_job(&self, instance_id: &InstanceId, due_at: Timestamp) -> Option<MediaJob> {
        let source_url = self.fields.media_url.clone()?;
        let occurred_at = occurred_at(self.fields.sent_at, due_at);
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

    /// Lays a later copy over the earlier ones. The fields that it fills win, and the others stay. The time does not
    /// follow from that order.
    fn overlay(self, later: &MessageFields) -> Self {
        Self {
            chat_id: later.chat_id.clone().or(self.chat_id),
            from_id: later.from_id.clone().or(self.from_id),
            to_id: later.to_id.clone().or(self.to_id),
            from_me: later.from_me || self.from_me,
            sender_name: later.sender_name.clone().or(self.sender_name),
            body: later.body.clone().or(self.body),
            kind: later.kind.clone().or(self.kind),
            sent_at: None,
            is_group: later.is_group.or(self.is_group),
            quoted_message_id: later.quoted_message_id.clone().or(self.quoted_message_id),
            reaction: later.reaction.clone().or(self.reaction),
            media_url: later.media_url.clone().or(self.media_url),
            file_name: later.file_name.clone().or(self.file_name),
            location: later.location.or(self.location),
            vcard: later.vcard.clone().or(self.vcard),
            status: later.status.clone().or(self.status),
            group_sender: later.group_sender.clone().or(self.group_sender),
        }
    }

    /// Returns the texts in which searches find words.
    pub fn searched(&self) -> SearchedTexts<'_> {
        SearchedTexts {
            body: self.body.as_deref(),
            file_name: self.file_name.as_deref(),
            media_url: self.media_url.as_deref(),
            vcard: self.vcard.as_deref(),
        }
    }
}

impl Message {
    /// Works out the chat, if no copy states it. To be called once all copies are folded.
    #[must_use]
    pub fn placed(mut self) -> Self {
        if self.fields.chat_id.is_none() {
            self.fields.chat_id = self.fields.worked_out_chat().map(str::to_owned);
        }
        self
    }

    /// Puts the message into the conversation that its chat belongs to.
    #[must_use]
    pub fn in_chat(mut self, chat_id: &str) -> Self {
        if let Some(stated) = self.stated_chat_id.take().or_else(|| self.fields.chat_id.take()) {
            self.stated_chat_id = Some(stated).filter(|stated| stated != chat_id);
            self.fields.chat_id = Some(chat_id.to_owned());
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

    /// Returns the place of the message in time. Lists are ordered by it.
    pub fn occurred_at(&self) -> Timestamp {
        occurred_at(self.fields.sent_at, self.received_at)
    }

    /// Returns whether the message was sent in a group. Its chat says that, if it is known.
    pub fn is_group(&self) -> bool {
        let stated = self.fields.is_group.unwrap_or(false);
        self.fields.chat_id.as_deref().map_or(stated, |id| ChatKind::of(id) == ChatKind::Group)
    }

    /// Returns the kind of the chat.
    pub fn chat_kind(&self) -> ChatKind {
        ChatKind::of(self.fields.chat_id.as_deref().unwrap_or_default())
    }
}

/// Returns when something was sent, but not later than it arrived: a clock that is ahead puts nothing above what comes
/// after it. The arrival is cut to its second, as the gateway's times are.
fn occurred_at(sent_at: Option<Timestamp>, received_at: Timestamp) -> Timestamp {
    sent_at.filter(|sent_at| *sent_at <= received_at).unwrap_or_else(|| received_at.second_start())
}

fn text_digest(text: &str) -> [u8; 16] {
    const THERE: &str = "a SHA-256 has 32 bytes";
    *Sha256::digest(text).first_chunk().expect(THERE)
}

#[cfg(test)]
mod tests;
