//! Events: the five types of the guide, those of deletions, and unknown ones. An [`Event`] is a verified body with its
//! [`Interpretation`], which says what the event changes.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::instance::{InstanceId, attribute};
use super::message::MessageCopy;
use crate::access::signature::{Keyring, Signer};
use crate::chat::chat_id;
use crate::event::defect::Defect;
use crate::event::document::{BodyText, Document};
use crate::forward::RESERVED_TYPES;
use crate::message::ack::MessageAck;
use crate::message::reaction::MessageReaction;
use crate::time::timestamp::Timestamp;

pub mod batch;
pub mod defect;
pub mod document;
pub mod event_id;
mod remains;
mod state;

pub use state::EventState;

/// The limit for `event_type`. The guide's types have up to 16 bytes.
const MAX_EVENT_TYPE_BYTES: usize = 64;
/// The limits for acks and reactions, which are part of unique keys.
pub const MAX_ACK_BYTES: usize = 64;
pub(crate) const MAX_REACTION_BYTES: usize = 256;

/// The change that an applied event makes to tables other than the ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Nothing,
    Message(Arc<MessageCopy>),
    Ack(MessageAck),
    Reaction(MessageReaction),
}

/// The type, message and chat of an event, as far as they can be read. Ignored and quarantined events have them too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSubject {
    pub event_type: Option<String>,
    pub message_id: Option<String>,
    pub chat_id: Option<String>,
}

/// The meaning of an event. It is a pure function of the event's body, instance and time of arrival, so that the tables
/// can be rebuilt from the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpretation {
    pub subject: EventSubject,
    pub state: EventState,
    pub reason: Option<String>,
    pub effect: Effect,
}

/// A received event and its interpretation, ready for the ledger.
#[derive(Clone, Debug)]
pub struct Event {
    pub instance_id: InstanceId,
    /// The instance that the body states, if the event belongs to another one.
    pub mismatched_instance: Option<InstanceId>,
    pub body: Vec<u8>,
    pub body_sha256: [u8; 32],
    pub received_at: Timestamp,
    /// True if a signature was verified.
    pub signed: bool,
    /// True if another buzon has handed the event on. Such an event is not handed on again.
    pub forwarded: bool,
    pub interpretation: Interpretation,
}

impl Event {
    /// Returns whether the event has a file to save.
    pub fn asks_for_media(&self) -> bool {
        matches!(&self.interpretation.effect, Effect::Message(copy) if copy.fields.media_url.is_some())
    }

    /// Returns the id of the message that the event, a copy of a message, quotes.
    pub fn quoted_message_id(&self) -> Option<&str> {
        let Effect::Message(copy) = &self.interpretation.effect else { return None };
        copy.fields.quoted_message_id.as_deref()
    }

    /// Returns the bytes of the body that are a file, if there are any.
    pub fn file_bytes(&self) -> Option<i64> {
        let Effect::Message(copy) = &self.interpretation.effect else { return None };
        i64::try_from(copy.file_bytes).ok().filter(|bytes| *bytes > 0)
    }

    /// Decides which instance a verified body belongs to, and interprets it. This never fails: a body that cannot be
    /// understood is quarantined.
    pub fn read(
        keyring: &Keyring,
        path: Option<&InstanceId>,
        signer: &Signer,
        body: Vec<u8>,
        received_at: Timestamp,
    ) -> Self {
        let text = BodyText::of(&body);
        let document = Document::parse(&text);
        let stated = document.as_ref().ok().and_then(|document| document.instance_id().ok().flatten());
        let instance_id = attribute(keyring, path, signer, stated.as_ref());
        let interpretation = Interpretation::of(document, &instance_id, received_at);
        Self {
            mismatched_instance: stated.filter(|stated| *stated != instance_id),
            body_sha256: Sha256::digest(&body).into(),
            signed: *signer != Signer::Nobody,
            forwarded: false,
            instance_id,
            body,
            received_at,
            interpretation,
        }
    }

