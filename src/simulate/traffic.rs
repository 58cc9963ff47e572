//! The events of a simulated shop.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::files;
use super::hours::WorkingHours;
use super::people::{self, SimulatedChat};
use super::seeded_rng::SeededRng;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The properties of the traffic. The same shape makes the same events, byte for byte.
#[derive(Clone, Debug)]
pub struct Shape {
    pub seed: u64,
    pub instances: Vec<InstanceId>,
    /// The number of chats of each instance.
    pub chats: u64,
    /// The number of events in all.
    pub events: u64,
    /// The times at which the messages are written.
    pub hours: WorkingHours,
    /// The origin of the files. Without it, messages have none.
    pub files: Option<Url>,
}

/// A request of the simulated gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedDelivery {
    pub instance: InstanceId,
    pub body: Vec<u8>,
    pub kind: DeliveryKind,
    /// True if the event names a file and is the first to do so.
    pub has_file: bool,
}

/// The kind of a simulated delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryKind {
    Message,
    Ack,
    Reaction,
    /// An earlier delivery again, byte for byte.
    Repeat,
    /// A message that comes hours late, after messages that were written later.
    Late,
    /// An earlier message with another text, or the news that it was deleted.
    Edit,
    Deletion,
    /// A notice in the form of a message, which nobody wrote.
    Notice,
    /// A story: a message for all contacts of the person who tells it.
    Story,
}

/// The number in a thousand messages that are answered, reacted to, late, edited, deleted, followed by a notice or by another
/// message within the second, or preceded by a story.
const ANSWERED: u64 = 550;
const REACTED_TO: u64 = 60;
const LATE: u64 = 20;
const EDITED: u64 = 30;
const DELETED: u64 = 20;
const NOTICED: u64 = 20;
const BURST: u64 = 80;
const TOLD: u64 = 30;
/// The chat of all stories.
const STORIES: &str = "status@broadcast";
/// The number in a thousand answers that are delivered, and in a thousand of these that are read.
const DELIVERED: u64 = 970;
const READ: u64 = 850;
/// The number in a thousand deliveries that are repeated.
const REPEATED: u64 = 30;

/// An iterator over events in the order in which a gateway sends them.
pub struct TrafficGenerator {
    shape: Shape,
    rng: SeededRng,
    made: u64,
    /// The events that are to follow, by time and then by number.
    planned: BTreeMap<(Timestamp, u64), Planned>,
    plans: u64,
}

/// An event that is to follow another one.
enum Planned {
    Answer { instance: usize, chat: SimulatedChat },
    Ack { instance: usize, id: String, ack: &'static str },
    Reaction { instance: usize, id: String, from: String },
    Again(SimulatedDelivery),
}

impl TrafficGenerator {
    pub fn new(shape: Shape) -> Self {
        let rng = SeededRng::new(shape.seed);
        Self { shape, rng, made: 0, planned: BTreeMap::new(), plans: 0 }
    }

    /// Returns the event that is due, or else a new message.
    fn made_at(&mut self, now: Timestamp) -> SimulatedDelivery {
        match self.planned.first_entry().filter(|first| first.key().0 <= now) {
            Some(due) => {
                let ((at, _), planned) = due.remove_entry();
                self.follow(planned, at)
            }
            None => self.message_at(now),
        }
    }

    fn follow(&mut self, planned: Planned, at: Timestamp) -> SimulatedDelivery {
        match planned {
            Planned::Answer { instance, chat } => self.answer(instance, &chat, at),
            Planned::Ack { instance, id, ack } => {
                // The form of acks in the guide names no instance.
                self.delivery(instance, DeliveryKind::Ack, &json!({"event_type": "ack_update", "id": id, "ack": ack}))
            }
            Planned::Reaction { instance, id, from } => {
                let emoji = *self.rng.pick(&people::EMOJI);
                let body = json!({
                    "event_type": "message_reaction", "instance_id": self.id(instance), "message_id": id,
                    "from_number": from, "reaction": emoji, "timestamp": at.seconds(),
                });
                self.delivery(instance, DeliveryKind::Reaction, &body)
            }
            Planned::Again(delivery) => delivery,
        }
    }

