//! A message as a function of the set of its copies.
//!
//! Copies are ordered: those of a service type first, then by their timestamp (unknown first), then by their number in
//! the ledger. Each field has the value of the last copy that fills it. Once a copy is not of a service type, those
//! that are contribute only to times. The place of a message is that of its earliest timestamp, so that an edit does
//! not move it.
//!
//! A copy that is last in that order is laid over the recorded message ([`Message::laid_over`]), at a cost that does
//! not depend on the number of copies. Only for a copy that is applied out of order, all copies are read again and
//! folded ([`Message::fold`]).

use std::cmp::Reverse;
use std::sync::Arc;

use super::ack::AckStatus;
use super::service::REVOKED;
use super::{Message, MessageCopy, MessageFields, MessageKey, occurred_at};
use crate::event::{Effect, Interpretation};
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// The limits on the number of copies of a message that are folded again, and on the size of their bodies. Two copies
/// are always folded.
pub const MAX_FOLDED_COPIES: i64 = 1_000;
pub const MAX_FOLDED_BYTES: i64 = 8 * 1024 * 1024;

/// The `reason` of a copy that arrived out of order when its message had more copies than are folded again.
pub const TOO_MANY_COPIES: &str = "too_many_copies";

/// A copy of a message, with its event in the ledger.
#[derive(Clone, Debug)]
pub struct LedgerCopy {
    pub instance_id: InstanceId,
    pub copy: Arc<MessageCopy>,
    pub received_at: Timestamp,
    pub seq: i64,
}

/// The sort key of a copy among those of its message. The greater one is the later. Copies that are not of a service
/// type are later than the others, and unknown times are the earliest.
pub type CopyOrder = (Reverse<bool>, Option<Timestamp>, i64);

/// The time at which a copy changed its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeTime {
    /// The copy's timestamp if that is later than the message's, else the copy's arrival.
    pub at: Timestamp,
    pub sent_at: Option<Timestamp>,
}

/// The deletion of a message: its earliest copy of the type `revoked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub time: ChangeTime,
    pub seq: i64,
}

/// A recorded message, without the texts. Laying a later copy over those is done in the database.
#[derive(Clone, Debug)]
pub struct RecordedMessage {
    pub instance_id: InstanceId,
    pub id: String,
    pub chat_id: Option<String>,
    pub stated_chat_id: Option<String>,
    pub from_id: Option<String>,
    pub to_id: Option<String>,
    pub from_me: bool,
    pub sender_name: Option<String>,
    pub sent_at: Option<Timestamp>,
    pub is_group: bool,
    pub received_at: Timestamp,
    pub seq: i64,
    pub event_seq: i64,
    pub last_sent_at: Option<Timestamp>,
    pub is_service: bool,
    pub edited_at: Option<Timestamp>,
    pub edited_sent_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub revoked_sent_at: Option<Timestamp>,
    pub revoked_seq: Option<i64>,
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

impl ChangeTime {
    fn of(copy: &LedgerCopy) -> Self {
        Self { at: copy.received_at, sent_at: copy.copy.fields.sent_at }
    }

    /// Returns the time for a message that was sent at `sent_at`, which may be earlier than it was known to be before.
    fn after(self, sent_at: Option<Timestamp>) -> Self {
        Self { at: self.sent_at.filter(|stated| Some(*stated) > sent_at).unwrap_or(self.at), ..self }
    }
}

impl Revocation {
    fn of(copy: &LedgerCopy) -> Option<Self> {
        copy.is_revocation().then(|| Self { time: ChangeTime::of(copy), seq: copy.seq })
    }

    fn earliest(revocations: impl IntoIterator<Item = Self>) -> Option<Self> {
        revocations.into_iter().min_by_key(|it| (it.time.sent_at, it.seq))
    }
}

impl LedgerCopy {
    /// Reads the copy in a row of the ledger again. `None` if the row is not that of an applied message.
    pub fn of_ledger(instance_id: InstanceId, body: &[u8], received_at: Timestamp, seq: i64) -> Option<Self> {
        match Interpretation::of_ledger(body, &instance_id, received_at).effect {
            Effect::Message(copy) => Some(Self { instance_id, copy, received_at, seq }),
            _ => None,
        }
    }