    /// Interprets a row of the ledger again.
    pub fn of_ledger(instance_id: InstanceId, body: Vec<u8>, received_at: Timestamp, signed: bool) -> Self {
        let interpretation = Interpretation::of_ledger(&body, &instance_id, received_at);
        let body_sha256 = Sha256::digest(&body).into();
        Self {
            instance_id,
            mismatched_instance: None,
            body,
            body_sha256,
            received_at,
            signed,
            forwarded: false,
            interpretation,
        }
    }

    /// Reads the instance that a body states, without deciding whether to believe it.
    pub fn stated_instance(body: &[u8]) -> Option<InstanceId> {
        let text = BodyText::of(body);
        Document::parse(&text).ok()?.instance_id().ok()?
    }

    /// Returns the event as quarantined with `reason`, for a store that can hold its bytes but not its interpretation.
    pub fn quarantined(self, reason: &str) -> Self {
        Self { interpretation: Interpretation::quarantined(EventSubject::default(), reason.to_owned()), ..self }
    }
}

impl Interpretation {
    /// Interprets the body in a row of the ledger again.
    pub fn of_ledger(body: &[u8], instance_id: &InstanceId, received_at: Timestamp) -> Self {
        let text = BodyText::of(body);
        Self::of(Document::parse(&text), instance_id, received_at)
    }

    fn of(document: Result<Document<'_>, Defect>, instance_id: &InstanceId, received_at: Timestamp) -> Self {
        let mut document = match document {
            Ok(document) => document,
            Err(defect) => return Self::quarantined(EventSubject::default(), defect.reason()),
        };
        let event_type = document.key_text("event_type", MAX_EVENT_TYPE_BYTES);
        let event_type = event_type.map(|event_type| event_type.filter(|event_type| !event_type.is_empty()));
        let subject = EventSubject::of(&document, event_type.clone().unwrap_or_default());
        let effect = event_type
            .and_then(|event_type| Effect::of(event_type.as_deref(), &mut document, instance_id, received_at));
        match effect {
            Ok(effect) => {
                let known = effect != Effect::Nothing || subject.event_type.as_deref() == Some(TEST_WEBHOOK);
                let state = if known { EventState::Applied } else { EventState::Ignored };
                Self { subject, state, reason: document.notes(), effect }
            }
            Err(defect) => Self::quarantined(subject, defect.reason()),
        }
    }

    /// Returns whether the time that the sender stated can be used, or `None` if the sender stated no time.
    pub fn has_usable_time(&self) -> Option<bool> {
        let notes = self.reason.as_deref().unwrap_or_default().split(' ');
        let mut unusable = notes.filter_map(|note| note.strip_prefix("unusable:")).flat_map(|fields| fields.split(','));
        match &self.effect {
            Effect::Nothing | Effect::Ack(_) => None,
            _ if unusable.any(|field| field == TIMESTAMP) => Some(false),
            Effect::Message(copy) => copy.fields.sent_at.map(|_| true),
            Effect::Reaction(reaction) => (reaction.reacted_at != reaction.received_at).then_some(true),
        }
    }

    fn quarantined(subject: EventSubject, reason: String) -> Self {
        Self { subject, state: EventState::Quarantined, reason: Some(reason), effect: Effect::Nothing }
    }
}

impl EventSubject {
    fn of(document: &Document<'_>, event_type: Option<String>) -> Self {
        let of_message = if event_type.as_deref() == Some(MESSAGE_REACTION) { "message_id" } else { "id" };
        let chat_id = document.readable_id("chat_id").map(chat_id::canonical);
        Self { event_type, message_id: document.readable_id(of_message), chat_id }
    }
}

impl Effect {
    fn of(
        event_type: Option<&str>,
        document: &mut Document<'_>,
        instance_id: &InstanceId,
        arrival: Timestamp,
    ) -> Result<Self, Defect> {
        if document.instance_id()?.is_some_and(|stated| stated != *instance_id) {
            return Err(Defect::InstanceMismatch);
        }
        match event_type.ok_or(Defect::Missing("event_type"))? {
            "message_received" => message(document, false, arrival),
            "message_sent" => message(document, true, arrival),
            MESSAGE_REVOKED | MESSAGE_DELETED => revocation(document, arrival),
            ACK_UPDATE => ack(document, instance_id, arrival),
            MESSAGE_REACTION => reaction(document, instance_id, arrival),
            SECRET_CHECK => Ok(Self::Nothing),
            reserved if reserved.starts_with(RESERVED_TYPES) => Err(Defect::Reserved("event_type")),
            _ => Ok(Self::Nothing),
        }
    }
}

