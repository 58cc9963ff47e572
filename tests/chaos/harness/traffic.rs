//! Events of every kind, as the gateway might send them on its worst day.

use buzon::domain::time::timestamp::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::expected_rows::{ExpectedRows, Table};
use crate::support::events::{ack, reaction, received, sent};
use buzon::simulate::SeededRng;

const INSTANCES: [&str; 4] = ["7", "8", "9", "10"];
const ACKS: [&str; 6] = ["pending", "sent", "failed", "delivered", "read", "played"];
/// The base of the messages' timestamps, in seconds.
const EPOCH: u64 = 1_724_716_800;

/// Signed bodies that cannot be interpreted, or not as they are meant.
const POISON: [&[u8]; 12] = [
    b"not JSON at all",
    b"[1, 2, 3]",
    b"{\"event_type\": \"message_received\", \"id\": \"cut off",
    b"{\"event_type\": \"message_received\", \"id\": \"nul \\u0000\"}",
    b"{\"event_type\": \"message_received\", \"id\": \"\\ud800\"}",
    b"{\"event_type\": \"message_received\", \"id\": 1e400}",
    b"{\"event_type\": \"message_received\", \"id\": {\"_serialized\": \"x\"}}",
    b"{\"event_type\": \"ack_update\", \"id\": \"P4\"}",
    b"{\"event_type\": \"message_reaction\", \"message_id\": [[[[[[[[]]]]]]]]}",
    b"{\"event_type\": \"message_reaction\", \"message_id\": \"P5\", \"from_number\": \"5\", \"reaction\": {}}",
    b"\xff\xfe{\"event_type\": 7}",
    b"{}",
];

/// A body that is posted, and the rows that follow from it.
#[derive(Clone)]
pub struct SimulatedDelivery {
    /// The instance that the URL names, if it names one.
    pub instance: Option<&'static str>,
    pub body: Vec<u8>,
    pub meaning: ExpectedRows,
}

impl SimulatedDelivery {
    /// Returns a message that instance 7 received, with these fields laid over a plain one.
    pub fn message(id: &str, fields: Value) -> Self {
        let body = received(id, fields);
        let event: Value = serde_json::from_slice(&body).expect("it is JSON");
        let text = |name: &str| event[name].as_str().expect("it is text").to_owned();
        let mut meaning = ExpectedRows::default();
        meaning.row(Table::Messages, format!("7|{id}"));
        meaning.row(Table::Contents, format!("7|{id}|{}|{}", text("chat_id"), text("body").chars().count()));
        meaning.row(Table::Acks, format!("7|{id}|{}", text("ack")));
        Self { instance: Some("7"), body, meaning }
    }

    /// Returns the SHA-256 of the body.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.body).into()
    }

    pub fn path(&self) -> String {
        self.instance.map_or("/webhook".to_owned(), |instance| format!("/webhook/{instance}"))
    }
}

/// An endless source of events, which is the same for the same seed.
pub struct TrafficSource {
    rng: SeededRng,
    seed: u64,
    /// A prefix of ids that no other source uses.
    name: String,
    made: u64,
    /// Some of the earlier deliveries, to be sent again or to be referred to later.
    past: Vec<SimulatedDelivery>,
    messages: Vec<(String, &'static str)>,
    /// Deliveries that were not acknowledged and that the gateway therefore sends again.
    owed: Vec<SimulatedDelivery>,
}

/// The number of earlier deliveries that are remembered.
const MEMORY: usize = 2_000;

impl TrafficSource {
    pub fn new(seed: u64) -> Self {
        let name = format!("{seed:016X}");
        Self { rng: SeededRng::new(seed), seed, name, made: 0, past: vec![], messages: vec![], owed: vec![] }
    }

    pub fn next(&mut self) -> SimulatedDelivery {
        self.made += 1;
        if !self.owed.is_empty() && self.rng.in_thousand(300) {
            let place = self.rng.below(self.owed.len() as u64) as usize;
            return self.owed.swap_remove(place);
        }
        if !self.past.is_empty() && self.rng.in_thousand(100) {
            return self.rng.pick(&self.past).clone();
        }
        let delivery = self.new_one();
        let place = self.rng.below(MEMORY as u64) as usize;
        keep(&mut self.past, place, delivery.clone());
        delivery
    }

    /// Queues a delivery that was not acknowledged. It is made again at some later time.
    pub fn send_again_later(&mut self, delivery: SimulatedDelivery) {
        let place = self.rng.below(MEMORY as u64) as usize;
        keep(&mut self.owed, place, delivery);
    }

    /// Returns after how many milliseconds the client of the next delivery loses its patience, if it does.
    pub fn impatience(&mut self) -> Option<u64> {
        self.rng.in_thousand(20).then(|| self.rng.below(8))
    }

    fn new_one(&mut self) -> SimulatedDelivery {
        let instance = *self.rng.pick(&INSTANCES);
        match self.rng.below(100) {
            0..60 => self.message(instance),
            60..82 if !self.messages.is_empty() => self.ack(),
            82..86 if !self.messages.is_empty() => self.reaction(),
            86..88 if !self.messages.is_empty() => self.deletion(),
            88..90 => self.notice(instance),
            90..93 => self.idle(instance, json!({"event_type": "test_webhook"}).to_string().into_bytes()),
            93..95 => self.idle(instance, json!({"event_type": "presence"}).to_string().into_bytes()),
            _ => {
                let poison = *self.rng.pick(&POISON);
                self.idle(instance, poison.to_vec())
            }
        }
    }

