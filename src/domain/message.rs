//! A message is a function of the set of its copies in the ledger.
//!
//! A gateway may send one message more than once: an empty stub before the real one, a later copy that brings the
//! media's URL. Ordered by (`sent_at`, unknown first; `body_sha256`), of each field the last copy that fills it wins,
//! so that neither order of arrival nor repetition matters.

use super::ack::{MessageAck, Standing};
use super::chat_id;
use super::defect::Defect;
use super::document::Document;
use super::event::{Effect, MAX_ACK_BYTES, Reading};
use super::instance::InstanceId;
use super::media::MediaJob;
use super::search::first_words;
use super::timestamp::Timestamp;

/// The longest `type` and `status` that is taken for one: lists find messages by them. The guide's have up to 8 bytes.
const MAX_WORD_BYTES: usize = 128;

/// What one `message_received` or `message_sent` says of a message. Empty text counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageCopy {
    pub id: String,
    pub fields: Fields,
    /// Of its body, for a search. They are worked out by whoever reads the event: there is one writer, and many of these.
    pub words: String,
    /// The ack that the copy itself states.
    pub ack: Option<String>,
}

/// A message's fields under the guide's names, but `from_id`, `to_id` (its `from`, `to`), `kind` (its `type`) and
/// `sent_at` (its `timestamp`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    pub chat_id: Option<String>,
    pub from_id: Option<String>,
    pub to_id: Option<String>,
    /// True if any copy says so, or is a `message_sent`.
    pub from_me: bool,
    pub sender_name: Option<String>,
    pub body: Option<String>,
    pub kind: Option<String>,
    pub sent_at: Option<Timestamp>,
    pub is_group: Option<bool>,
    pub quoted_message_id: Option<String>,
    pub reaction: Option<String>,
    pub media_url: Option<String>,
    pub location: Option<Location>,
    pub vcard: Option<String>,
    pub status: Option<String>,
    pub group_sender: Option<String>,
}

/// Degrees; the two belong together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
}

/// A copy and its place in the ledger.
#[derive(Clone, Debug)]
pub struct LedgerCopy {
    pub instance_id: InstanceId,
    pub copy: MessageCopy,
    pub body_sha256: [u8; 32],
    pub received_at: Timestamp,
    pub seq: i64,
}

/// The columns of a message's primary key.
pub type MessageKey = (InstanceId, String);

/// A row of `messages`. Its ack is what its copies state; what else was stated stands in `message_acks`.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub instance_id: InstanceId,
    pub id: String,
    pub fields: Fields,
    /// Of its body, for a search.
    pub words: String,
    pub ack: Standing,
    /// The earliest copy's arrival.
    pub received_at: Timestamp,
    /// The latest copy's number in the ledger.
    pub event_seq: i64,
}

impl MessageCopy {
    pub(super) fn read(document: &mut Document<'_>, sent: bool, arrival: Timestamp) -> Result<Self, Defect> {
        let mut word = |field| document.short_text(field, MAX_WORD_BYTES).filter(|text| !text.is_empty());
        let (kind, status) = (word("type"), word("status"));
        let mut text = |field| document.text(field).filter(|text| !text.is_empty());
        let texts = Fields {
            sender_name: text("sender_name"),
            body: text("body"),
            kind,
            reaction: text("reaction"),
            media_url: text("media_url"),
            vcard: text("vcard"),
            status,
            ..Fields::default()
        };
        let fields = Fields {
            chat_id: document.optional_id("chat_id")?,
            from_id: document.optional_id("from")?,
            to_id: document.optional_id("to")?,
            quoted_message_id: document.optional_id("quoted_message_id")?,
            group_sender: document.optional_id("group_sender")?,
            from_me: document.flag("from_me").unwrap_or(false) || sent,
            sent_at: document.time("timestamp", arrival),
            is_group: document.flag("is_group"),
            location: Location::read(document),
            ..texts
        };
        let ack = document.limited_text("ack", MAX_ACK_BYTES)?.filter(|ack| !ack.is_empty());
        let words = fields.body.as_deref().map(first_words).unwrap_or_default();
        Ok(Self { id: document.required_id("id")?, fields, words, ack })
    }

    /// The ack that it states, as a row of `message_acks`.
    pub(super) fn stated_ack(&self, instance_id: &InstanceId, received_at: Timestamp) -> Option<MessageAck> {
        let ack = self.ack.clone()?;
        Some(MessageAck { instance_id: instance_id.clone(), message_id: self.id.clone(), ack, received_at })
    }

