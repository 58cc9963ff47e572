//! Keyed hashes by which what was erased is recognised. Without the key, nobody can find out from them which numbers were
//! erased; with it, anybody can who tries all numbers. So they are personal data under a pseudonym.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::EventTraces;
use crate::event::Event;
use crate::instance::InstanceId;
use crate::message::MessageKey;
use crate::time::timestamp::Timestamp;

/// The scope of a person who is erased in all instances.
const ALL: &str = "*";

/// A key of marks, with its id.
#[derive(Clone, PartialEq, Eq)]
pub struct MarkKey {
    pub id: String,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarkKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A mark: the beginning of a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark([u8; Mark::BYTES]);

impl Mark {
    pub const BYTES: usize = 16;

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl MarkKey {
    /// Returns the mark of a person, in one instance or in all.
    pub fn person(&self, instance: Option<&InstanceId>, id: &str) -> Mark {
        self.mark("person", &[instance.map_or(ALL, InstanceId::as_str), id])
    }

    /// Returns the mark of a message.
    pub fn message(&self, key: &MessageKey) -> Mark {
        self.mark("message", &[key.instance_id.as_str(), &key.id])
    }

    /// Returns the mark of the id of a message, for events that state no instance.
    pub fn id(&self, id: &str) -> Mark {
        self.mark("id", &[id])
    }

    /// Returns the mark of the bytes of an event.
    pub fn body(&self, sha256: &[u8]) -> Mark {
        self.mark("body", &[&hex::encode(sha256)])
    }

    /// Returns the value that stands in the ledger in the place of a body's SHA-256, so that a repeat finds its row.
    pub fn row(&self, sha256: &[u8]) -> [u8; 32] {
        self.hash("row", &[&hex::encode(sha256)])
    }

    fn mark(&self, kind: &str, parts: &[&str]) -> Mark {
        let hash = self.hash(kind, parts);
        Mark::from_slice(&hash[..Mark::BYTES]).expect("a hash is longer than a mark")
    }

    fn hash(&self, kind: &str, parts: &[&str]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(kind.as_bytes());
        for part in parts {
            // No instance has a NUL, and an id follows as the last part.
            mac.update(&[0]);
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// The marks under which an event may have been erased.
#[derive(Clone, Debug)]
pub struct EventMarks {
    /// With the place of the key in the list of keys.
    marks: BTreeMap<Mark, (usize, MarkKind)>,
    sent_at: Timestamp,
}

/// The verdict that an event is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasureVerdict {
    /// The place of the key in the list of keys.
    pub key: usize,
    /// True if neither the event nor its message was known to be the person's.
    pub is_new: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MarkKind {
    Body,
    Message,
    Person,
}

impl EventMarks {
    pub fn of(event: &Event, traces: &EventTraces, keys: &[MarkKey]) -> Self {
        let mut marks = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            marks.insert(key.body(&event.body_sha256), (place, MarkKind::Body));
            if let Some(id) = &traces.about {
                let message = MessageKey { instance_id: event.instance_id.clone(), id: id.clone() };
                marks.insert(key.message(&message), (place, MarkKind::Message));
                if event.instance_id.is_unstated() {
                    marks.insert(key.id(id), (place, MarkKind::Message));
                }
            }
            for person in &traces.persons {
                for scope in [None, Some(&event.instance_id)] {
                    marks.insert(key.person(scope, person), (place, MarkKind::Person));
                }
            }
        }
        let sent_at = traces.sent_at.min(event.received_at);
        Self { marks, sent_at }
    }

    pub fn iter(&self) -> impl Iterator<Item = Mark> + '_ {
        self.marks.keys().copied()
    }

    /// Returns the verdict if the event is erased. `known` are the marks that were made, with the times of
    /// the erasures of persons. What a person sends after it is a new relation. `whenever` leaves the time out of account.
    pub fn verdict(&self, known: &BTreeMap<Mark, Option<Timestamp>>, whenever: bool) -> Option<ErasureVerdict> {
        let hits = self.marks.iter().filter(|(mark, _)| match known.get(mark) {
            None => false,
            Some(None) => true,
            Some(Some(until)) => whenever || self.sent_at < *until,
        });
        let first = hits.map(|(_, (place, kind))| (*kind, *place)).min();
        first.map(|(kind, key)| ErasureVerdict { key, is_new: kind == MarkKind::Person })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: Timestamp = Timestamp::from_seconds(1_724_717_200);
    const ANA: &str = "573001112233@c.us";

    fn key() -> MarkKey {
        MarkKey { id: "a".to_owned(), key: vec![7; 32] }
    }

    fn instance(id: &str) -> InstanceId {
        InstanceId::from_store(id)
    }

    fn verdict(of: &str, body: &str, known: &[(Mark, Option<Timestamp>)]) -> Option<ErasureVerdict> {
        let event = Event::of_ledger(instance(of), body.as_bytes().to_vec(), ARRIVAL, true);
        EventMarks::of(&event, &EventTraces::of(&event), &[key()]).verdict(&known.iter().copied().collect(), false)
    }

    #[test]
    fn an_event_is_erased_by_its_person_its_message_and_its_bytes() {
        let (key, early, late) =
            (key(), Timestamp::from_seconds(1_724_716_000), Timestamp::from_seconds(1_724_717_000));
        let message = r#"{"event_type":"message_received","id":"A","from":"573001112233@c.us","timestamp":1724716800}"#;
        let ack = r#"{"event_type":"ack_update","id":"A","ack":"read"}"#;
        let in_123 = MessageKey { instance_id: instance("123"), id: "A".to_owned() };
        for (of, body, mark, until, erased) in [
            ("123", message, key.person(None, ANA), Some(late), true),
            ("123", message, key.person(None, ANA), Some(early), false),
            ("123", message, key.person(Some(&instance("123")), ANA), Some(late), true),
            ("7", message, key.person(Some(&instance("123")), ANA), Some(late), false),
            ("123", message, key.person(None, "573004445566@c.us"), Some(late), false),
            ("123", ack, key.message(&in_123), None, true),
            ("7", ack, key.message(&in_123), None, false),
            ("-", ack, key.id("A"), None, true),
            ("123", ack, key.id("A"), None, false),
            ("123", ack, key.person(None, ANA), Some(late), false),
        ] {
            assert_eq!(verdict(of, body, &[(mark, until)]).is_some(), erased, "{of} {body}");
        }
        let event = Event::of_ledger(instance("9"), b"anything".to_vec(), ARRIVAL, true);
        assert_eq!(
            verdict("9", "anything", &[(key.body(&event.body_sha256), None)]),
            Some(ErasureVerdict { key: 0, is_new: false })
        );
    }

    #[test]
    fn marks_of_different_kinds_and_keys_differ() {
        let (key, other) = (key(), MarkKey { id: "b".to_owned(), key: vec![8; 32] });
        let in_all = MessageKey { instance_id: instance("*"), id: ANA.to_owned() };
        let marks = [key.person(None, ANA), key.id(ANA), key.message(&in_all), other.id(ANA)];
        for (at, mark) in marks.iter().enumerate() {
            assert!(!marks[at + 1..].contains(mark), "{at}");
        }
        assert!(!format!("{key:?}").contains('7'));
    }
}
