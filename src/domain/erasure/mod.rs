//! The erasure of a person. An event is the person's if it is in the conversation with them, or if they wrote it; with it goes
//! everything about its message. Erased events are recognised by keyed hashes when they come again.

use std::collections::BTreeSet;

use crate::chat::chat_id;
use crate::event::document::{BodyText, Document};
use crate::event::{Effect, Event, EventState};
use crate::message::{MessageCopy, MessageKey};
use crate::time::timestamp::Timestamp;

pub mod marks;

/// The length of a run of digits that may be the number of a person, or the name in an `@lid`.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 7..=20;

/// The most numbers that are looked at in one event.
const MOST_NUMBERS: usize = 256;

/// The fields in which events of unknown or unusable kinds name persons.
const FIELDS: [&str; 8] = ["chat_id", "from", "to", "group_sender", "from_number", "participant", "author", "sender"];

/// The persons whose event this is, and the message that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTraces {
    pub persons: BTreeSet<String>,
    /// The message whose events all belong to the persons, if this one does.
    pub message_id: Option<String>,
    /// A message that the event is about and that may have been erased.
    pub about: Option<String>,
    /// The time at which the event was sent, as far as it says so.
    pub sent_at: Timestamp,
}

impl EventTraces {
    /// Reads the traces of an event. A reaction belongs to who reacts; the message under it may be another's.
    pub fn of(event: &Event) -> Self {
        let subject = &event.interpretation.subject;
        let mut traces = Self {
            persons: BTreeSet::new(),
            message_id: subject.message_id.clone(),
            about: subject.message_id.clone(),
            sent_at: event.received_at,
        };
        let chat = subject.chat_id.as_deref().filter(|id| chat_id::is_person(id)).map(str::to_owned);
        match &event.interpretation.effect {
            Effect::Message(copy) => {
                traces.persons = persons_of_copy(copy);
                traces.sent_at = copy.fields.sent_at.unwrap_or(event.received_at);
            }
            Effect::Reaction(reaction) => {
                let is_chat = chat.is_some();
                traces.persons.extend(chat);
                traces.persons.extend([reaction.from_number.clone()]);
                traces.sent_at = reaction.reacted_at;
                if !is_chat {
                    traces.message_id = None;
                }
            }
            Effect::Ack(_) => traces.persons.extend(chat),
            Effect::Nothing if matches!(event.interpretation.state, EventState::Erased | EventState::Expired) => {}
            Effect::Nothing => {
                traces.persons = persons_of_body(&event.body);
                traces.sent_at = stated_time(&event.body, event.received_at);
            }
        }
        let in_id = traces.about.iter().flat_map(|id| numbers_in(id)).collect::<BTreeSet<_>>();
        if !in_id.is_empty() && traces.message_id.is_none() {
            // The id of a message that names a person is that of the person's message.
            traces.message_id.clone_from(&traces.about);
        }
        traces.persons.extend(in_id.iter().flat_map(|number| ids_of(number)));
        traces
    }

    /// Returns the message that goes with the event.
    pub fn message(&self, event: &Event) -> Option<MessageKey> {
        Some(MessageKey { instance_id: event.instance_id.clone(), id: self.message_id.clone()? })
    }
}

/// Returns the persons of a message: the one in whose conversation it is, and who wrote it. The ids of our own number are
/// the sender of an outgoing message and the recipient of an incoming one.
fn persons_of_copy(copy: &MessageCopy) -> BTreeSet<String> {
    let fields = &copy.fields;
    let (from, to) = (fields.from_id.as_deref(), fields.to_id.as_deref());
    let chat = fields.chat_id.as_deref().or_else(|| chat_id::worked_out(from, to, fields.from_me));
    let author = fields.group_sender.as_deref().filter(|_| !fields.from_me);
    let other = if fields.from_me { to } else { from };
    let linked = copy.links.iter().flat_map(|link| [link.a.as_str(), link.b.as_str()]);
    let named = [chat, author, other].into_iter().flatten().chain(linked);
    named.filter(|id| chat_id::is_person(id)).map(str::to_owned).collect()
}

/// Returns the persons of an event that cannot be used or that buzon does not know: those in its fields, or else all whose
/// numbers it contains.
fn persons_of_body(body: &[u8]) -> BTreeSet<String> {
    let text = BodyText::of(body);
    let named: BTreeSet<String> = match Document::parse(&text) {
        Ok(document) => {
            let ids = FIELDS.iter().filter_map(|field| document.readable_id(field)).map(chat_id::canonical);
            ids.filter(|id| chat_id::is_person(id)).collect()
        }
        Err(_) => BTreeSet::new(),
    };
    match named.is_empty() {
        true => numbers_in(&String::from_utf8_lossy(body)).iter().flat_map(|number| ids_of(number)).collect(),
        false => named,
    }
}