    /// The file that it asks to be saved.
    pub(super) fn media_job(&self, instance_id: &InstanceId, due_at: Timestamp) -> Option<MediaJob> {
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

impl Fields {
    /// Lays a later copy over the earlier ones: what it fills wins, what it leaves empty stays.
    fn overlay(self, later: Fields) -> Self {
        Self {
            chat_id: later.chat_id.or(self.chat_id),
            from_id: later.from_id.or(self.from_id),
            to_id: later.to_id.or(self.to_id),
            from_me: later.from_me || self.from_me,
            sender_name: later.sender_name.or(self.sender_name),
            body: later.body.or(self.body),
            kind: later.kind.or(self.kind),
            sent_at: later.sent_at.or(self.sent_at),
            is_group: later.is_group.or(self.is_group),
            quoted_message_id: later.quoted_message_id.or(self.quoted_message_id),
            reaction: later.reaction.or(self.reaction),
            media_url: later.media_url.or(self.media_url),
            location: later.location.or(self.location),
            vcard: later.vcard.or(self.vcard),
            status: later.status.or(self.status),
            group_sender: later.group_sender.or(self.group_sender),
        }
    }
}

impl LedgerCopy {
    /// Reads a ledger row of an applied message again; `None` if it is no such row.
    pub fn of_ledger(
        instance_id: InstanceId,
        body: &[u8],
        body_sha256: &[u8],
        received_at: Timestamp,
        seq: i64,
    ) -> Option<Self> {
        let body_sha256 = body_sha256.try_into().ok()?;
        match Reading::of_ledger(body, &instance_id, received_at).effect {
            Effect::Message(copy) => Some(Self { instance_id, copy: *copy, body_sha256, received_at, seq }),
            _ => None,
        }
    }

    pub fn key(&self) -> MessageKey {
        (self.instance_id.clone(), self.copy.id.clone())
    }
}

impl Message {
    /// Folds the copies of one message. The same copy may be given twice; the order does not matter.
    ///
    /// # Panics
    /// If `copies` is empty.
    pub fn fold(mut copies: Vec<LedgerCopy>) -> Self {
        copies.sort_by_key(|copy| (copy.copy.fields.sent_at, copy.body_sha256));
        let received_at = copies.iter().map(|copy| copy.received_at).min();
        let event_seq = copies.iter().map(|copy| copy.seq).max();
        let (instance_id, id) = copies.first().expect("a message has a copy").key();
        let ack = Standing::highest(copies.iter().filter_map(|copy| copy.copy.ack.as_deref()));
        let (mut fields, mut words) = (Fields::default(), String::new());
        for LedgerCopy { copy, .. } in copies {
            if copy.fields.body.is_some() {
                words = copy.words;
            }
            fields = fields.overlay(copy.fields);
        }
        Self {
            instance_id,
            id,
            fields,
            words,
            ack,
            received_at: received_at.expect("a message has a copy"),
            event_seq: event_seq.expect("a message has a copy"),
        }
    }

    pub fn key(&self) -> MessageKey {
        (self.instance_id.clone(), self.id.clone())
    }

    /// When it happened: when it was sent, or else when it arrived. What lists are ordered by.
    pub fn occurred_at(&self) -> Timestamp {
        self.fields.sent_at.unwrap_or(self.received_at)
    }

    /// Whether it was said in a group: as stated, else by the chat's id.
    pub fn is_group(&self) -> bool {
        let by_chat = || self.fields.chat_id.as_deref().is_some_and(chat_id::is_group);
        self.fields.is_group.unwrap_or_else(by_chat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(seq: i64, sent_at: Option<i64>, fields: Fields) -> LedgerCopy {
        LedgerCopy {
            instance_id: InstanceId::new("123").unwrap(),
            copy: MessageCopy {
                id: "ABCD1234".to_owned(),
                words: fields.body.as_deref().map(first_words).unwrap_or_default(),
                fields: Fields { sent_at: sent_at.map(Timestamp::from_millis), ..fields },
                ack: None,
            },
            body_sha256: [seq as u8; 32],
            received_at: Timestamp::from_millis(1_000 * seq),
            seq,
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_later_copy_fills_what_a_stub_left_empty_and_blanks_nothing() {
        let stub = copy(1, None, Fields { sender_name: some("Juan"), is_group: Some(false), ..Fields::default() });
        let real = copy(2, Some(900), Fields { body: some("Hola"), ..Fields::default() });
        let late = copy(3, Some(900), Fields { media_url: some("/uploads/x.jpg"), ..Fields::default() });
        let message = Message::fold(vec![stub.clone(), real.clone(), late.clone()]);
        assert_eq!(message.fields.sender_name, some("Juan"));
        assert_eq!(message.fields.body, some("Hola"));
        assert_eq!(message.words, "hola");
        assert_eq!(message.fields.media_url, some("/uploads/x.jpg"));
        assert_eq!(message.received_at.millis(), 1_000);
        assert_eq!(message.occurred_at().millis(), 900);
        assert_eq!(message.event_seq, 3);
        assert_eq!(Message::fold(vec![late.clone(), stub, late, real]), message);
    }

    #[test]
    fn of_two_copies_that_disagree_the_later_sent_wins_and_then_the_greater_hash() {
        let body = |seq, sent_at, text| copy(seq, sent_at, Fields { body: some(text), ..Fields::default() });
        let fold = |copies: &[LedgerCopy]| Message::fold(copies.to_vec()).fields.body.unwrap();
        assert_eq!(fold(&[body(1, Some(20), "later"), body(2, Some(10), "earlier")]), "later");
        assert_eq!(fold(&[body(1, Some(10), "low"), body(2, Some(10), "high")]), "high");
        assert_eq!(fold(&[body(9, None, "unknown"), body(1, Some(10), "known")]), "known");
    }

    #[test]
    fn once_outgoing_always_outgoing() {
        let mine = copy(1, None, Fields { from_me: true, ..Fields::default() });
        let theirs = copy(2, Some(10), Fields::default());
        assert!(Message::fold(vec![mine, theirs]).fields.from_me);
    }

    #[test]
    fn a_group_is_known_by_its_chat_where_nobody_says() {
        let in_chat = |chat: &str, is_group| {
            Message::fold(vec![copy(1, None, Fields { chat_id: some(chat), is_group, ..Fields::default() })]).is_group()
        };
        assert!(in_chat("1203@g.us", None));
        assert!(!in_chat("573001112233@c.us", None));
        assert!(!in_chat("1203@g.us", Some(false)));
    }
}
