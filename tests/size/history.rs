//! Three years of traffic in the order of its arrival: conversations of some minutes, more of them every day, with acks
//! and reactions, and a few events that cannot be interpreted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use buzon::domain::instance::InstanceId;
use buzon::domain::time::timestamp::Timestamp;

use super::Scale;
use super::people::{Chat, Mark};
use super::words::sentence;
use buzon::simulate::SeededRng;

/// 2026-11-01.
pub const END: Timestamp = Timestamp::from_millis(1_793_491_200_000);
const DAY: f64 = 86_400.0;
const DAYS: f64 = 3.0 * 365.0;
/// The growth of the daily traffic: the last year has twice as much as the first.
const GROWTH: f64 = 0.6;
/// Flattens the head of the distribution, so that the busiest of 50,000 chats has one message in a hundred.
const SHIFT: f64 = 10.5;

/// The number of messages in a thousand that have this type.
const IMAGES: u64 = 80;
const REACTIONS: u64 = 40;
const QUOTES: u64 = 80;

pub struct History {
    scale: Scale,
    rng: SeededRng,
    chats: Vec<Chat>,
    /// The number of messages so far.
    written: u64,
    /// Events that are planned and have not arrived yet.
    coming: BinaryHeap<Reverse<Arrival>>,
    /// All events that arrive before this time have been planned.
    planned: Timestamp,
}

/// An event.
pub struct Arrival {
    pub at: Timestamp,
    pub what: Happening,
}