fn stated_time(body: &[u8], arrival: Timestamp) -> Timestamp {
    let text = BodyText::of(body);
    Document::parse(&text).ok().and_then(|mut document| document.time("timestamp", arrival)).unwrap_or(arrival)
}

/// Returns the ids that a person with this number, or with this name in an `@lid`, has.
fn ids_of(number: &str) -> [String; 2] {
    [chat_id::of_number(number), format!("{number}@lid")]
}

/// Returns the numbers in a text: the runs of digits that are as long as one.
pub fn numbers_in(text: &str) -> BTreeSet<String> {
    let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| NUMBER_DIGITS.contains(&run.len()));
    runs.take(MOST_NUMBERS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceId;

    const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_717_200_004);

    fn traces(body: &str) -> EventTraces {
        let instance = InstanceId::new("123").unwrap();
        EventTraces::of(&Event::of_ledger(instance, body.as_bytes().to_vec(), ARRIVAL, true))
    }

    #[test]
    fn an_event_is_that_of_the_conversation_and_of_who_wrote_it() {
        let (ana, eva) = ("573001112233@c.us", "573004445566@c.us");
        for (body, persons, message) in [
            (
                r#"{"event_type":"message_received","id":"A","from":"573001112233@c.us","to":"573009998877@c.us"}"#,
                vec![ana],
                Some("A"),
            ),
            (
                r#"{"event_type":"message_sent","id":"A","from":"573009998877@c.us","to":"573001112233@c.us"}"#,
                vec![ana],
                Some("A"),
            ),
            (
                r#"{"event_type":"message_received","id":"A","chat_id":"1203@g.us","from":"1203@g.us","group_sender":"573001112233@c.us"}"#,
                vec![ana],
                Some("A"),
            ),
            (
                r#"{"event_type":"message_sent","id":"A","chat_id":"1203@g.us","from":"573009998877@c.us","to":"1203@g.us"}"#,
                vec![],
                Some("A"),
            ),
            (r#"{"event_type":"ack_update","id":"A","ack":"read"}"#, vec![], Some("A")),
            (
                r#"{"event_type":"ack_update","id":"A","ack":"read","chat_id":"573001112233@s.whatsapp.net"}"#,
                vec![ana],
                Some("A"),
            ),
            (
                r#"{"event_type":"message_reaction","message_id":"A","from_number":"573001112233@c.us","reaction":"x"}"#,
                vec![ana],
                None,
            ),
            (
                r#"{"event_type":"message_reaction","message_id":"A","chat_id":"573001112233@c.us","from_number":"573004445566@c.us","reaction":"x"}"#,
                vec![ana, eva],
                Some("A"),
            ),
            (
                r#"{"event_type":"message_received","chat_id":"573001112233@c.us","body":"573004445566"}"#,
                vec![ana],
                None,
            ),
            (r#"{"event_type":"presence","contact":{"id":"573001112233@c.us"}}"#, vec![ana, "573001112233@lid"], None),
            ("no JSON of 573001112233", vec![ana, "573001112233@lid"], None),
            (
                r#"{"event_type":"ack_update","id":"true_1203@g.us_3EB0_573001112233@c.us","ack":"read"}"#,
                vec![ana, "573001112233@lid"],
                Some("true_1203@g.us_3EB0_573001112233@c.us"),
            ),
        ] {
            let found = traces(body);
            assert_eq!(Vec::from_iter(found.persons.iter().map(String::as_str)), persons, "{body}");
            assert_eq!(found.message_id.as_deref(), message, "{body}");
        }
    }

    #[test]
    fn the_time_of_an_event_is_the_one_that_it_states() {
        let at = |body: &str| traces(body).sent_at;
        let stated = Timestamp::from_seconds(1_724_716_800);
        assert_eq!(at(r#"{"event_type":"message_received","id":"A","timestamp":1724716800}"#), stated);
        assert_eq!(at(r#"{"event_type":"presence","timestamp":1724716800}"#), stated);
        assert_eq!(at(r#"{"event_type":"message_received","id":"A"}"#), ARRIVAL);
        assert_eq!(at("no JSON"), ARRIVAL);
    }

    #[test]
    fn a_number_is_a_whole_run_of_digits() {
        assert_eq!(Vec::from_iter(numbers_in("a573001112233b 123456 +57 300 1112233")), ["1112233", "573001112233"]);
        assert!(numbers_in("012345678901234567890").is_empty());
    }
}
