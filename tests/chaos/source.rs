//! Events of every kind, as the gateway might send them on its worst day.

use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::events::{ack, reaction, received, sent};

const INSTANCES: [&str; 4] = ["7", "8", "9", "10"];
const ACKS: [&str; 5] = ["pending", "sent", "delivered", "read", "played"];

/// Signed bodies that nobody can use, or not as they are meant.
const POISON: [&[u8]; 10] = [
    b"not JSON at all ",
    b"[1, 2, 3] ",
    b"{\"event_type\": \"message_received\", \"id\": \"nul \\u0000\", \"n\": ",
    b"{\"event_type\": \"message_received\", \"id\": \"P1\", \"body\": \"\\ud800\"} ",
    b"{\"event_type\": \"message_received\", \"id\": \"P2\", \"timestamp\": 1e400} ",
    b"{\"event_type\": \"message_received\", \"id\": \"P3\", \"body\": \"nul \\u0000 inside\"} ",
    b"{\"event_type\": \"ack_update\", \"id\": \"P4\"} ",
    b"{\"event_type\": \"message_reaction\", \"message_id\": [[[[[[[[]]]]]]]]} ",
    b"\xff\xfe{\"event_type\": 7} ",
    b"{\"event_type\": \"message_sent\", \"id\": \"P5\", \"latitude\": \"north\", \"media_url\": \"javascript:\"} ",
];

/// What is posted.
#[derive(Clone)]
pub struct Delivery {
    pub path: String,
    pub body: Vec<u8>,
}

/// Never ends; the same from the same seed.
pub struct Source {
    dice: Dice,
    /// No two sources make the same ids.
    name: String,
    made: u64,
    /// Some of what was made, to be sent again or to be answered late.
    past: Vec<Delivery>,
    messages: Vec<(String, &'static str)>,
}

/// How much of the past is remembered.
const MEMORY: usize = 2_000;

impl Source {
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), name: format!("{seed:016X}"), made: 0, past: vec![], messages: vec![] }
    }

    pub fn next(&mut self) -> Delivery {
        self.made += 1;
        if !self.past.is_empty() && self.dice.in_thousand(100) {
            return self.dice.pick(&self.past).clone();
        }
        let delivery = self.new_one();
        let place = self.dice.below(MEMORY as u64) as usize;
        keep(&mut self.past, place, delivery.clone());
        delivery
    }

    fn new_one(&mut self) -> Delivery {
        let instance = *self.dice.pick(&INSTANCES);
        let path = format!("/webhook/{instance}");
        match self.dice.below(100) {
            0..45 => self.message(instance, received),
            45..60 => self.message(instance, sent),
            60..82 if !self.messages.is_empty() => {
                let (id, instance) = self.dice.pick(&self.messages).clone();
                // The guide's form names no instance.
                let path =
                    if self.dice.in_thousand(500) { "/webhook".to_owned() } else { format!("/webhook/{instance}") };
                let word: &str = self.dice.pick::<&str>(&ACKS);
                Delivery { path, body: self.unique(ack(&id, word)) }
            }
            82..90 if !self.messages.is_empty() => {
                let (id, instance) = self.dice.pick(&self.messages).clone();
                let from = format!("57300{}@c.us", self.dice.below(50));
                let emoji = json!(self.dice.pick(&["👍", "❤️", ""]));
                let at = json!(1_724_716_800 + self.dice.below(1_000_000));
                Delivery { path: format!("/webhook/{instance}"), body: self.unique(reaction(&id, &from, emoji, at)) }
            }
            90..93 => {
                Delivery { path, body: self.unique(json!({"event_type": "test_webhook"}).to_string().into_bytes()) }
            }
            93..95 => Delivery { path, body: self.unique(json!({"event_type": "presence"}).to_string().into_bytes()) },
            _ => {
                let poison = *self.dice.pick(&POISON);
                Delivery { path, body: [poison, self.id().as_bytes()].concat() }
            }
        }
    }

    fn message(&mut self, instance: &'static str, form: fn(&str, Value) -> Vec<u8>) -> Delivery {
        // Now and then another copy of a message that is known, with something else in it.
        let again = !self.messages.is_empty() && self.dice.in_thousand(50);
        let (id, instance) = if again { self.dice.pick(&self.messages).clone() } else { (self.id(), instance) };
        let person = format!("57300{}@c.us", self.dice.below(50));
        let fields = json!({
            "chat_id": person, "timestamp": 1_724_716_800 + self.dice.below(1_000_000), "n": self.made,
            "body": "ñ".repeat(self.dice.below(700) as usize),
            "media_url": if self.dice.in_thousand(100) { format!("/media/{id}.jpg") } else { String::new() },
        });
        let place = self.dice.below(MEMORY as u64) as usize;
        keep(&mut self.messages, place, (id.clone(), instance));
        Delivery { path: format!("/webhook/{instance}"), body: form(&id, fields) }
    }

    fn id(&self) -> String {
        format!("{}-{}", self.name, self.made)
    }

    /// The same event in a body of its own: with the number as white space, which JSON allows after the last brace.
    fn unique(&self, mut body: Vec<u8>) -> Vec<u8> {
        body.extend((0..u64::BITS).map(|bit| if self.made >> bit & 1 == 1 { b'\t' } else { b' ' }));
        body
    }
}

fn keep<T>(memory: &mut Vec<T>, place: usize, thing: T) {
    match memory.get_mut(place) {
        Some(known) => *known = thing,
        None => memory.push(thing),
    }
}