    fn message(&mut self, instance: &'static str) -> SimulatedDelivery {
        // Sometimes the message is another copy of a known one, with other contents.
        let again = !self.messages.is_empty() && self.rng.in_thousand(50);
        let (id, instance) = if again { self.rng.pick(&self.messages).clone() } else { (self.id(), instance) };
        let outgoing = self.rng.in_thousand(250);
        let person = self.person();
        // WhatsApp hides the numbers of some persons, and some of their messages state them.
        let hidden = (self.rng.below(6) == 0).then(|| format!("17{}", person.replace("@c.us", "@lid")));
        let number = hidden.is_some() && !outgoing && self.rng.below(8) == 0;
        let number = number.then(|| person.clone());
        let person = hidden.unwrap_or(person);
        let letters = 1 + self.rng.below(700);
        let file = self.rng.in_thousand(100).then(|| format!("/media/{}.jpg", self.id()));
        let fields = json!({
            "chat_id": person, "timestamp": EPOCH + self.rng.below(1_000_000), "n": self.made,
            "body": "ñ".repeat(letters as usize), "media_url": file.as_deref().unwrap_or_default(),
            if outgoing { "to" } else { "from" }: person, "sender_pn": number,
        });
        let place = self.rng.below(MEMORY as u64) as usize;
        keep(&mut self.messages, place, (id.clone(), instance));
        let mut meaning = ExpectedRows::default();
        meaning.row(Table::Messages, format!("{instance}|{id}"));
        meaning.row(Table::Contents, format!("{instance}|{id}|{person}|{letters}"));
        if let Some(file) = file {
            meaning.row(Table::Media, format!("{instance}|{id}|{file}"));
        }
        let body = if outgoing {
            meaning.row(Table::Outgoing, format!("{instance}|{id}"));
            sent(&id, fields)
        } else {
            // A received message states its own ack, as the guide's sample does.
            meaning.row(Table::Acks, format!("{instance}|{id}|pending"));
            if let Some(number) = number {
                meaning.row(Table::Links, format!("{instance}|{person}|{number}"));
            }
            received(&id, fields)
        };
        SimulatedDelivery { instance: Some(instance), body, meaning }
    }

    fn ack(&mut self) -> SimulatedDelivery {
        let (id, instance) = self.rng.pick(&self.messages).clone();
        let word: &str = self.rng.pick::<&str>(&ACKS);
        // The guide's form names no instance.
        let instance = (!self.rng.in_thousand(500)).then_some(instance);
        let mut meaning = ExpectedRows::default();
        meaning.row(Table::Acks, format!("{}|{id}|{word}", instance.unwrap_or("-")));
        SimulatedDelivery { instance, body: self.unique(ack(&id, word)), meaning }
    }

    fn reaction(&mut self) -> SimulatedDelivery {
        let (id, instance) = self.rng.pick(&self.messages).clone();
        let (from, emoji) = (self.person(), *self.rng.pick(&["👍", "❤️", ""]));
        let at = EPOCH + self.rng.below(1_000_000);
        let mut meaning = ExpectedRows::default();
        let reacted_at = Timestamp::from_millis(at as i64 * 1_000).to_rfc3339();
        meaning.row(Table::Reactions, format!("{instance}|{id}|{from}|{emoji}|{reacted_at}"));
        let body = self.unique(reaction(&id, &from, json!(emoji), json!(at)));
        SimulatedDelivery { instance: Some(instance), body, meaning }
    }

    /// Returns the news that a message was deleted, which may come before the message.
    fn deletion(&mut self) -> SimulatedDelivery {
        let (id, instance) = self.rng.pick(&self.messages).clone();
        let mut meaning = ExpectedRows::default();
        meaning.row(Table::Messages, format!("{instance}|{id}"));
        meaning.row(Table::Contents, format!("{instance}|{id}|NULL|NULL"));
        meaning.row(Table::Deleted, format!("{instance}|{id}"));
        let event_type = *self.rng.pick(&["message_revoked", "message_deleted"]);
        let body = json!({"event_type": event_type, "id": id, "timestamp": EPOCH + self.rng.below(1_000_000)});
        SimulatedDelivery { instance: Some(instance), body: self.unique(body.to_string().into_bytes()), meaning }
    }

    /// Returns a message that nobody wrote.
    fn notice(&mut self, instance: &'static str) -> SimulatedDelivery {
        let (id, person) = (self.id(), self.person());
        let mut meaning = ExpectedRows::default();
        meaning.row(Table::Messages, format!("{instance}|{id}"));
        meaning.row(Table::Contents, format!("{instance}|{id}|{person}|NULL"));
        meaning.row(Table::Notices, format!("{instance}|{id}"));
        meaning.row(Table::Acks, format!("{instance}|{id}|pending"));
        let kind = *self.rng.pick(&["call_log", "e2e_notification", "gp2"]);
        let body = received(&id, json!({"chat_id": person, "type": kind, "body": ""}));
        SimulatedDelivery { instance: Some(instance), body, meaning }
    }

    /// Returns an event that only the ledger keeps.
    fn idle(&mut self, instance: &'static str, body: Vec<u8>) -> SimulatedDelivery {
        SimulatedDelivery { instance: Some(instance), body: self.unique(body), meaning: ExpectedRows::default() }
    }

    fn person(&mut self) -> String {
        format!("57300{}@c.us", self.rng.below(50))
    }

    fn id(&self) -> String {
        format!("{}-{}", self.name, self.made)
    }

    /// Makes a body unique by appending the seed and a number as white space, which JSON allows after the last brace.
    fn unique(&self, mut body: Vec<u8>) -> Vec<u8> {
        for number in [self.seed, self.made] {
            body.extend((0..u64::BITS).map(|bit| if number >> bit & 1 == 1 { b'\t' } else { b' ' }));
        }
        body
    }
}

fn keep<T>(memory: &mut Vec<T>, place: usize, thing: T) {
    match memory.get_mut(place) {
        Some(known) => *known = thing,
        None => memory.push(thing),
    }
}