/// The field with the time of a message or reaction.
const TIMESTAMP: &str = "timestamp";

pub(crate) const ACK_UPDATE: &str = "ack_update";

const MESSAGE_REACTION: &str = "message_reaction";

/// The events that say that a message was deleted. The guide does not have them: they are a guess about the gateway.
const MESSAGE_REVOKED: &str = "message_revoked";
const MESSAGE_DELETED: &str = "message_deleted";

/// The event that "Test Webhook" in the gateway's panel sends.
pub const TEST_WEBHOOK: &str = "test_webhook";

/// The event with which `buzon gateway register` tests a secret here before it is set at the gateway. It has a type of
/// its own because it is not from the gateway.
pub const SECRET_CHECK: &str = "buzon_secret_check";

/// The types of the guide's five events, and those of deletions.
pub const EVENT_TYPES: [&str; 7] =
    ["message_received", "message_sent", ACK_UPDATE, MESSAGE_REACTION, TEST_WEBHOOK, MESSAGE_REVOKED, MESSAGE_DELETED];

fn message(document: &mut Document<'_>, sent: bool, arrival: Timestamp) -> Result<Effect, Defect> {
    Ok(Effect::Message(Arc::new(MessageCopy::read(document, sent, arrival)?)))
}

fn revocation(document: &mut Document<'_>, arrival: Timestamp) -> Result<Effect, Defect> {
    Ok(Effect::Message(Arc::new(MessageCopy::read(document, false, arrival)?.revoking())))
}

fn ack(document: &mut Document<'_>, instance_id: &InstanceId, arrival: Timestamp) -> Result<Effect, Defect> {
    document.optional_id("chat_id")?; // only checks the limit and makes the note
    let ack = document.key_text("ack", MAX_ACK_BYTES)?.filter(|ack| !ack.is_empty());
    let (message_id, ack) = (document.required_id("id")?, ack.ok_or(Defect::Missing("ack"))?);
    Ok(Effect::Ack(MessageAck::new(instance_id.clone(), message_id, ack, arrival)))
}