    /// Returns a message from outside. Now and then, the gateway holds one back and sends another in its place.
    fn message_at(&mut self, at: Timestamp) -> SimulatedDelivery {
        if self.rng.in_thousand(LATE) {
            let late = self.received(at);
            let hours = Duration::from_secs(60 * (30 + self.rng.below(6 * 60)));
            self.plan(at + hours, Planned::Again(SimulatedDelivery { kind: DeliveryKind::Late, ..late }));
        }
        if self.rng.in_thousand(TOLD) { self.story(at) } else { self.received(at) }
    }

    fn story(&mut self, at: Timestamp) -> SimulatedDelivery {
        let instance = self.instance();
        let chat = SimulatedChat::pick(instance, self.shape.chats, &mut self.rng);
        let body = json!({
            "event_type": "message_received", "id": self.message_id(), "instance_id": self.id(instance),
            "chat_id": STORIES, "from": STORIES, "to": people::own_number(instance), "from_me": 0,
            "sender_name": chat.name, "body": people::question(&mut self.rng), "type": "text", "timestamp": at.seconds(),
            "is_group": 0, "status": "received", "group_sender": chat.person,
        });
        self.delivery(instance, DeliveryKind::Story, &body)
    }

    fn received(&mut self, at: Timestamp) -> SimulatedDelivery {
        let instance = self.instance();
        let chat = SimulatedChat::pick(instance, self.shape.chats, &mut self.rng);
        let id = self.message_id();
        let content = self.content();
        let mut body = json!({
            "event_type": "message_received", "id": id, "instance_id": self.id(instance), "chat_id": chat.id,
            "from": chat.id, "to": people::own_number(instance), "from_me": 0, "sender_name": chat.name,
            "body": content.text, "type": content.kind, "timestamp": at.seconds(), "is_group": u8::from(chat.is_group),
            "quoted_message_id": null, "reaction": null, "media_url": content.url, "latitude": content.place.map(|it| it.0),
            "longitude": content.place.map(|it| it.1), "vcard": null, "status": "received", "ack": "pending",
            "group_sender": chat.is_group.then_some(&chat.person),
        });
        if let Some(number) = &chat.stated_number {
            body["sender_pn"] = json!(number);
        }
        if self.rng.in_thousand(REACTED_TO) {
            let after = self.minutes(1, 30);
            self.plan(at + after, Planned::Reaction { instance, id, from: people::own_number(instance) });
        }
        if self.rng.in_thousand(ANSWERED) {
            let after = self.minutes(1, 20);
            self.plan(at + after, Planned::Answer { instance, chat });
        }
        let message = self.delivery(instance, DeliveryKind::Message, &body);
        self.plan_copies(instance, &mut body, at);
        SimulatedDelivery { has_file: content.url.is_some(), ..message }
    }

    /// Plans further copies of a message: an edit, a deletion, and a notice that is a message of its own.
    fn plan_copies(&mut self, instance: usize, body: &mut Value, at: Timestamp) {
        if self.rng.in_thousand(NOTICED) {
            let mut notice = body.clone();
            notice["id"] = json!(self.message_id());
            notice["type"] = json!(*self.rng.pick(&["e2e_notification", "call_log", "ciphertext"]));
            for field in ["body", "media_url", "latitude", "longitude"] {
                notice[field] = json!(null);
            }
            let notice = self.delivery(instance, DeliveryKind::Notice, &notice);
            self.plan(at, Planned::Again(notice));
        }
        if body["type"] == "text" && self.rng.in_thousand(BURST) {
            let mut next = body.clone();
            next["id"] = json!(self.message_id());
            next["body"] = json!(people::question(&mut self.rng));
            let next = self.delivery(instance, DeliveryKind::Message, &next);
            self.plan(at, Planned::Again(next));
        }
        if body["type"] == "text" && self.rng.in_thousand(EDITED) {
            let edited_at = at + self.minutes(1, 15);
            body["body"] = json!(format!("{} (corregido)", body["body"].as_str().unwrap_or_default()));
            body["timestamp"] = json!(edited_at.seconds());
            let edit = self.delivery(instance, DeliveryKind::Edit, body);
            self.plan(edited_at, Planned::Again(edit));
        }
        if self.rng.in_thousand(DELETED) {
            let deleted_at = at + self.minutes(15, 60);
            (body["type"], body["body"]) = (json!("revoked"), json!(""));
            (body["media_url"], body["timestamp"]) = (json!(null), json!(deleted_at.seconds()));
            let deletion = self.delivery(instance, DeliveryKind::Deletion, body);
            self.plan(deleted_at, Planned::Again(deletion));
        }
    }