    pub fn key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.copy.id.clone() }
    }

    pub fn order(&self) -> CopyOrder {
        (Reverse(self.copy.is_service), self.copy.fields.sent_at, self.seq)
    }

    fn is_revocation(&self) -> bool {
        self.copy.fields.kind.as_deref() == Some(REVOKED)
    }

    /// Returns the copy without the fields that later copies fill.
    fn without_content(self) -> Self {
        let MessageCopy { id, fields, text_digest, is_service, .. } = &*self.copy;
        let fields = MessageFields { kind: fields.kind.clone(), sent_at: fields.sent_at, ..MessageFields::default() };
        let copy = MessageCopy {
            id: id.clone(),
            fields,
            text_digest: *text_digest,
            is_service: *is_service,
            ..MessageCopy::default()
        };
        Self { copy: Arc::new(copy), ..self }
    }
}

/// Returns the copies of a message that its row depends on. Folding them, with further copies or without, gives the
/// same row as folding all. Few of them have content: each fills at least one field.
pub fn essential_copies(mut copies: Vec<LedgerCopy>) -> Vec<LedgerCopy> {
    copies.sort_by_key(LedgerCopy::order);
    let mut sent_at = earliest(copies.iter().map(|copy| copy.copy.fields.sent_at));
    let mut received_at = copies.iter().map(|copy| copy.received_at).min();
    let seq = copies.iter().map(|copy| copy.seq).min();
    let is_service = copies.last().is_some_and(|last| last.copy.is_service);
    let (mut fields, mut essential) = (MessageFields::default(), Vec::new());
    for copy in copies.into_iter().rev() {
        let with_it = copy.copy.fields.clone().overlay(&fields);
        if copy.copy.is_service == is_service && (with_it != fields || essential.is_empty()) {
            fields = with_it;
            essential.push(copy);
            continue;
        }
        let was_sent_first = sent_at.take_if(|first| copy.copy.fields.sent_at == Some(*first)).is_some();
        let came_first = received_at.take_if(|first| copy.received_at == *first).is_some();
        let is_first = was_sent_first || came_first || Some(copy.seq) == seq;
        if is_first || copy.copy.text_digest.is_some() || copy.is_revocation() {
            essential.push(copy.without_content());
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
        let (MessageKey { instance_id, id }, is_service) = (last.key(), last.copy.is_service);
        let content = || copies.iter().filter(|copy| copy.copy.is_service == is_service);
        let mut fields = MessageFields::default();
        let (mut digest, mut wording, mut edit) = (None, None, None);
        for copy in content() {
            if copy.copy.text_digest.is_some() && copy.copy.text_digest != digest {
                wording = Some(ChangeTime::of(copy));
                edit = if digest.is_some() { wording } else { None };
                digest = copy.copy.text_digest;
            }
            fields = fields.overlay(&copy.copy.fields);
        }
        let words = content().find(|copy| copy.copy.fields.searched() == fields.searched());
        let words = words.map_or_else(|| fields.searched().words(), |copy| copy.copy.words.clone());
        let stated = copies.iter().filter_map(|copy| Some((copy.copy.ack.as_deref()?, copy.received_at)));
        fields.sent_at = earliest(copies.iter().map(|copy| copy.copy.fields.sent_at));
        Self {
            instance_id,
            id,
            fields,
            stated_chat_id: None,
            words,
            ack: AckStatus::of_message(stated),
            received_at: copies.iter().map(|copy| copy.received_at).min().expect(THERE),
            seq: copies.iter().map(|copy| copy.seq).min().expect(THERE),
            event_seq: last.seq,
            last_sent_at: last.copy.fields.sent_at,
            is_service,
            wording: wording.filter(|_| !is_service),
            edit: edit.filter(|_| !is_service),
            revocation: Revocation::earliest(copies.iter().filter_map(|copy| Revocation::of(copy))),
        }
        .with_times_of_changes()
    }

    /// Lays this message, which is folded from copies that [`RecordedMessage::split`] lets through or from all of them,
    /// over the recorded one. Texts that it does not fill stay as they are recorded. `changes_text` says that the
    /// recorded text is another than that of this message.
    #[must_use]
    pub fn laid_over(self, recorded: &RecordedMessage, changes_text: bool) -> Self {
        let earlier = MessageFields {
            chat_id: recorded.stated_chat().cloned().filter(|_| !recorded.may_have_worked_out_chat()),
            from_id: recorded.from_id.clone(),
            to_id: recorded.to_id.clone(),
            from_me: recorded.from_me,
            sender_name: recorded.sender_name.clone(),
            is_group: Some(recorded.is_group),
            ..MessageFields::default()
        };
        let sent_at = earliest([self.fields.sent_at, recorded.sent_at]);
        let changed = self.edit.or(self.wording.filter(|_| changes_text));
        let content = match (recorded.is_service, self.is_service) {
            (true, false) => self,
            (false, true) => Self {
                fields: earlier,
                words: String::new(),
                event_seq: recorded.event_seq,
                last_sent_at: recorded.last_sent_at,
                is_service: false,
                edit: recorded.edit(),
                ..self
            },
            _ => Self { fields: earlier.overlay(&self.fields), edit: changed.or(recorded.edit()), ..self },
        };
        Self {
            fields: MessageFields { sent_at, ..content.fields },
            received_at: content.received_at.min(recorded.received_at),
            seq: content.seq.min(recorded.seq),
            revocation: Revocation::earliest(content.revocation.into_iter().chain(recorded.revocation())),
            ..content
        }
        .placed()
        .with_times_of_changes()
    }

    fn with_times_of_changes(self) -> Self {
        let sent_at = self.fields.sent_at;
        let after = |time: ChangeTime| time.after(sent_at);
        let revocation = self.revocation.map(|it| Revocation { time: after(it.time), ..it });
        Self { wording: self.wording.map(after), edit: self.edit.map(after), revocation, ..self }
    }
}

impl RecordedMessage {
    pub fn key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.id.clone() }
    }

    pub fn occurred_at(&self) -> Timestamp {
        occurred_at(self.sent_at, self.received_at)
    }

    /// Returns the chat that the copies state, or else the one that was worked out.
    pub fn stated_chat(&self) -> Option<&String> {
        self.stated_chat_id.as_ref().or(self.chat_id.as_ref())
    }

    /// Returns the message without its texts.
    pub fn into_message(self) -> Message {
        let (edit, revocation) = (self.edit(), self.revocation());
        let fields = MessageFields {
            chat_id: self.chat_id,
            from_id: self.from_id,
            to_id: self.to_id,
            from_me: self.from_me,
            sender_name: self.sender_name,
            sent_at: self.sent_at,
            is_group: Some(self.is_group),
            ..MessageFields::default()
        };
        Message {
            instance_id: self.instance_id,
            id: self.id,
            fields,
            stated_chat_id: self.stated_chat_id,
            words: String::new(),
            ack: AckStatus::of_message(std::iter::empty()),
            received_at: self.received_at,
            seq: self.seq,
            event_seq: self.event_seq,
            last_sent_at: self.last_sent_at,
            is_service: self.is_service,
            wording: None,
            edit,
            revocation,
        }
    }

    /// Divides new copies into those that can be laid over the message, and those that come before what is recorded.
    pub fn split(&self, copies: Vec<LedgerCopy>) -> (Vec<LedgerCopy>, Vec<LedgerCopy>) {
        let is_service = self.is_service && copies.iter().all(|copy| copy.copy.is_service);
        let recorded = (Reverse(self.is_service), self.last_sent_at, self.event_seq);
        // Only copies that have a say in the content are in the way of each other.
        let is_later = |copy: &LedgerCopy| copy.copy.is_service != is_service || copy.order() > recorded;
        let (later, early): (Vec<LedgerCopy>, Vec<LedgerCopy>) = copies.into_iter().partition(is_later);
        if later.is_empty() || !self.hides_chat_from(&Message::fold(&later)) {
            return (later, early);
        }
        let (others, hidden) = later.into_iter().partition(|copy| copy.copy.is_service != is_service);
        (others, [early, hidden].concat())
    }

    /// Returns whether a message that is folded from later copies cannot be laid over this one, because its chat follows
    /// from other ids with them, and the row does not tell whether an earlier copy states that chat.
    fn hides_chat_from(&self, later: &Message) -> bool {
        let earlier = self.ids();
        later.is_service == self.is_service
            && later.fields.chat_id.is_none()
            && self.may_have_worked_out_chat()
            && earlier.clone().overlay(&later.fields).worked_out_chat() != earlier.worked_out_chat()
    }

    /// Returns whether the chat is the one that follows from the sender and the recipient. An earlier copy may state it
    /// too.
    fn may_have_worked_out_chat(&self) -> bool {
        self.chat_id.is_some() && self.ids().worked_out_chat() == self.stated_chat().map(String::as_str)
    }

    fn ids(&self) -> MessageFields {
        let (from_id, to_id) = (self.from_id.clone(), self.to_id.clone());
        MessageFields { from_id, to_id, from_me: self.from_me, ..MessageFields::default() }
    }

    fn edit(&self) -> Option<ChangeTime> {
        Some(ChangeTime { at: self.edited_at?, sent_at: self.edited_sent_at })
    }

    fn revocation(&self) -> Option<Revocation> {
        let time = ChangeTime { at: self.revoked_at?, sent_at: self.revoked_sent_at };
        Some(Revocation { time, seq: self.revoked_seq? })
    }
}

fn earliest(times: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