fn reaction(document: &mut Document<'_>, instance_id: &InstanceId, arrival: Timestamp) -> Result<Effect, Defect> {
    document.optional_id("chat_id")?; // only checks the limit and makes the note
    Ok(Effect::Reaction(MessageReaction {
        instance_id: instance_id.clone(),
        message_id: document.required_id("message_id")?,
        from_number: chat_id::canonical(document.required_id("from_number")?),
        reaction: document.key_text("reaction", MAX_REACTION_BYTES)?.unwrap_or_default(),
        reacted_at: document.time(TIMESTAMP, arrival).unwrap_or(arrival),
        received_at: arrival,
        last_received_at: arrival,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_717_200_004);

    fn read(body: &str) -> Interpretation {
        Interpretation::of_ledger(body.as_bytes(), &InstanceId::new("123").unwrap(), ARRIVAL)
    }

    fn quarantine(body: &str) -> String {
        let interpretation = read(body);
        assert_eq!(interpretation.state, EventState::Quarantined, "{body}");
        assert_eq!(interpretation.effect, Effect::Nothing, "{body}");
        interpretation.reason.unwrap()
    }

    #[test]
    fn the_reason_names_the_required_field_that_is_missing_or_unusable() {
        for (body, reason) in [
            (r#"{}"#, "missing:event_type"),
            (r#"{"event_type":null}"#, "missing:event_type"),
            (r#"{"event_type":"message_received"}"#, "missing:id"),
            (r#"{"event_type":"message_sent","id":""}"#, "missing:id"),
            (r#"{"event_type":"ack_update","id":"A"}"#, "missing:ack"),
            (r#"{"event_type":"ack_update","ack":"read"}"#, "missing:id"),
            (r#"{"event_type":"ack_update","id":"A","ack":["read"]}"#, "unusable:ack"),
            (r#"{"event_type":["ack_update"],"id":"A","ack":"read"}"#, "unusable:event_type"),
            (
                r#"{"event_type":"message_reaction","message_id":"5","from_number":"5","reaction":{}}"#,
                "unusable:reaction",
            ),
            (r#"{"event_type":"message_reaction","from_number":"5","reaction":"x"}"#, "missing:message_id"),
            (r#"{"event_type":"message_reaction","message_id":"5","reaction":"x"}"#, "missing:from_number"),
            (r#"{"event_type":"buzon_erased","id":"A"}"#, "reserved:event_type"),
        ] {
            assert_eq!(quarantine(body), reason, "{body}");
        }
    }

    #[test]
    fn fields_in_keys_have_a_limit() {
        let long = |n: usize| "x".repeat(n);
        let body = |fields: &str| format!(r#"{{"event_type":"message_received","id":"A",{fields}}}"#);
        for field in ["id", "chat_id", "from", "to", "group_sender", "quoted_message_id"] {
            let reason = quarantine(&body(&format!(r#""{field}":"{}""#, long(513))));
            assert_eq!(reason, format!("too_long:{field}"));
        }
        assert_eq!(quarantine(&body(&format!(r#""ack":"{}""#, long(65)))), "too_long:ack");
        let instance = format!(r#"{{"event_type":"test_webhook","instance_id":"{}"}}"#, long(65));
        assert_eq!(quarantine(&instance), "too_long:instance_id");
        let kind = format!(r#"{{"event_type":"{}"}}"#, long(65));
        assert_eq!(quarantine(&kind), "too_long:event_type");
        let emoji = format!(
            r#"{{"event_type":"message_reaction","message_id":"A","from_number":"5","reaction":"{}"}}"#,
            long(257)
        );
        assert_eq!(quarantine(&emoji), "too_long:reaction");
    }

    #[test]
    fn an_event_that_states_another_instance_than_its_own_is_not_applied() {
        assert_eq!(
            quarantine(r#"{"event_type":"ack_update","id":"A","ack":"read","instance_id":124}"#),
            "instance_mismatch"
        );
        let own = read(r#"{"event_type":"ack_update","id":"A","ack":"read","instance_id":123}"#);
        assert_eq!(own.state, EventState::Applied);
    }

    #[test]
    fn a_test_is_applied_and_an_unknown_type_ignored_and_neither_changes_anything() {
        let test = read(r#"{"event_type":"test_webhook","message":"This is a test"}"#);
        assert_eq!((test.state, test.effect), (EventState::Applied, Effect::Nothing));
        let unknown = read(r#"{"event_type":"presence_update","id":"A"}"#);
        assert_eq!((unknown.state, unknown.effect), (EventState::Ignored, Effect::Nothing));
    }

    #[test]
    fn a_reaction_without_an_emoji_is_a_removal_and_one_without_a_time_has_that_of_its_arrival() {
        let body = r#"{"event_type":"message_reaction","message_id":"A","from_number":573001112233,"reaction":null}"#;
        let Effect::Reaction(reaction) = read(body).effect else { panic!("{body}") };
        assert_eq!(reaction.reaction, "");
        assert_eq!(reaction.from_number, "573001112233");
        assert_eq!(reaction.reacted_at, ARRIVAL);
    }

    #[test]
    fn a_bad_optional_field_is_null_and_named_in_the_reason() {
        let long = "x".repeat(129);
        let wordy = read(&format!(r#"{{"event_type":"message_sent","id":"A","type":"{long}","status":"{long}"}}"#));
        assert_eq!(wordy.state, EventState::Applied);
        assert_eq!(wordy.reason.as_deref(), Some("unusable:type,status"));
        let (name, emoji) = ("x".repeat(1_025), "x".repeat(257));
        let shown = format!(r#"{{"event_type":"message_sent","id":"A","sender_name":"{name}","reaction":"{emoji}"}}"#);
        assert_eq!(read(&shown).reason.as_deref(), Some("unusable:sender_name,reaction"));
        let body = r#"{"event_type":"message_received","id":"A","latitude":"north","timestamp":5,"body":"a\u0000"}"#;
        let interpretation = read(body);
        assert_eq!(interpretation.state, EventState::Applied);
        assert_eq!(interpretation.reason.as_deref(), Some("unusable:timestamp,latitude repaired:body"));
    }
}