    fn answer(&mut self, instance: usize, chat: &SimulatedChat, at: Timestamp) -> SimulatedDelivery {
        let id = self.message_id();
        let text = people::answer(&mut self.rng);
        let body = json!({
            "event_type": "message_sent", "id": id, "instance_id": self.id(instance), "chat_id": chat.id,
            "from": people::own_number(instance), "to": chat.id, "body": text, "type": "text",
            "timestamp": at.seconds(), "is_group": u8::from(chat.is_group), "media_url": null, "latitude": null,
            "longitude": null, "vcard": null, "status": "sent", "group_sender": null,
        });
        self.plan_acks(instance, &id, at);
        if self.rng.in_thousand(REACTED_TO) {
            let after = self.minutes(1, 90);
            self.plan(at + after, Planned::Reaction { instance, id, from: chat.person.clone() });
        }
        self.delivery(instance, DeliveryKind::Message, &body)
    }

    /// Plans the acks of a message: sent at once, delivered within a minute or two, and read within hours.
    fn plan_acks(&mut self, instance: usize, id: &str, at: Timestamp) {
        let ack = |traffic: &mut Self, at, ack| {
            traffic.plan(at, Planned::Ack { instance, id: id.to_owned(), ack });
        };
        let sent = at + Duration::from_secs(1);
        ack(self, sent, "sent");
        if self.rng.in_thousand(DELIVERED) {
            let delivered = sent + Duration::from_secs(1 + self.rng.below(90));
            ack(self, delivered, "delivered");
            if self.rng.in_thousand(READ) {
                let read = delivered + self.minutes(1, 180);
                ack(self, read, "read");
            }
        }
    }

    fn content(&mut self) -> Content {
        let Some(base) = self.shape.files.clone() else { return self.text() };
        match self.rng.below(100) {
            0..12 => Content::file(&base, "image", "jpg", &mut self.rng),
            12..20 => Content::file(&base, "audio", "ogg", &mut self.rng),
            20..23 => Content::file(&base, "document", "pdf", &mut self.rng),
            23..25 => {
                let place = (4.6 + self.rng.unit() / 10.0, -74.1 + self.rng.unit() / 10.0);
                Content { kind: "location", text: "", url: None, place: Some(place) }
            }
            _ => self.text(),
        }
    }

    fn text(&mut self) -> Content {
        Content { kind: "text", text: people::question(&mut self.rng), url: None, place: None }
    }

    fn delivery(&mut self, instance: usize, kind: DeliveryKind, body: &Value) -> SimulatedDelivery {
        let instance = self.shape.instances[instance].clone();
        SimulatedDelivery { instance, body: body.to_string().into_bytes(), kind, has_file: false }
    }

    fn plan(&mut self, at: Timestamp, planned: Planned) {
        self.plans += 1;
        self.planned.insert((at, self.plans), planned);
    }

    fn minutes(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_secs(60 * from + self.rng.below(60 * (to - from)))
    }

    fn instance(&mut self) -> usize {
        self.rng.below(self.shape.instances.len() as u64) as usize
    }

    fn id(&self, instance: usize) -> &str {
        self.shape.instances[instance].as_str()
    }

    fn message_id(&mut self) -> String {
        format!("3EB0{:016X}", self.rng.next_u64())
    }
}

impl Iterator for TrafficGenerator {
    type Item = SimulatedDelivery;

    fn next(&mut self) -> Option<SimulatedDelivery> {
        if self.made == self.shape.events {
            return None;
        }
        let now = self.shape.hours.at(self.made as f64 / self.shape.events as f64);
        self.made += 1;
        let delivery = self.made_at(now);
        if delivery.kind != DeliveryKind::Repeat && self.rng.in_thousand(REPEATED) {
            let after = self.minutes(1, 60);
            self.plan(
                now + after,
                Planned::Again(SimulatedDelivery { kind: DeliveryKind::Repeat, has_file: false, ..delivery.clone() }),
            );
        }
        Some(delivery)
    }
}

/// The content of a message.
struct Content {
    kind: &'static str,
    text: &'static str,
    url: Option<String>,
    place: Option<(f64, f64)>,
}

impl Content {
    fn file(base: &Url, kind: &'static str, ending: &str, rng: &mut SeededRng) -> Self {
        let url = files::url(base, rng.next_u64(), ending);
        Self { kind, text: "", url: Some(url.into()), place: None }
    }
}

#[cfg(test)]
mod tests;