pub enum Happening {
    Message(Box<Message>),
    Ack { of: Key, ack: &'static str },
    Reaction { to: Key, from: Arc<str>, reaction: &'static str, reacted_at: Timestamp },
    Unusable { instance_id: InstanceId, number: u64 },
}

/// An instance and a message's id.
pub type Key = (InstanceId, Arc<str>);

/// A message with its later acks and reactions.
pub struct Message {
    pub key: Key,
    pub chat_id: Arc<str>,
    pub from: Arc<str>,
    pub to: Arc<str>,
    pub from_me: bool,
    pub sender_name: Option<Arc<str>>,
    pub body: Option<String>,
    pub kind: &'static str,
    pub sent_at: Timestamp,
    pub is_group: bool,
    pub quoted: Option<Arc<str>>,
    pub media_url: Option<String>,
    pub location: Option<(f64, f64)>,
    pub group_sender: Option<String>,
    pub acks: Vec<(&'static str, Timestamp)>,
    /// The first message that this one answers, and the time of the last.
    pub answers: Option<(Mark, Timestamp)>,
}

impl History {
    pub fn new(scale: Scale) -> Self {
        let chats = (0..scale.chats).map(|place| Chat::new(place, &scale)).collect();
        let mut history = Self {
            scale,
            rng: SeededRng::new(4),
            chats,
            written: 0,
            coming: BinaryHeap::new(),
            planned: Timestamp::MIN,
        };
        history.planned = history.now();
        history
    }

    /// Returns the chats after the events so far.
    pub fn chats(&self) -> &[Chat] {
        &self.chats
    }

    /// Returns the time at which the next conversation begins.
    fn now(&self) -> Timestamp {
        let days = DAYS * (self.written as f64 / self.scale.messages as f64).powf(GROWTH);
        let seconds = days.floor() * DAY + time_of_day(days.fract());
        END - Duration::from_secs_f64(DAYS * DAY) + Duration::from_secs(seconds as u64)
    }

    fn converse(&mut self) {
        let chat = self.rng.zipf(self.scale.chats, SHIFT) as usize;
        let mut at = self.now();
        if let Some((last, _)) = &self.chats[chat].last {
            at = at.max(*last + Duration::from_secs(60));
        }
        let length = (1 + self.rng.below(15)).min(self.scale.messages - self.written);
        let mut before = None;
        for place in 0..length {
            at = at + Duration::from_secs(2 + self.rng.below(120));
            let message = self.message(chat, at, before.take().as_ref(), place == 0);
            before = Some(message.key.clone());
            self.follow(message);
        }
        self.planned = self.now();
    }

    fn message(&mut self, chat: usize, at: Timestamp, before: Option<&Key>, opening: bool) -> Message {
        let (rng, chat) = (&mut self.rng, &mut self.chats[chat]);
        let from_me = rng.in_thousand(if chat.is_group {
            200
        } else if opening {
            150
        } else {
            480
        });
        let id: Arc<str> = format!("3EB0{:016X}", rng.next_u64()).into();
        let (kind, extension) = kind(rng);
        let body =
            (kind == "text" || rng.in_thousand(300)).then(|| sentence(rng, self.written, self.scale.messages, opening));
        let author = (chat.is_group && !from_me).then(|| chat.member(rng));
        let sender_name = match &author {
            Some((_, name)) => Some(name.as_str().into()),
            None => chat.name.clone().filter(|_| !from_me),
        };
        let (from, to) = if from_me { (&chat.own, &chat.id) } else { (&chat.id, &chat.own) };
        let message = Message {
            chat_id: chat.id.clone(),
            from: from.clone(),
            to: to.clone(),
            from_me,
            sender_name,
            body,
            kind,
            sent_at: at,
            is_group: chat.is_group,
            quoted: before.filter(|_| rng.in_thousand(QUOTES)).map(|(_, id)| id.clone()),
            media_url: extension.map(|extension| format!("https://gate.whapi.cloud/media/{id}.{extension}")),
            location: (kind == "location").then(|| (degrees(rng, 4), degrees(rng, -74))),
            group_sender: author.map(|(person, _)| person),
            acks: acks(rng, from_me, kind, at),
            answers: chat.take(from_me, &(at, id.clone())),
            key: (chat.instance_id.clone(), id),
        };
        self.written += 1;
        message
    }

    /// Plans the arrival of a message and the events that follow from it.
    fn follow(&mut self, message: Message) {
        let (of, rng) = (message.key.clone(), &mut self.rng);
        let mut coming = Vec::new();
        if rng.in_thousand(REACTIONS) {
            let reacted_at = message.sent_at + Duration::from_secs(10 + rng.below(3_000));
            let from = if message.from_me { &message.to } else { &message.from };
            let (from, reaction) = (from.clone(), *rng.pick(&["👍", "❤️", "😂", "🙏", ""]));
            let what = Happening::Reaction { to: of.clone(), from, reaction, reacted_at };
            coming.push(Arrival { at: reacted_at + Duration::from_millis(900), what });
        }
        if self.written.is_multiple_of(5_000) || self.written == 1 {
            let what = Happening::Unusable { instance_id: of.0.clone(), number: self.written };
            coming.push(Arrival { at: message.sent_at, what });
        }
        if message.from_me {
            let ack = |(ack, at): &(&'static str, Timestamp)| Arrival {
                at: *at,
                what: Happening::Ack { of: of.clone(), ack },
            };
            coming.extend(message.acks.iter().map(ack));
        }
        let at = message.sent_at + Duration::from_millis(200 + rng.below(1_500));
        coming.push(Arrival { at, what: Happening::Message(Box::new(message)) });
        self.coming.extend(coming.into_iter().map(Reverse));
    }
}

impl Iterator for History {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let complete = self.written == self.scale.messages;
            let next = self.coming.peek().filter(|Reverse(next)| complete || next.at < self.planned);
            if next.is_some() || complete {
                return self.coming.pop().map(|Reverse(arrival)| arrival);
            }
            self.converse();
        }
    }
}

/// Returns a time of day. Most of the traffic lies between 7 and 21 hours.
fn time_of_day(part: f64) -> f64 {
    let hours = match part {
        night if night < 0.05 => night / 0.05 * 7.0,
        day if day < 0.95 => 7.0 + (day - 0.05) / 0.9 * 14.0,
        evening => 21.0 + (evening - 0.95) / 0.05 * 3.0,
    };
    hours * 3_600.0
}

/// Returns a type, and the extension of its files.
fn kind(rng: &mut SeededRng) -> (&'static str, Option<&'static str>) {
    match rng.below(1_000) {
        place if place < IMAGES => ("image", Some("jpg")),
        80..130 => ("audio", Some("ogg")),
        130..150 => ("video", Some("mp4")),
        150..170 => ("document", Some("pdf")),
        170..190 => ("sticker", Some("webp")),
        190..200 => ("location", None),
        _ => ("text", None),
    }
}

fn degrees(rng: &mut SeededRng, whole: i64) -> f64 {
    (whole * 1_000_000 + rng.below(1_000_000) as i64) as f64 / 1e6
}

/// Returns the acks that a message will get, and when.
fn acks(rng: &mut SeededRng, from_me: bool, kind: &str, sent_at: Timestamp) -> Vec<(&'static str, Timestamp)> {
    if !from_me {
        return vec![("pending", sent_at)];
    }
    let mut at = sent_at + Duration::from_millis(300 + rng.below(1_200));
    let mut acks = vec![("sent", at)];
    if rng.in_thousand(15) {
        acks.push(("failed", at + Duration::from_secs(2 + rng.below(10))));
        return acks;
    }
    let mut after = |acks: &mut Vec<_>, ack, in_thousand, power, most: f64| {
        let happens = !acks.is_empty() && rng.in_thousand(in_thousand);
        at = at + Duration::from_millis(1_000 + (rng.unit().powi(power) * most * 1_000.0) as u64);
        happens.then(|| acks.push((ack, at))).is_some()
    };
    let delivered = after(&mut acks, "delivered", 940, 8, 5.0 * 3_600.0);
    let read = delivered && after(&mut acks, "read", 800, 4, 6.0 * 3_600.0);
    if read && kind == "audio" {
        after(&mut acks, "played", 600, 2, 600.0);
    }
    acks
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Arrival {}
